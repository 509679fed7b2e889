// Places in flight that are given back, of many counters at once: in memory as in Redis, at any node, and after Redis was away.

import fc from 'fast-check'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { LimitRule, Limits, PlaceLeft } from '../../src/adapter-kit/limits.ts'
import { MemoryLimits } from '../../src/quota/memory-limits.ts'
import { RedisLimits } from '../../src/quota/redis-limits.ts'
import { FakeClock } from '../helpers/clock.ts'
import { startMasters } from '../redis/cluster.ts'
import { sharedRedis } from '../redis/shared-redis.ts'
import { realClock, testLink, untilUp } from '../redis/support.ts'
import { QuotaMesh } from './simulated-nodes.ts'

const { link } = await sharedRedis({ commandTimeoutMs: 15_000 })

const PLACES = 3
const rule: LimitRule = { algorithm: 'concurrency', amount: PLACES, expiryMs: 3_600_000 }
let prefixes = 0

async function enter(limits: Pick<Limits | RedisLimits, 'charge'>, { key, id }: PlaceLeft): Promise<boolean> {
  return (await limits.charge([{ key, rule, amount: 1 }], { mode: 'all', id }))[0]?.granted === 1
}

async function free(limits: Pick<Limits | RedisLimits, 'charge'>, key: string): Promise<number | undefined> {
  return (await limits.charge([{ key, rule, amount: 0 }], { mode: 'all' }))[0]?.left
}

const place = fc.record({ key: fc.constantFrom('a', 'b'), id: fc.constantFrom('1', '2', '3', '4', '5') })
const step = fc.oneof(
  place.map((enters) => ({ enters })),
  fc.array(place, { maxLength: 4 }).map((leave) => ({ leave })),
)

describe.each([
  ['memory', () => new MemoryLimits({ clock: new FakeClock() })],
  ['Redis', () => new RedisLimits({ link, clock: realClock, prefix: `places${prefixes++}:` })],
] as const)('places in %s', (_name, create) => {
  it('are those that have entered and not left, whoever leaves and how often', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        const limits = create()
        const inFlight = new Map(['a', 'b'].map((key) => [key, new Set<string>()]))
        const at = (key: string) => inFlight.get(key) ?? new Set()
        for (const each of steps) {
          if ('enters' in each) {
            const { key, id } = each.enters
            const fits = at(key).has(id) || at(key).size < PLACES
            expect(await enter(limits, each.enters)).toBe(fits)
            if (fits) at(key).add(id)
          } else {
            const left = each.leave.filter(({ key, id }) => at(key).delete(id))
            expect(await limits.leave(each.leave)).toBe(left.length)
          }
          for (const key of ['a', 'b']) expect(await free(limits, key)).toBe(PLACES - at(key).size)
        }
      }),
      { numRuns: 40 },
    )
  })
})

it('places of what counts otherwise are none', async () => {
  const rate: LimitRule = { algorithm: 'fixedWindow', amount: 5, windowMs: 3_600_000, from: 'epoch' }
  const redis = new RedisLimits({ link, clock: realClock, prefix: `places${prefixes++}:` })
  for (const limits of [new MemoryLimits({ clock: new FakeClock() }), redis]) {
    await limits.charge([{ key: 'a', rule: rate, amount: 2 }], { mode: 'all', id: 'x' })
    expect(await limits.leave([{ key: 'a', id: 'x' }])).toBe(0)
    expect((await limits.charge([{ key: 'a', rule: rate, amount: 0 }], { mode: 'all' }))[0]?.left).toBe(3)
  }
})

it('places that have expired are not given back, and no longer taken', async () => {
  const clock = new FakeClock()
  const limits = new MemoryLimits({ clock })
  await enter(limits, { key: 'a', id: '1' })
  await clock.advance(3_600_001)
  expect(limits.leave([{ key: 'a', id: '1' }])).toBe(0)
})

it('places of counters on different masters of a cluster are given back in one go', async () => {
  const masters = await startMasters(2)
  const { link: cluster } = testLink(`redis+cluster://127.0.0.1:${masters[0]?.port}`, 15_000)
  onTestFinished(async () => {
    cluster.close()
    for (const master of masters) await master.stop()
  })
  await untilUp(cluster)
  const limits = new RedisLimits({ link: cluster, clock: realClock, prefix: 'limits:' })
  const places = Array.from({ length: 20 }, (_, index) => ({ key: `k${index}`, id: 'x' }))
  for (const each of places) expect(await enter(limits, each)).toBe(true)
  expect(await limits.leave([...places, ...places])).toBe(20)
  expect(await free(limits, 'k7')).toBe(PLACES)
}, 60_000)

describe('at nodes', () => {
  it('a place is given back by any of them', async () => {
    const [one, other] = new QuotaMesh(link, 2).nodes
    if (one === undefined || other === undefined) throw new Error('a mesh of two')
    for (const id of ['1', '2', '3']) expect(await enter(one, { key: 'a', id })).toBe(true)
    expect(await enter(other, { key: 'a', id: '4' })).toBe(false)
    expect(await other.leave([{ key: 'a', id: '1' }])).toBe(1)
    expect(await one.leave([{ key: 'a', id: '1' }])).toBe(0)
    expect(await enter(one, { key: 'a', id: '4' })).toBe(true)
  })

  it('is given back when Redis is there again, and at once what was taken meanwhile', async () => {
    const mesh = new QuotaMesh(link, 1)
    const [node] = mesh.nodes
    if (node === undefined) throw new Error('a mesh of one')
    for (const id of ['1', '2']) await enter(node, { key: 'a', id })
    mesh.link.set(false)
    for (const id of ['7', '8', '9']) expect(await enter(node, { key: 'a', id })).toBe(true)
    expect(await enter(node, { key: 'a', id: '6' })).toBe(false)
    expect(await node.leave(['1', '9'].map((id) => ({ key: 'a', id })))).toBe(1)
    expect(await enter(node, { key: 'a', id: '6' })).toBe(true)
    mesh.link.set(true)
    // Those that are in flight are 2 of before, and 6, 7 and 8.
    await expect.poll(() => free(node, 'a')).toBe(PLACES - 4)
  })
})
