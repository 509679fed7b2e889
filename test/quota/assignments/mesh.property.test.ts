// Nodes with proxies over one Redis: whatever proxies ask for, no window lets pass more than the limit, what is asked for is
// used, and nobody gets nothing.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { RedisClaims } from '../../../src/quota/assignments/claims.ts'
import { NodeLimits } from '../../../src/quota/node-limits.ts'
import { QuotaMetrics } from '../../../src/quota/quota-metrics.ts'
import { RedisLimits } from '../../../src/quota/redis-limits.ts'
import { FakeClock } from '../../helpers/clock.ts'
import { sharedRedis } from '../../redis/shared-redis.ts'
import { KeptLog, ReadableMeter } from '../../redis/support.ts'
import { withTime } from '../redis-time.ts'
import { AssigningNode, config, Pending, SimulatedProxy } from './proxies.ts'

const { link } = await sharedRedis({ commandTimeoutMs: 15_000 })

const WINDOW_S = 60
const WINDOWS = 3
/** As often as Envoy reports. */
const STEP_S = 5

let meshes = 0

class Mesh {
  readonly clock = new FakeClock(Date.UTC(2026, 0, 15, 12))
  readonly pending = new Pending()
  readonly nodes: AssigningNode[]

  constructor(text: string, count: number) {
    const prefix = `assign${++meshes}:`
    const timed = withTime(link, () => this.clock.now())
    this.nodes = Array.from({ length: count }, (_, at) => {
      const limits = new NodeLimits({
        shared: new RedisLimits({ link: timed, clock: this.clock, prefix }),
        link: { state: () => 'up', onUp: () => () => undefined },
        clock: this.clock,
        log: new KeptLog(),
        metrics: new QuotaMetrics(new ReadableMeter(), 'h'),
        processes: { count, note: () => undefined },
      })
      const claims = new RedisClaims({ link: timed, prefix, id: `node-${at}`, charging: { count } })
      return new AssigningNode(text, this.clock, this.pending, { limits, claims })
    })
  }

  proxies(perNode: readonly number[]): SimulatedProxy[] {
    return this.nodes.flatMap((node, at) => Array.from({ length: perNode[at] ?? 0 }, () => new SimulatedProxy(node)))
  }
}

/** In each step each proxy asks for so many requests, and then all report at once; gives what passed in each window, by proxy. */
async function drive(
  mesh: Mesh,
  proxies: readonly SimulatedProxy[],
  demand: (proxy: number, step: number) => number,
  windows = WINDOWS,
) {
  const passed = Array.from({ length: windows }, () => proxies.map(() => 0))
  for (let step = 0; step < (windows * WINDOW_S) / STEP_S; step++) {
    const window = passed[Math.floor((step * STEP_S) / WINDOW_S)] ?? []
    for (const [at, proxy] of proxies.entries()) {
      for (let each = 0; each < demand(at, step); each++) {
        if (proxy.request('key=a')) window[at] = (window[at] ?? 0) + 1
        // The first assignment of a bucket comes at once.
        if (each === 0 && step === 0) await mesh.pending.settled()
      }
    }
    for (const proxy of proxies) proxy.report()
    await mesh.pending.settled()
    await mesh.clock.advance(STEP_S * 1_000)
  }
  return passed
}

const sum = (numbers: readonly number[]) => numbers.reduce((all, each) => all + each, 0)
const minute = (limit: number) => config(`[{key: key, rate_limit: {unit: minute, requests_per_unit: ${limit}}}]`)

describe('quotas that are assigned by several nodes', () => {
  it('never let pass more in a window than the limit', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(fc.nat(20), fc.nat(2_000)),
        fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 3 }),
        fc.infiniteStream(fc.oneof(fc.constant(0), fc.nat(4), fc.nat(40), fc.nat(400))),
        async (limit, perNode, demands) => {
          const mesh = new Mesh(minute(limit), perNode.length)
          const passed = await drive(mesh, mesh.proxies(perNode), () => demands.next().value ?? 0)
          for (const window of passed) expect(sum(window)).toBeLessThanOrEqual(limit)
        },
      ),
      { numRuns: 10 },
    )
  })

  it('let pass all of it where more is asked for, and a fair part through each', async () => {
    const mesh = new Mesh(minute(120), 2)
    const passed = await drive(mesh, mesh.proxies([1, 2]), () => 50)
    for (const window of passed.slice(1)) {
      expect(sum(window)).toBe(120)
      for (const part of window) expect(part).toBeGreaterThanOrEqual(20)
    }
  })

  it('give the busy what the quiet do not need', async () => {
    const mesh = new Mesh(minute(300), 2)
    const demand = [20, 0, 2]
    const [, , last = []] = await drive(mesh, mesh.proxies([1, 2]), (proxy) => demand[proxy] ?? 0)
    // 20 and 2 in each of 12 steps are within the limit. What is held for nothing may be missing at the end of the window.
    expect(last[0]).toBeGreaterThanOrEqual(235)
    expect(last[2]).toBeGreaterThanOrEqual(22)
  })

  it('come to each where there is not one for each', async () => {
    const mesh = new Mesh(minute(2), 2)
    const passed = await drive(mesh, mesh.proxies([2, 1]), () => 3, 8)
    for (const window of passed.slice(1)) expect(sum(window)).toBe(2)
    const byProxy = [0, 1, 2].map((at) => sum(passed.map((window) => window[at] ?? 0)))
    expect(Math.min(...byProxy)).toBeGreaterThan(0)
  })
})
