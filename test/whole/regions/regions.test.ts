// A second region, 80 ms away: what it shares works, checks wait for nothing that is far, and a cut between the regions costs
// what docs/redis.md says and no more.

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Intermix } from '../intermix.ts'
import { check, metric, report, revoke } from './asks.ts'
import { ALLOWING, type Regions, startRegions, type Topology } from './world.ts'

const PARTITION_MAX_AGE_MS = 500
const EVERYWHERE = ['away-1', 'away-2', 'home-1']

let regions: Regions
let records = 0
let users = 0
/** Names of records that were acknowledged as queued. */
const acknowledged: string[] = []

/** `tier code` of a check. */
async function ask(node: Intermix, user: string): Promise<string> {
  const { tier, code } = await check(node, '/rights', user)
  return `${tier} ${code}`
}

/** Reports five records; a node that is too busy is asked again, about others. */
async function send(node: Intermix): Promise<void> {
  await expect
    .poll(async () => {
      const names = Array.from({ length: 5 }, () => `/record-${++records}-`)
      const status = await report(node, names)
      if (status === 202) acknowledged.push(...names)
      return status
    })
    .toBe(202)
}

const inTouch = (node: Intermix) => metric(node, 'intermix_revocations_in_touch')
const untilInTouch = (is: 0 | 1) =>
  expect.poll(async () => await Promise.all(regions.away.map(inTouch))).toEqual([is, is])

async function untilAllArrived() {
  await expect.poll(() => missing(), { interval: 200 }).toEqual([])
  const arrived = regions.arrived()
  expect(arrived).toHaveLength(new Set(arrived).size)
}

function missing(): readonly string[] {
  const here = new Set(regions.arrived())
  return acknowledged.filter((name) => !here.has(name)).slice(0, 5)
}

describe.each<Topology>(['shared', 'apart'])('two regions, the queue Redis %s', (topology) => {
  beforeAll(async () => {
    acknowledged.length = 0
    const flags = ['--partition-max-age', `${PARTITION_MAX_AGE_MS}ms`]
    regions = await startRegions({ topology, flags })
  })
  afterAll(() => regions.stop())

  it('are in touch', async () => await untilInTouch(1))

  it('share verdicts within a region, and not with the other', async () => {
    const { home, away } = regions
    const user = `user-${++users}`
    expect(await ask(away[0], user)).toBe('backend 0')
    await expect.poll(async () => await ask(away[1], user)).toMatch(/^(mesh|local) 0$/)
    expect(await ask(away[0], user)).toBe('local 0')
    expect(await ask(home, user)).toBe('backend 0')
  })

  it.each(['home', 'away'] as const)('hear of what is revoked in the region that is %s', async (where) => {
    const { home, away, backend } = regions
    const user = `user-${++users}`
    for (const node of [home, ...away]) expect(await ask(node, user)).toMatch(/ 0$/)
    backend.answerWith(() => ({ status: 403 }))
    const told = await revoke(where === 'home' ? home : away[0], user)
    expect(told).toEqual({ status: 200, confirmed: EVERYWHERE, unconfirmed: [] })
    for (const node of [home, ...away]) expect(await ask(node, user)).toMatch(/ 7$/)
    backend.answerWith(ALLOWING)
  })

  it('deliver each report that was acknowledged as queued, once', async () => {
    const { home, away } = regions
    await Promise.all([home, ...away].flatMap((node) => Array.from({ length: 20 }, () => send(node))))
    await untilAllArrived()
  })

  it('count a quota together where they share the Redis of it, and each for itself elsewhere', async () => {
    const { home, away } = regions
    const user = `user-${++users}`
    const take = async (node: Intermix, amount: number) => (await check(node, '/limited', user, amount)).granted
    expect(await take(home, 6)).toBe(6)
    expect(await take(away[0], 6)).toBe(topology === 'shared' ? 4 : 6)
    expect(await take(away[1], 6)).toBe(topology === 'shared' ? 0 : 4)
  })

  it('do not take a Redis that is far away for one that answers too late', async () => {
    const calls = (node: Intermix, outcome: string) =>
      metric(node, 'intermix_redis_calls_total', `outcome="${outcome}"`)
    for (const node of [regions.home, ...regions.away]) {
      // A machine that does other things, too, may hold up one; distance holds up each of them.
      expect(await calls(node, 'timeout')).toBeLessThan((await calls(node, 'ok')) / 10)
      expect(await calls(node, 'failed')).toBe(0)
    }
  })

  describe('when the link between them is cut', () => {
    const revoked = () => `user-${users}`

    it('bound the age of what they serve, and go on taking reports', async () => {
      const { home, away, between } = regions
      users++
      for (const node of away) expect(await ask(node, revoked())).toMatch(/ 0$/)
      between.setBlackhole(true)
      await untilInTouch(0)
      expect(await inTouch(home)).toBe(1)
      await expect.poll(async () => await ask(away[0], revoked())).toBe('backend 0')
      await Promise.all(away.flatMap((node) => Array.from({ length: 10 }, () => send(node))))
      if (topology === 'apart') await untilAllArrived()
    })

    it('name the nodes that do not hear of a revocation, and refuse one that cannot be recorded', async () => {
      const { home, away, backend } = regions
      backend.answerWith(() => ({ status: 403 }))
      const told = await revoke(home, revoked())
      expect(told).toEqual({ status: 202, confirmed: ['home-1'], unconfirmed: ['away-1', 'away-2'] })
      expect((await revoke(away[0], revoked())).status).toBe(503)
      for (const node of away) await expect.poll(async () => await ask(node, revoked())).toBe('backend 7')
    })

    it('let a node start, which answers', async () => {
      const started = await regions.startAway('away-3')
      expect(await inTouch(started)).toBe(0)
      expect(await ask(started, revoked())).toBe('backend 7')
      await send(started)
    })

    it('catch up when it is back', async () => {
      const { home, away, between, backend } = regions
      const before = `user-${++users}`
      between.setBlackhole(false)
      await untilInTouch(1)
      for (const node of away) expect(await ask(node, `user-${users - 1}`)).toMatch(/ 7$/)
      backend.answerWith(ALLOWING)
      expect(await ask(away[0], before)).toBe('backend 0')
      expect(await revoke(home, before)).toMatchObject({
        status: 200,
        confirmed: ['away-1', 'away-2', 'away-3', 'home-1'],
      })
      await untilAllArrived()
    })
  })
})
