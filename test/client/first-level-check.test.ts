import { beforeEach, describe, expect, it } from 'vitest'
import { Revocations } from '../../src/cache/revocations.ts'
import { attributePath } from '../../src/client/affinity.ts'
import { FirstLevelCheck } from '../../src/client/first-level-check.ts'
import { MapBag } from '../../src/kernel/attribute-bag.ts'
import type { NodeConfig } from '../../src/client/nodes/nodes.ts'
import { IntermixError } from '../../src/kernel/errors.ts'
import type { CheckOptions, CheckOutcome } from '../../src/kernel/services.ts'
import type { AttributeValue } from '../../src/kernel/value.ts'
import { FakeClock } from '../helpers/clock.ts'
import { ReadableMeter } from '../redis/support.ts'
import { EPOCH, ScriptedNodes, shapeBy } from './scripted-nodes.ts'

let clock: FakeClock
let nodes: ScriptedNodes
let revocations: Revocations
let meter: ReadableMeter
let checks: FirstLevelCheck

beforeEach(() => {
  clock = new FakeClock()
  nodes = new ScriptedNodes()
  revocations = new Revocations()
  meter = new ReadableMeter()
  const choice = { affinity: [attributePath('a')], tenant: undefined }
  const bounds = { maxEntries: 100, maxBytes: 1_000_000, refreshesPerSecond: 10 }
  checks = new FirstLevelCheck({ nodes, revocations, clock, random: () => 0.5, meter, choice, ...bounds })
})

const away = () => new IntermixError('BACKEND_FAILED', 'no node is there')

function check(values: Record<string, AttributeValue>, options: Partial<CheckOptions> = {}) {
  return checks.check(MapBag.of(values), { timeoutMs: 1_000, ...options })
}

/** The answer of one that is kept: at once. */
function kept(values: Record<string, AttributeValue>, options: Partial<CheckOptions> = {}): CheckOutcome {
  const outcome = check(values, options)
  if (outcome instanceof Promise) throw new Error('a node is asked')
  return outcome
}

describe('kept answers', () => {
  it('are given at once to requests that they hold for, with what is left of their life', async () => {
    nodes.script = () => ({ answer: { ageMs: 500, validForMs: 5_000, validUses: 3 } })
    expect((await check({ a: 'x', b: '1' })).answer).toMatchObject({ tier: 'backend', ageMs: 500, validUses: 3 })
    await clock.advance(1_000)
    expect(kept({ a: 'x', b: '2' }).answer).toMatchObject({
      tier: 'local',
      ageMs: 1_500,
      validForMs: 4_000,
      validUses: 2,
    })
    expect(check({ a: 'y' })).toBeInstanceOf(Promise)
    expect(nodes.asked).toHaveLength(2)
  })

  it('are told on with what becomes of requests that nobody judges', async () => {
    const choice = { affinity: [attributePath('a')], tenant: undefined }
    const bounds = { maxEntries: 100, maxBytes: 1_000_000, refreshesPerSecond: 0 }
    const retold = { stamp: (epoch: typeof EPOCH) => epoch }
    const before = new FirstLevelCheck({
      nodes,
      revocations,
      clock,
      random: () => 0.5,
      meter,
      choice,
      ...bounds,
      retold,
    })
    nodes.script = () => ({ shape: shapeBy('a', { failsOpen: true }), answer: { validUses: 10 } })
    const ask = () => before.check(MapBag.of({ a: 'x' }), { timeoutMs: 1_000, keepsAnswer: true, shape: true })
    const asked = await ask()
    expect([asked.shape?.failsOpen, nodes.asked.length]).toEqual([true, 1])
    expect([(await ask()).shape?.failsOpen, nodes.asked.length]).toEqual([true, 1])
  })

  it('lose no uses to callers that may not keep them', async () => {
    const choice = { affinity: [attributePath('a')], tenant: undefined }
    const bounds = { maxEntries: 100, maxBytes: 1_000_000, refreshesPerSecond: 0 }
    const retold = { stamp: () => undefined }
    const before = new FirstLevelCheck({
      nodes,
      revocations,
      clock,
      random: () => 0.5,
      meter,
      choice,
      ...bounds,
      retold,
    })
    nodes.script = () => ({ answer: { validUses: 10 } })
    const ask = (more: Partial<CheckOptions>) => before.check(MapBag.of({ a: 'x' }), { timeoutMs: 1_000, ...more })
    for (let time = 0; time < 4; time++) {
      const told = await ask({ keepsAnswer: true, shape: true })
      expect([told.answer.validUses, told.shape]).toEqual([0, undefined])
    }
    expect((await ask({})).answer.validUses).toBe(6)
    expect(nodes.asked).toHaveLength(1)
  })

  it('end with their uses', async () => {
    nodes.script = () => ({ answer: { validUses: 2 } })
    await check({ a: 'x' })
    kept({ a: 'x' })
    kept({ a: 'x' })
    expect(check({ a: 'x' })).toBeInstanceOf(Promise)
  })

  it('count their age from when the node was asked', async () => {
    const ask = nodes.ask.bind(nodes)
    nodes.ask = async (question) => {
      await clock.advance(400)
      return await ask(question)
    }
    await check({ a: 'x' })
    expect(kept({ a: 'x' }).answer.ageMs).toBe(400)
  })

  it('have gone on ageing when they come', async () => {
    const ask = nodes.ask.bind(nodes)
    nodes.ask = async (question) => {
      await clock.advance(400)
      return await ask(question)
    }
    expect((await check({ a: 'x' })).answer).toMatchObject({ ageMs: 400, validForMs: 9_600 })
  })

  it('are told to be as old as they are, or older, where times are no whole milliseconds', async () => {
    const ask = nodes.ask.bind(nodes)
    nodes.ask = async (question) => {
      await clock.advance(400.25)
      return await ask(question)
    }
    const first = (await check({ a: 'x' })).answer
    expect(first.ageMs).toBeGreaterThanOrEqual(400.25)
    expect(first.ageMs + first.validForMs).toBeLessThanOrEqual(10_000)
    await clock.advance(99.5)
    const again = kept({ a: 'x' }).answer
    expect(again.ageMs).toBeGreaterThanOrEqual(499.75)
    expect(again.ageMs + again.validForMs).toBeLessThanOrEqual(10_000)
  })

  it('are void when they are revoked', async () => {
    await check({ a: 'x' })
    revocations.apply({ sequence: 1, target: { kind: 'attribute', name: 'a', key: undefined, value: 'x' } })
    expect(check({ a: 'x' })).toBeInstanceOf(Promise)
  })

  it('of another config are not given', async () => {
    await check({ a: 'x' })
    nodes.known = { ...(nodes.known as NonNullable<typeof nodes.known>), id: 'c2' }
    expect(check({ a: 'x' })).toBeInstanceOf(Promise)
  })

  it('are those of one spelling, and of requests with two readings there are none', async () => {
    nodes.script = () => ({ shape: shapeBy('request.path') })
    await check({ a: 'x', 'request.path': '/a//b' })
    kept({ a: 'x', 'request.path': '/a//b' })
    for (let at = 0; at < 2; at++) expect(check({ a: 'x', 'request.path': '/a/../b' })).toBeInstanceOf(Promise)
    expect(() => check({ 'request.path': '/%zz' })).toThrow(/request\.path/)
  })

  it('of checks that charge other quotas are not given', async () => {
    await check({ a: 'x' }, { charging: 'named' })
    kept({ a: 'x' }, { charging: 'named' })
    expect(check({ a: 'x' })).toBeInstanceOf(Promise)
  })

  it('share their uses with callers that keep them, too', async () => {
    nodes.script = () => ({ answer: { validUses: 800 } })
    expect((await check({ a: 'x' }, { keepsAnswer: true })).answer.validUses).toBe(100)
    expect(kept({ a: 'x' }, { keepsAnswer: true }).answer.validUses).toBe(87)
  })

  it('are handed on with all uses where nobody meant to bound these', async () => {
    nodes.script = () => ({ answer: { validUses: 800 }, usesUnbound: true })
    expect((await check({ a: 'x' }, { keepsAnswer: true })).answer.validUses).toBe(800)
    expect(kept({ a: 'x' }, { keepsAnswer: true }).answer.validUses).toBe(799)
  })

  it('tell Mixer clients what they depended on, as they sent it', async () => {
    nodes.script = () => ({ shape: shapeBy('request.raw_path') })
    const path = { name: 'request.path', key: undefined, condition: 'EXACT', whole: false }
    expect((await check({ a: 'x', 'request.path': '/p' })).answer.referenced).toEqual([path])
    expect(kept({ a: 'x', 'request.path': '/p' }).answer.referenced).toEqual([path])
    expect(kept({ a: 'x', 'request.path': '/p' }, { references: false }).answer.referenced).toEqual([])
  })

  it('tell each client by what its own request came to the rules', async () => {
    const chosenBy = (name: string, outcome: 'present' | 'absent') =>
      [{ id: `c${name}`, question: { kind: 'attribute', name }, outcome }] as const
    const byRole = (outcome: 'present' | 'absent') => () => ({
      shape: shapeBy('a', { choosing: chosenBy('role', outcome) }),
    })
    nodes.script = byRole('absent')
    await check({ a: 'x' })
    nodes.script = byRole('present')
    await check({ a: 'y', role: 'admin' })
    // Both came to the same rules, and what these say of x is known.
    const { referenced } = kept({ a: 'x', role: 'admin' }).answer
    expect(referenced.map(({ name, condition }) => `${name} ${condition}`)).toEqual(['a EXACT', 'role EXACT'])
  })

  it('leave no grant to be kept of which nobody knows what it depended on', async () => {
    const grant = { status: { code: 0, message: '' }, granted: 1, validForMs: 5_000 }
    nodes.script = () => ({ grants: new Map([['q', grant]]) })
    const { quotas } = await check({ a: 'x' }, { quotas: new Map([['q', { amount: 1, bestEffort: false }]]) })
    expect(quotas.get('q')).toMatchObject({ granted: 1, validForMs: 0, referenced: [] })
  })
})

describe('where no node answers', () => {
  it('nobody passes who names quotas that nobody grants', async () => {
    nodes.script = () => ({ answer: { validForMs: 1_000 }, staleForMs: 5_000 })
    await check({ a: 'x' })
    await clock.advance(2_000)
    nodes.script = away
    expect((await check({ a: 'x' })).answer.tier).toBe('stale')
    const quotas = new Map([['q', { amount: 1, bestEffort: false }]])
    await expect(check({ a: 'x' }, { quotas })).rejects.toThrow('no node is there')
  })

  it.each([
    { usesUnbound: true, tier: 'stale' },
    { usesUnbound: false, tier: undefined },
  ])('answers whose uses are spent are given on only if nobody meant to bound these ($usesUnbound)', async (each) => {
    const { usesUnbound, tier } = each
    nodes.script = () => ({ answer: { validUses: 2 }, usesUnbound })
    await check({ a: 'x' })
    expect([kept({ a: 'x' }).answer.tier, kept({ a: 'x' }).answer.tier]).toEqual(['local', 'local'])
    nodes.script = away
    const given = await Promise.resolve(check({ a: 'x' })).catch(() => undefined)
    expect(given?.answer.tier).toBe(tier)
  })

  it('answers are given beyond their life, within the bound that their node has told', async () => {
    nodes.script = () => ({ answer: { validForMs: 1_000 }, staleForMs: 5_000 })
    await check({ a: 'x' })
    nodes.script = away
    await clock.advance(5_999)
    expect((await check({ a: 'x' })).answer).toMatchObject({ tier: 'stale', ageMs: 5_999, validForMs: 0, validUses: 0 })
    await clock.advance(1)
    await expect(check({ a: 'x' })).rejects.toThrow('no node is there')
  })

  it('and not where a node has said that nothing will help', async () => {
    nodes.script = () => ({ answer: { validForMs: 1_000 }, staleForMs: 5_000 })
    await check({ a: 'x' })
    nodes.script = () => new IntermixError('INTERNAL', 'broken')
    await clock.advance(1_000)
    await expect(check({ a: 'x' })).rejects.toThrow('broken')
  })

  it('none that is too old for who is out of touch', async () => {
    nodes.script = () => ({ answer: { validForMs: 1_000 }, staleForMs: 5_000 })
    await check({ a: 'x' })
    nodes.script = away
    nodes.maxAge = 2_000
    await clock.advance(2_000)
    expect((await check({ a: 'x' })).answer.tier).toBe('stale')
    await clock.advance(1)
    await expect(check({ a: 'x' })).rejects.toThrow('no node is there')
  })

  it('nor one that was revoked', async () => {
    nodes.script = () => ({ answer: { validForMs: 1_000 }, staleForMs: 5_000 })
    await check({ a: 'x' })
    revocations.apply({ sequence: 1, target: { kind: 'handler', handler: 'h' } })
    nodes.script = away
    await expect(check({ a: 'x' })).rejects.toThrow('no node is there')
  })
})

describe('before an answer ends', () => {
  it('another one is asked for once, by a request that comes late in its life', async () => {
    nodes.script = () => ({ answer: { validForMs: 1_000 } })
    await check({ a: 'x' })
    await clock.advance(840)
    kept({ a: 'x' })
    expect(nodes.asked).toHaveLength(1)
    await clock.advance(20)
    kept({ a: 'x' })
    kept({ a: 'x' })
    expect(nodes.asked).toHaveLength(2)
    await clock.advance(500)
    expect(kept({ a: 'x' }).answer.ageMs).toBe(500)
    expect(meter.value('first_level_refreshed_total', 'kept')).toBe(1)
  })

  it('none beyond the budget', async () => {
    nodes.script = () => ({ answer: { validForMs: 1_000 } })
    const keys = Array.from({ length: 20 }, (_, at) => `x${at}`)
    for (const a of keys) await check({ a })
    await clock.advance(900)
    for (const a of keys) kept({ a })
    expect(nodes.asked).toHaveLength(30)
    expect(meter.value('first_level_refreshed_total', 'over_budget')).toBe(10)
  })
})

describe('answers that pay for quotas', () => {
  const paid = () =>
    (nodes.script = ({ uses = 1 }) =>
      uses < 2
        ? { shape: undefined, answer: { validForMs: 0, validUses: 0 } }
        : { isPaid: true, answer: { validForMs: 1_000, validUses: uses - 1 } })

  /** So many checks of one key, evenly in a second. @returns how many asked a node */
  async function load(count: number): Promise<number> {
    const before = nodes.asked.length
    for (let at = 0; at < count; at++) {
      await check({ a: 'x' })
      await clock.advance(1_000 / count)
    }
    return nodes.asked.length - before
  }

  it('are paid for ahead, as many as the next moment needs, and never given more often', async () => {
    paid()
    let given = 0
    const ask = nodes.ask.bind(nodes)
    let bought = 0
    nodes.ask = async (question) => {
      const told = await ask(question)
      const { uses = 1 } = question
      bought += uses < 0 ? uses : Math.max(1, uses)
      return told
    }
    for (let second = 0; second < 3; second++) {
      expect(await load(500)).toBeLessThan(second === 0 ? 100 : 25)
      given += 500
      expect(given).toBeLessThanOrEqual(bought)
    }
  })

  it('are given back where nobody has used them', async () => {
    paid()
    await load(200)
    await clock.advance(2_000)
    const returned = nodes.asked.filter(({ uses = 0 }) => uses < 0)
    expect(returned.length).toBeGreaterThan(0)
    const bought = nodes.asked.reduce((sum, { uses = 1 }) => sum + uses, 0)
    expect(bought).toBe(200)
  })

  it('are not given back to the limits of another config', async () => {
    paid()
    await load(200)
    nodes.known = { ...(nodes.known as NodeConfig), id: 'c2' }
    await clock.advance(2_000)
    await checks.close()
    expect(nodes.asked.every(({ uses = 1 }) => uses > 0)).toBe(true)
  })

  it('are given back for a caller only to the limits by which it has paid', () => {
    for (const paidUnder of ['c1', 'c2']) kept({ a: 'x' }, { uses: -3, paidUnder })
    expect(nodes.asked).toMatchObject([{ uses: -3, paidUnder: 'c1' }])
  })

  it('are given back at the end', async () => {
    paid()
    await load(200)
    await checks.close()
    expect(nodes.asked.reduce((sum, { uses = 1 }) => sum + uses, 0)).toBe(200)
  })

  it('are not given to retries, nor to checks that name quotas themselves', async () => {
    paid()
    await load(200)
    expect(check({ a: 'x' }, { deduplicationId: 'r' })).toBeInstanceOf(Promise)
    const quotas = new Map([['q', { amount: 1, bestEffort: false }]])
    expect(check({ a: 'x' }, { quotas })).toBeInstanceOf(Promise)
    expect(nodes.asked.at(-1)?.uses).toBe(1)
  })

  it('refuse nobody who names quotas, or tries again, because others were refused', async () => {
    nodes.script = () => ({ answer: { status: { code: 8, message: 'used up' }, validForMs: 100 } })
    await check({ a: 'x' })
    kept({ a: 'x' })
    expect(check({ a: 'x' }, { deduplicationId: 'r' })).toBeInstanceOf(Promise)
    const quotas = new Map([['q', { amount: 1, bestEffort: false }]])
    expect(check({ a: 'x' }, { quotas })).toBeInstanceOf(Promise)
  })
})

describe('quotas that a caller names', () => {
  const quotas = new Map([['q', { amount: 1, bestEffort: false }]])
  const named = { quotas, charging: 'named' } as const
  const charged = (deduplicationId: string) =>
    checks.charge(MapBag.of({ a: 'x' }), quotas, { timeoutMs: 1_000, deduplicationId })
  /** Nodes that grant all that is asked for. */
  const granting = () =>
    (nodes.script = ({ quotas: asked = new Map() }) => ({
      grants: new Map(
        Array.from(asked, ([name, { amount }]) => {
          const status = { code: 0, message: '' }
          return [name, { status, granted: amount, validForMs: 1_000, shape: shapeBy('a', { scope: 's q' }) }]
        }),
      ),
    }))

  it('are asked for along with the check, and granted from a pool beside a kept answer', async () => {
    granting()
    expect((await check({ a: 'x' }, named)).quotas.get('q')).toMatchObject({ granted: 1 })
    expect(nodes.asked[0]).toMatchObject({ quotas, charging: 'named' })
    for (let at = 0; at < 100; at++) {
      const outcome = await check({ a: 'x' }, named)
      expect(outcome.answer.tier).toBe('local')
      expect(outcome.quotas.get('q')).toMatchObject({ granted: 1, referenced: [{ name: 'a', condition: 'EXACT' }] })
      await clock.advance(5)
    }
    expect(nodes.asked.length).toBeLessThan(50)
    const granted = nodes.asked.reduce((sum, asked) => sum + (asked.quotas?.get('q')?.amount ?? 0), 0)
    expect(granted).toBeGreaterThanOrEqual(101)
  })

  it('are charged once for a request that is tried again', async () => {
    granting()
    const retried = { ...named, deduplicationId: 'r' }
    await check({ a: 'x' }, retried)
    await check({ a: 'x' }, retried)
    expect(nodes.asked).toHaveLength(1)
    expect((await checks.charge(MapBag.of({ a: 'x' }), quotas, { timeoutMs: 100, deduplicationId: 'r' })).size).toBe(1)
    expect(nodes.asked).toHaveLength(1)
  })

  it('let a kept answer age while a node is asked for them', async () => {
    granting()
    await check({ a: 'x' }, { charging: 'named' })
    const ask = nodes.ask.bind(nodes)
    nodes.ask = async (question) => {
      await clock.advance(400)
      return await ask(question)
    }
    const { answer, answeredAt } = await check({ a: 'x' }, named)
    expect(answer).toMatchObject({ tier: 'local', ageMs: 400, validForMs: 9_600 })
    expect(answeredAt).toBe(400)
  })

  it('live no longer for the time that they were on their way, nor for being told again', async () => {
    granting()
    const ask = nodes.ask.bind(nodes)
    nodes.ask = async (question) => {
      const told = await ask(question)
      await clock.advance(400.5)
      return told
    }
    const left = async (id: string) => (await check({ a: 'x' }, { ...named, deduplicationId: id })).quotas.get('q')
    expect(await left('first')).toMatchObject({ granted: 1, validForMs: 599 })
    await clock.advance(300)
    expect(await left('first')).toMatchObject({ granted: 1, validForMs: 299 })
    expect(nodes.asked).toHaveLength(1)
    await clock.advance(300)
    expect((await charged('second')).get('q')).toMatchObject({ granted: 1, validForMs: 599 })
    await clock.advance(100)
    expect((await charged('second')).get('q')).toMatchObject({ granted: 1, validForMs: 499 })
    expect(nodes.asked).toHaveLength(2)
  })

  it('are charged without asking whether the request is allowed', async () => {
    granting()
    const grants = await checks.charge(MapBag.of({ a: 'x' }), quotas, { timeoutMs: 100 })
    expect(grants.get('q')).toMatchObject({ granted: 1 })
    expect(nodes.asked[0]).toMatchObject({ quotasOnly: true })
  })
})

describe('before a node has told its config', () => {
  it('nodes are asked, and what they tell is kept as soon as it can be', async () => {
    const config = nodes.known
    nodes.known = undefined
    expect(() => checks.vocabulary()).toThrow(/no node/)
    nodes.script = () => {
      nodes.known = config
      return {}
    }
    await check({ a: 'x' })
    kept({ a: 'x' })
  })
})

it('keeps no answer that the node gave under revocations which are not known here', async () => {
  nodes.script = () => ({ shape: shapeBy('a', { epoch: { ...EPOCH, sequence: 3 } }) })
  await check({ a: 'x' })
  expect(check({ a: 'x' })).toBeInstanceOf(Promise)
})

describe('the size of the cache', () => {
  it('is told to nodes with what was looked up, and theirs is shown', async () => {
    await check({ a: 'x' })
    kept({ a: 'x' })
    const { entries, lookups } = checks.sample()
    expect([entries, lookups.length]).toEqual([100, 12])
    expect(lookups.reduce((one, two) => one + two, 0)).toBe(2)
    checks.recommended(70)
    expect(meter.value('first_level_recommended_answers')).toBe(70)
  })
})
