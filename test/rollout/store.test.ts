// What Redis keeps of config rollout, and the one way in which it changes.

import { beforeEach, describe, expect, it } from 'vitest'
import { assignedVersion } from '../../src/rollout/cohort.ts'
import { Observations } from '../../src/rollout/observations.ts'
import { rolloutKeys } from '../../src/rollout/keys.ts'
import { readObserved } from '../../src/rollout/read-observed.ts'
import { RolloutStore, type Wish } from '../../src/rollout/rollout-store.ts'
import { STAGES, USUAL_PACE } from '../../src/rollout/stages.ts'
import { NO_BASELINE, NO_ROLLOUT } from '../../src/rollout/state.ts'
import { VersionStore } from '../../src/rollout/version-store.ts'
import { sharedRedis } from '../redis/shared-redis.ts'
import { filesOf, idOf, NO_WAIT, saying } from './support.ts'

const { link } = await sharedRedis({ commandTimeoutMs: 5_000, emptied: true })
const PREFIX = 'test'
const keys = rolloutKeys(PREFIX)

const versions = new VersionStore({ link, prefix: PREFIX })
const store = new RolloutStore({ link, prefix: PREFIX })
const observations = new Observations({ link, prefix: PREFIX })

const publish = (name: string, more: Partial<Extract<Wish, { kind: 'publish' }>> = {}): Wish => ({
  kind: 'publish',
  version: idOf(name),
  id: `try-${name}`,
  by: 'ops',
  pace: NO_WAIT,
  expectations: [],
  again: false,
  ...more,
})

/** A first version that is stable. */
async function settle(name: string): Promise<void> {
  for (const wish of [
    publish(name),
    { kind: 'begin-preflight', by: 'n' },
    { kind: 'pass-preflight', by: 'n', first: undefined, isServed: false },
  ] as const)
    expect(await store.operate(wish)).toMatchObject({ kind: 'done' })
}

/** One that is stable after others were. */
async function become(name: string): Promise<void> {
  const first: Wish = { kind: 'pass-preflight', by: 'n', first: 'n1', isServed: true }
  for (const wish of [publish(name), { kind: 'begin-preflight', by: 'n' }, first] as const) await store.operate(wish)
  for (const from of STAGES.slice(1))
    await store.operate({ kind: 'advance', by: 'n', from, threshold: 1, seen: NO_BASELINE, reason: 'fine' })
  expect((await store.state()).stable).toBe(idOf(name))
}

describe('versions in Redis', () => {
  it('are there as they were published first', async () => {
    const { meta, isNew } = await versions.keep(filesOf('a'), { author: 'ann', message: 'first' })
    expect(meta).toMatchObject({ id: idOf('a'), author: 'ann', message: 'first', files: 1, bytes: 4 })
    expect(isNew).toBe(true)
    const again = await versions.keep(filesOf('a'), { author: 'bob', message: 'again', parent: idOf('b') })
    expect(again).toEqual({ meta, isNew: false })
    expect(await versions.read(idOf('a'))).toEqual({ meta, files: filesOf('a') })
    expect(await versions.read(idOf('b'))).toBeUndefined()
  })

  it('are found by their first digits', async () => {
    await versions.keep(filesOf('a'), { author: '', message: '' })
    expect(await versions.resolve(idOf('a').slice(0, 6).toUpperCase())).toBe(idOf('a'))
    for (const digits of ['', 'abc', 'zzzz', '0000', `${idOf('a')}0`])
      await expect(versions.resolve(digits)).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it('make room when there are too many, but for those that something relies on', async () => {
    await settle('stable')
    const facts = { author: '', message: '' }
    for (let n = 0; n < 100; n++) await versions.keep(filesOf(n === 0 ? 'stable' : `v${n}`), facts)
    await link.run((client) => client.zadd(keys.versions, 0, idOf('stable'), 1, idOf('v1')))
    await versions.keep(filesOf('one more'), facts)
    expect(await versions.list()).toHaveLength(100)
    expect(await versions.read(idOf('stable'))).toBeDefined()
    expect(await versions.read(idOf('v1'))).toBeUndefined()
    expect(await versions.read(idOf('v2'))).toBeDefined()
  })

  it('are told to be damaged where they are', async () => {
    await versions.keep(filesOf('a'), { author: '', message: '' })
    await link.run((client) => client.hset(keys.blobs, idOf('a'), 'x'))
    await expect(versions.read(idOf('a'))).rejects.toMatchObject({ code: 'INVALID_CONFIG' })
  })
})

describe('the state in Redis', () => {
  it('is that of no rollout at first', async () => {
    expect(await store.state()).toEqual(NO_ROLLOUT)
  })

  it('changes by what is done to the one that was seen, and by nothing else', async () => {
    await settle('a')
    const seen = await store.view()
    expect(await store.operate(publish('b'))).toMatchObject({ kind: 'done' })
    expect(await store.apply(seen, publish('c'))).toEqual({ kind: 'lost', why: 'stale' })
    const { state } = await store.view()
    expect(state).toMatchObject({ rev: 4, stable: idOf('a'), rollout: { candidate: idOf('b'), stage: 'preflight' } })
    expect(assignedVersion(state, 'n')).toEqual({ version: idOf('a'), role: 'stable', candidate: undefined })
  })

  it('is what was written, to the letter', async () => {
    await settle('a')
    const done = await store.operate(publish('b', { expectations: ['x: +deny'] }))
    expect(await store.state()).toEqual(done.kind === 'done' && done.state)
  })

  it('is written once, although the answer was lost', async () => {
    const view = await store.view()
    const first = await store.apply(view, publish('a'), undefined, 'token')
    expect(await store.apply(view, publish('a'), undefined, 'token')).toEqual(first)
    expect((await store.state()).rev).toBe(1)
  })

  it('is not written for a controller that has lost its lease', async () => {
    await settle('a')
    await store.operate(publish('b'))
    const old = await store.lease('n1')
    expect(old).toEqual({ epoch: 1, owner: 'n1', isMine: true })
    expect(await store.lease('n2')).toEqual({ epoch: 1, owner: 'n1', isMine: false })
    await store.release('n1')
    const mine = await store.lease('n2')
    expect(mine).toEqual({ epoch: 2, owner: 'n2', isMine: true })
    const view = await store.view()
    expect(view.controller).toBe('n2')
    expect(await store.apply(view, { kind: 'begin-preflight', by: 'n1' }, old)).toEqual({ kind: 'lost', why: 'lease' })
    expect(await store.apply(view, { kind: 'begin-preflight', by: 'n2' }, mine)).toMatchObject({ kind: 'done' })
  })

  it('counts the time of a stage by the clock of Redis', async () => {
    await settle('a')
    await store.operate(publish('b', { pace: USUAL_PACE }))
    await store.operate({ kind: 'begin-preflight', by: 'n' })
    await store.operate({ kind: 'pass-preflight', by: 'n', first: 'n1', isServed: true })
    const advance: Wish = { kind: 'advance', by: 'n', from: 'shadow', threshold: 0, seen: NO_BASELINE, reason: '' }
    expect(await store.operate(advance)).toMatchObject({ kind: 'refused', refused: 'too-early' })
    // Whoever believes that it is late is told where it is written.
    const view = await store.view()
    const late = { ...view, now: view.now + 3_600_000 }
    expect(await store.apply(late, advance)).toEqual({ kind: 'lost', why: 'early' })
  })

  it('keeps bad content away until an operator says so', async () => {
    await settle('a')
    await store.operate(publish('b'))
    await store.operate({ kind: 'fail-preflight', by: 'n', reason: 'no rule' })
    await observations.vote({ node: 'n', version: idOf('b'), reason: 'r' })
    expect(await store.operate(publish('b', { id: 'second' }))).toMatchObject({
      kind: 'refused',
      refused: 'quarantined',
      message: `${idOf('b').slice(0, 12)} is in quarantine: no rule`,
    })
    expect(await store.operate(publish('b', { id: 'third', again: true }))).toMatchObject({ kind: 'done' })
    expect((await store.view(idOf('b'))).quarantined).toBeUndefined()
    // It begins anew: what was held against it before counts no more.
    expect((await observations.read()).votes).toEqual([])
  })

  it('takes reasons of any length, with any characters', async () => {
    await settle('a')
    for (const [n, reason] of ['\u{1f600}'.repeat(501), 'x\ud83d', '"\\\0\n', 'a'.repeat(10_000)].entries()) {
      const name = `v${n}`
      await store.operate(publish(name))
      expect(await store.operate({ kind: 'fail', by: 'n', reason })).toMatchObject({ kind: 'done' })
      const { quarantined = '' } = await store.view(idOf(name))
      expect(quarantined.slice(0, 3)).toBe(reason.toWellFormed().slice(0, 3))
      expect(quarantined.length).toBeLessThan(1_010)
      expect((await store.state()).ended[0]?.reason).toBe(quarantined)
    }
  })

  it('has a log of who did what', async () => {
    await settle('a')
    await store.operate(publish('b'))
    expect(await store.log(2)).toMatchObject([
      { rev: 4, by: 'ops', event: 'publish', entry: `publish ${idOf('b').slice(0, 12)}` },
      { rev: 3, by: 'n', event: 'pass-preflight' },
    ])
  })

  it('is not made up where it is damaged', async () => {
    for (const body of ['{', '[]', '{"rollout":{}}']) {
      await link.run((client) => client.hset(keys.state, 'rev', 1, 'body', body))
      await expect(store.state()).rejects.toMatchObject({ code: 'NOT_READY' })
      await expect(store.state()).rejects.toThrow(
        /field body of \{test-rollout\}:state.*intermix rollout repair VERSION/,
      )
    }
  })

  it('is repaired by an operator where it is damaged, with all that can be saved, and nowhere else', async () => {
    await settle('a')
    for (const name of ['b', 'c']) await become(name)
    expect(await store.repair(idOf('c'), 'ann')).toMatchObject({ kind: 'refused', refused: 'not-now' })
    await store.operate(publish('d'))
    await store.operate({ kind: 'fail', by: 'n', reason: 'no' })
    await store.operate(publish('e'))
    const { rev } = await store.state()
    const body = (await link.run((client) => client.hget(keys.state, 'body'))) ?? ''
    const damage = async (text: string) => await link.run((client) => client.hset(keys.state, 'body', text))
    await damage(body.replace('"stage":"preflight"', '"stage":"unheard-of"'))
    expect(await store.repair(idOf('d'), 'ann')).toMatchObject({ refused: 'quarantined' })
    expect(await store.repair(idOf('c'), 'ann')).toMatchObject({ kind: 'done' })
    expect(await store.state()).toMatchObject({
      rev: rev + 1,
      stable: idOf('c'),
      previous: [idOf('b'), idOf('a')],
      rollout: undefined,
      ended: [{ outcome: 'aborted', candidate: idOf('c') }, { outcome: 'rejected', candidate: idOf('d') }, {}, {}, {}],
    })
    const [last] = await store.log(1)
    expect(last).toMatchObject({
      event: 'repair',
      by: 'ann',
      rev: rev + 1,
      entry: expect.stringContaining('cannot be read'),
    })
    // Nothing of it can be read: what was relied on is known still, and what was under way is among it.
    await damage('{"stable":')
    expect(await store.repair(idOf('b'), 'ann')).toMatchObject({ kind: 'done' })
    expect(await store.state()).toMatchObject({ stable: idOf('b'), previous: [idOf('c'), idOf('a')] })
    // Which of them came last is not known: it has to be named.
    const back = { kind: 'rollback', by: 'ann', to: undefined, reason: 'x' } as const
    expect(await store.operate(back)).toMatchObject({ refused: 'not-now' })
    expect(await store.operate({ ...back, to: idOf('a') })).toMatchObject({ kind: 'done' })
  })

  it('takes what needs no time from a clock that is behind, too', async () => {
    await settle('a')
    await store.operate(publish('b'))
    await link.run((client) => client.hset(keys.state, 'since', Date.now() + 3_600_000))
    expect(await store.operate({ kind: 'abort', by: 'ops', reason: 'no' })).toMatchObject({ kind: 'done' })
  })

  it('leaves out outcomes that make no sense', async () => {
    const good = { id: 'x', candidate: idOf('a'), outcome: 'stable', reason: '', at: 5 }
    const ended = [
      { ...good, at: 1e300 },
      { ...good, at: 'x' },
      { ...good, outcome: 'x' },
      { ...good, candidate: 7 },
      good,
    ]
    await link.run((client) => client.hset(keys.state, 'rev', 1, 'body', JSON.stringify({ ended })))
    expect((await store.state()).ended).toEqual([good])
  })
})

describe('what processes say', () => {
  it('tells of those that were started again without a word of leaving', async () => {
    const [first, second] = ['11111111-1111', '22222222-2222']
    const said = saying({ version: idOf('b'), stage: 's' })
    await observations.observe('n2', { ...said, start: first })
    await observations.observe('n2', { ...said, start: first, rev: 9 })
    expect((await observations.read()).died).toEqual([])
    await observations.observe('n2', { ...said, start: second, version: idOf('a') })
    await observations.observe('n2', { ...said, start: second, version: idOf('a'), rev: 10 })
    const { observations: there, died } = await observations.read()
    expect(there).toMatchObject([{ node: 'n1' }, { node: 'n2', start: second, version: idOf('a'), rev: 10 }])
    expect(died).toMatchObject([{ node: 'n2', start: first, version: idOf('b'), rev: 9 }])
    // One of each version is enough, however often it is started again.
    for (let n = 0; n < 10; n++)
      await observations.observe('n2', { ...said, start: `33333333-${n}`, version: undefined })
    expect((await observations.read()).died).toHaveLength(3)
    await observations.observe('n2', { ...said, start: '33333333-9', isLeaving: true, version: idOf('c') })
    await observations.observe('n2', { ...said, start: first })
    expect((await observations.read()).died.map(({ version }) => version)).not.toContain(idOf('c'))
  })

  it('is read a hundred at a time, so that requests are answered meanwhile', async () => {
    const said = Array.from({ length: 250 }, (_, n) => [`n${n}`, 5, JSON.stringify(saying({ stage: 's' }))])
    let turns = 0
    const turn = async () => {
      turns++
      await Promise.resolve()
    }
    const read = await readObserved(said.flat(), turn)
    expect([read.observations.length, turns]).toEqual([250, 2])
  })

  it('knows nothing of starts from a release that names none', async () => {
    await observations.observe('n1', saying({ version: idOf('a'), start: 'new' }))
    await link.run((client) => client.hset(keys.observations, 'n1', JSON.stringify({ stage: 's', version: idOf('a') })))
    await observations.observe('n1', saying({ version: idOf('a'), start: 'newer' }))
    expect(await observations.read()).toMatchObject({ died: [], observations: [{ node: 'n1', start: 'newer' }] })
  })

  beforeEach(() => observations.observe('n1', saying({ version: idOf('a'), stage: 's', rev: 3 })))

  it('is read by all, and their last word counts', async () => {
    const flips = [{ from: 'allow', to: 'deny', rule: 'r', count: 2, examples: ['/a'] }]
    const counters = {
      ...saying().counters,
      checks: 5,
      denials: 1,
      denialsBy: { r: 1 },
      medians: [100.5],
      tails: [200.5],
    }
    const said = saying({ shadow: { pairs: 5, incomparable: 1, flips }, counters, isLeaving: true })
    await observations.observe('n2', said)
    const { observations: all } = await observations.read()
    const [one, two] = all.toSorted((a, b) => (a.node < b.node ? -1 : 1))
    expect(one).toMatchObject({ node: 'n1', version: idOf('a'), stage: 's', rev: 3, isHealthy: true })
    expect(two).toEqual({ ...said, node: 'n2', ageMs: two?.ageMs, version: undefined })
  })

  it('is forgotten when they have been silent for long', async () => {
    const [seconds] = await link.run((client) => client.time())
    await link.run((client) => client.zadd(keys.seen, `${Number(seconds) - 121}000`, 'n1'))
    expect((await observations.read()).observations).toEqual([])
    await observations.observe('n2', saying())
    expect(await link.run((client) => client.hkeys(keys.observations))).toEqual(['n2'])
  })

  it('is left out where it cannot be read', async () => {
    await link.run((client) => client.hset(keys.observations, 'n1', '{"stage":1}'))
    expect((await observations.read()).observations).toEqual([])
  })

  it('loses its examples first where it is long', async () => {
    const examples = Array.from({ length: 3 }, () => 'x'.repeat(4_000))
    const flips = Array.from({ length: 60 }, (_, n) => ({
      from: 'allow',
      to: 'deny',
      rule: `r${n}`,
      count: 1,
      examples,
    }))
    await observations.observe('n1', saying({ shadow: { pairs: 1, incomparable: 0, flips } }))
    const [one] = (await observations.read()).observations
    expect(one?.shadow?.flips).toHaveLength(50)
    expect(one?.shadow?.flips[0]).toMatchObject({ rule: 'r0', examples: [] })
  })

  it('has votes that stay', async () => {
    await observations.vote({ node: 'n1', version: idOf('b'), reason: 'crash' })
    await observations.vote({ node: 'n1', version: idOf('b'), reason: 'crash again' })
    expect((await observations.read()).votes).toEqual([{ node: 'n1', version: idOf('b'), reason: 'crash again' }])
  })

  it('passes over what is no vote', async () => {
    await link.client.hset(keys.votes, {
      n1: 'no JSON',
      n2: '7',
      n3: '{"version":7}',
      n4: '{"version":"x","rollout":7}',
    })
    expect((await observations.read()).votes).toEqual([{ node: 'n4', version: 'x', reason: '' }])
  })
})
