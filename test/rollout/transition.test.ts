// The way of one candidate, step by step, and what operators may do on it.

import { describe, expect, it } from 'vitest'
import { assignedVersion } from '../../src/rollout/cohort.ts'
import { isRefusal, type RolloutEvent } from '../../src/rollout/events.ts'
import type { STAGES } from '../../src/rollout/stages.ts'
import { USUAL_PACE } from '../../src/rollout/stages.ts'
import { NO_BASELINE, NO_ROLLOUT, phaseOf, pinnedBy, type RolloutState, stageKey } from '../../src/rollout/state.ts'
import { transition } from '../../src/rollout/transition.ts'
import { shortId } from '../../src/rollout/version.ts'
import { idOf } from './support.ts'

type Untimed = RolloutEvent extends infer E ? (E extends unknown ? Omit<E, 'at' | 'by'> : never) : never

const SETTLED: RolloutState = { ...NO_ROLLOUT, stable: idOf('a'), previous: [idOf('z')] }
const PUBLISH: Untimed = {
  kind: 'publish',
  version: idOf('b'),
  id: 'try',
  pace: USUAL_PACE,
  expectations: [],
  quarantined: undefined,
  again: false,
}
const SEEN = { ...NO_BASELINE, checks: 10, spread: { errors: 0.1, unknowns: 0, denials: 0, latency: 0.2 } }
const HOUR = 3_600_000

const advance = (from: (typeof STAGES)[number], threshold = 0.5): Untimed => ({
  kind: 'advance',
  from,
  threshold,
  seen: SEEN,
  reason: 'fine',
})

/** Does one after the other, an hour apart; a refusal is an error. */
function after(state: RolloutState, ...events: readonly Untimed[]): RolloutState {
  return events.reduce((now, event) => {
    const change = transition(now, { ...event, at: (now.rev + 1) * HOUR, by: 'ops' })
    if (isRefusal(change)) throw new Error(`${event.kind}: ${change.message}`)
    return change.state
  }, state)
}

function refused(state: RolloutState, event: Untimed): string {
  const change = transition(state, { ...event, at: (state.rev + 1) * HOUR, by: 'ops' })
  if (!isRefusal(change)) throw new Error(`${event.kind} was not refused`)
  return change.message
}

const SHADOW = after(
  SETTLED,
  PUBLISH,
  { kind: 'begin-preflight' },
  { kind: 'pass-preflight', first: 'n1', isServed: true },
)
const ONE = after(SHADOW, advance('shadow', 0))
const QUARTER = after(ONE, advance('one-node', 0.1), advance('5%', 0.3))
const ALL = after(QUARTER, advance('25%'), advance('50%', 1))

describe('a candidate', () => {
  it('goes through all stages, one after the other, and is stable then', () => {
    expect([SHADOW, ONE, QUARTER, ALL].map(phaseOf)).toEqual(['shadow', 'one-node', '25%', '100%'])
    const stable = after(ALL, advance('100%'))
    expect(stable).toMatchObject({ stable: idOf('b'), previous: [idOf('a'), idOf('z')], rollout: undefined })
    expect(stable.ended[0]).toMatchObject({ candidate: idOf('b'), outcome: 'stable' })
    expect(pinnedBy(stable)).toEqual([idOf('b'), idOf('a'), idOf('z')])
  })

  it('begins with some namespaces at the one node where an operator names them', () => {
    const shadow = after(
      SETTLED,
      { ...PUBLISH, namespaces: ['shop'] },
      { kind: 'begin-preflight' },
      { kind: 'pass-preflight', first: 'n1', isServed: true },
    )
    const some = after(shadow, advance('shadow', 0))
    expect([phaseOf(some), some.rollout?.namespaces]).toEqual(['namespaces', ['shop']])
    expect(phaseOf(after(some, { kind: 'promote', now: false }))).toBe('namespaces')
    expect(after(some, { kind: 'choose-first', first: 'n2' }).rollout).toMatchObject({
      stage: 'namespaces',
      first: 'n2',
    })
    expect(phaseOf(after(some, advance('namespaces', 0)))).toBe('one-node')
  })

  it('has the time of its pre-flight from when that begins', () => {
    const begun = after(SETTLED, PUBLISH, { kind: 'begin-preflight' })
    expect(begun.rollout).toMatchObject({ at: HOUR, since: 2 * HOUR, attempts: 1 })
  })

  it('keeps its time in each stage', () => {
    const early = transition(SHADOW, {
      ...advance('shadow'),
      at: (SHADOW.rollout?.since ?? 0) + USUAL_PACE.shadowMs - 1,
      by: 'c',
    })
    expect(early).toMatchObject({ refused: 'too-early' })
    expect(new Set([SHADOW, ONE, QUARTER, ALL].map(stageKey)).size).toBe(4)
  })

  it('is run by more processes each time, never by fewer', () => {
    expect(after(QUARTER, advance('25%', 0)).rollout?.threshold).toBe(0.3)
  })

  it('leaves what was seen of the stable version for later stages', () => {
    expect(ALL.rollout?.baseline).toEqual({ ...SEEN, checks: 50 })
  })

  it('is stable after the pre-flight where nothing serves yet, and only there', () => {
    const begun = after(NO_ROLLOUT, PUBLISH, { kind: 'begin-preflight' })
    expect(refused(begun, { kind: 'pass-preflight', first: 'n1', isServed: true })).toContain(
      'publish first what they run',
    )
    expect(after(begun, { kind: 'pass-preflight', first: 'n1', isServed: false }).stable).toBe(idOf('b'))
    const other = after(SETTLED, PUBLISH, { kind: 'begin-preflight' })
    expect(refused(other, { kind: 'pass-preflight', first: undefined, isServed: false })).toContain('no node is there')
  })

  it('is rejected by its third pre-flight that does not end', () => {
    const begun = after(SETTLED, PUBLISH, ...Array.from({ length: 3 }, (): Untimed => ({ kind: 'begin-preflight' })))
    const change = transition(begun, { kind: 'begin-preflight', at: 0, by: 'c' })
    expect(change).toMatchObject({ state: { rollout: undefined, stable: idOf('a') } })
    expect('quarantine' in change && [...change.quarantine.keys()]).toEqual([idOf('b')])
  })

  it('makes room for another one, whose analysis begins at the beginning', () => {
    const next = after(QUARTER, { ...PUBLISH, version: idOf('c'), id: 'next' })
    expect(next.rollout).toMatchObject({
      candidate: idOf('c'),
      stage: 'preflight',
      threshold: 0,
      baseline: NO_BASELINE,
    })
    expect(next.ended[0]).toMatchObject({ candidate: idOf('b'), outcome: 'superseded' })
    expect(assignedVersion(next, 'n1')?.version).toBe(idOf('a'))
  })

  it('goes back when a guard fails, and is not tried again by itself', () => {
    const change = transition(QUARTER, { kind: 'fail', reason: 'denials', at: 0, by: 'c' })
    if (isRefusal(change)) throw new Error(change.message)
    expect(phaseOf(change.state)).toBe('rolling-back')
    expect([...change.quarantine]).toEqual([[idOf('b'), 'denials']])
    expect(['n1', 'n2'].map((node) => assignedVersion(change.state, node)?.version)).toEqual([idOf('a'), idOf('a')])
    const done = after(change.state, { kind: 'finish-rollback' })
    expect(done.ended[0]).toMatchObject({ outcome: 'rolled-back', reason: 'denials' })
    expect(refused(done, { ...PUBLISH, quarantined: 'denials' })).toContain('in quarantine: denials')
    expect(phaseOf(after(done, { ...PUBLISH, quarantined: 'denials', again: true }))).toBe('preflight')
  })

  it('is not published twice', () => {
    expect(refused(SETTLED, { ...PUBLISH, version: idOf('a') })).toContain('is stable already')
    expect(refused(ONE, PUBLISH)).toContain('is being rolled out already')
  })

  it('begins its stage again at another node where the one has left', () => {
    const moved = after(SHADOW, { kind: 'choose-first', first: 'n2' })
    expect(moved.rollout).toMatchObject({ stage: 'shadow', first: 'n2' })
    expect(stageKey(moved)).not.toBe(stageKey(SHADOW))
    expect(refused(SHADOW, { kind: 'choose-first', first: 'n1' })).toContain('already')
    expect(refused(QUARTER, { kind: 'choose-first', first: 'n2' })).toContain('more than one node')
  })

  it('begins any stage again whose time cannot be told, and goes no further by it', () => {
    for (const state of [SHADOW, ONE, QUARTER, ALL]) {
      const again = after(state, { kind: 'begin-again', reason: 'the clock' })
      expect(again.rollout).toEqual({ ...state.rollout, since: (state.rev + 1) * HOUR })
    }
    expect(refused(after(QUARTER, { kind: 'pause', reason: '' }), { kind: 'begin-again', reason: '' })).toContain(
      'paused',
    )
  })

  it('begins a share again where another cohort takes it over, and no other stage', () => {
    const others = { kind: 'choose-cohort', first: 'n2', threshold: 0.4 } as const
    const moved = after(QUARTER, { ...others, from: '25%' })
    expect(moved.rollout).toMatchObject({ stage: '25%', first: 'n2', threshold: 0.4, since: 7 * HOUR })
    expect(stageKey(moved)).not.toBe(stageKey(QUARTER))
    expect(after(QUARTER, { ...others, from: '25%', threshold: 0.1 }).rollout?.threshold).toBe(0.3)
    expect(refused(QUARTER, { ...others, from: '50%' })).toContain('it is at 25%')
    for (const state of [SHADOW, ONE, ALL])
      expect(refused(state, { ...others, from: state.rollout?.stage ?? 'shadow' })).toContain('not in a share')
    expect(refused(QUARTER, { ...others, first: 'n1', from: '25%' })).toContain('runs it already')
    expect(refused(after(QUARTER, { kind: 'pause', reason: 'x' }), { ...others, from: '25%' })).toContain('paused')
  })
})

describe('an operator', () => {
  it('pauses and resumes: the stage begins again', () => {
    const paused = after(QUARTER, { kind: 'pause', reason: 'lunch' })
    expect(phaseOf(paused)).toBe('paused')
    expect(assignedVersion(paused, 'n1')?.role).toBe('candidate')
    expect(refused(paused, advance('25%'))).toContain('paused')
    expect(refused(paused, { kind: 'pause', reason: '' })).toContain('already: lunch')
    const resumed = after(paused, { kind: 'resume' })
    expect(stageKey(resumed)).not.toBe(stageKey(QUARTER))
    expect(refused(resumed, { kind: 'resume' })).toContain('running')
    // Guards hold meanwhile.
    expect(phaseOf(after(paused, { kind: 'fail', reason: 'errors' }))).toBe('rolling-back')
  })

  it('promotes past the shares, and past nothing else', () => {
    const hasty = after(SHADOW, { kind: 'promote', now: false })
    expect(
      [hasty, after(hasty, advance('shadow')), after(hasty, advance('shadow'), advance('one-node'))].map(phaseOf),
    ).toEqual(['shadow', 'one-node', '100%'])
    expect(refused(hasty, { kind: 'promote', now: false })).toContain('already')
    expect(refused(hasty, advance('one-node'))).toContain('at shadow')
    expect(phaseOf(after(QUARTER, { kind: 'promote', now: false }))).toBe('100%')
    expect(after(ALL, { kind: 'promote', now: true }).stable).toBe(idOf('b'))
    // Twice is no word for leaving out the bake.
    const promoted = after(QUARTER, { kind: 'promote', now: true })
    expect(phaseOf(promoted)).toBe('100%')
    expect(refused(promoted, { kind: 'promote', now: false })).toContain('promote --now makes it stable at once')
    expect(phaseOf(after(ONE, { kind: 'pause', reason: '' }, { kind: 'promote', now: false }))).toBe('one-node')
  })

  it('aborts, which holds nothing against the content', () => {
    const change = transition(QUARTER, { kind: 'abort', reason: 'no', at: 0, by: 'ops' })
    if (isRefusal(change)) throw new Error(change.message)
    expect(change.quarantine.size).toBe(0)
    const done = after(change.state, { kind: 'finish-rollback' })
    expect(done.ended[0]?.outcome).toBe('aborted')
    expect(phaseOf(after(done, PUBLISH))).toBe('preflight')
    expect(after(SETTLED, PUBLISH, { kind: 'abort', reason: 'no' }).ended[0]?.outcome).toBe('aborted')
    expect(refused(SETTLED, { kind: 'abort', reason: '' })).toContain('no rollout')
    expect(refused(change.state, { kind: 'promote', now: false })).toContain('being rolled back: no')
  })

  it('rolls back to what is stable, or was', () => {
    const back: Untimed = { kind: 'rollback', to: undefined, reason: 'bad' }
    expect(phaseOf(after(ONE, back))).toBe('rolling-back')
    expect(phaseOf(after(ONE, { ...back, to: idOf('a') }))).toBe('rolling-back')
    const change = transition(SETTLED, { ...back, at: 0, by: 'ops' })
    expect(change).toMatchObject({
      state: { stable: idOf('z'), previous: [], ended: [{ candidate: idOf('a'), outcome: 'rolled-back' }] },
    })
    expect('quarantine' in change && [...change.quarantine.keys()]).toEqual([idOf('a')])
    const both = transition(ONE, { ...back, to: idOf('z'), at: 0, by: 'ops' })
    expect(both).toMatchObject({ state: { stable: idOf('z'), rollout: undefined } })
    expect('quarantine' in both && [...both.quarantine.keys()]).toEqual([idOf('a'), idOf('b')])
    expect(refused(SETTLED, { ...back, to: idOf('b') })).toContain('was not stable lately')
    expect(refused(SETTLED, { ...back, to: idOf('a') })).toContain('nothing else is under way')
    expect(refused({ ...SETTLED, previous: [] }, back)).toContain('nothing to go back to')
    expect(refused(after(ONE, back), back)).toContain('already')
  })

  it('goes back to nothing that is in quarantine, although it was stable once', () => {
    const again = after({ ...SETTLED, previous: [idOf('b'), idOf('z')] }, PUBLISH)
    expect(after(again, { kind: 'fail-preflight', reason: 'x' }).previous).toEqual([idOf('z')])
    const shadow = after(again, { kind: 'begin-preflight' }, { kind: 'pass-preflight', first: 'n1', isServed: true })
    expect(after(shadow, { kind: 'fail', reason: 'x' }).previous).toEqual([idOf('z')])
    expect(after(shadow, { kind: 'abort', reason: 'x' }).previous).toEqual([idOf('b'), idOf('z')])
    expect(after(shadow, { kind: 'rollback', to: idOf('z'), reason: 'x' }).previous).toEqual([])
  })

  it('goes back by no more than one version for two who ask at once, a guard or operators', () => {
    const back: Untimed = { kind: 'rollback', to: undefined, reason: 'bad' }
    const guarded = after(ONE, { kind: 'fail', reason: 'errors' }, { kind: 'finish-rollback' })
    expect(refused(guarded, back)).toContain(
      `is rolled-back already (errors), and ${shortId(idOf('a'))} is stable: to leave that one, name the version`,
    )
    const previous = [idOf('z'), idOf('y')]
    const once = after({ ...SETTLED, previous }, back)
    expect(once).toMatchObject({ stable: idOf('z'), previous: [idOf('y')] })
    expect(refused(once, back)).toContain(`of ${shortId(idOf('y'))}`)
    expect(after(once, { ...back, to: idOf('y') }).stable).toBe(idOf('y'))
    // What has become stable is what they want to leave.
    expect(after(ALL, { kind: 'promote', now: true }, back).stable).toBe(idOf('a'))
  })
})
