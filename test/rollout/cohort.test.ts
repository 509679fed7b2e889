// Who runs a candidate: one node first, then shares that grow, and the same for whoever asks.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { assignedVersion, firstOf, runsCandidate, thresholdFor } from '../../src/rollout/cohort.ts'
import { SHARES, STAGES, USUAL_PACE } from '../../src/rollout/stages.ts'
import { NO_BASELINE, NO_ROLLOUT, type Rollout } from '../../src/rollout/state.ts'
import { idOf } from './support.ts'

const ROLLOUT: Rollout = {
  id: 'try',
  candidate: idOf('b'),
  by: 'ops',
  at: 0,
  since: 0,
  stage: 'shadow',
  status: 'running',
  reason: undefined,
  ending: undefined,
  hasty: false,
  attempts: 1,
  first: undefined,
  threshold: 0,
  baseline: NO_BASELINE,
  pace: USUAL_PACE,
  expectations: [],
  namespaces: [],
}

const nodes = fc.uniqueArray(fc.stringMatching(/^[a-z0-9.:-]{1,20}$/), { minLength: 1, maxLength: 60 })

/** The cohorts of all stages, one after the other. */
function cohorts(id: string, names: readonly string[], first?: string): string[][] {
  let rollout: Rollout = { ...ROLLOUT, id, first: first ?? firstOf({ id, candidate: ROLLOUT.candidate }, names) }
  return STAGES.map((stage) => {
    rollout = { ...rollout, stage, threshold: Math.max(rollout.threshold, thresholdFor(rollout, stage, names)) }
    return names.filter((node) => runsCandidate(rollout, node))
  })
}

describe('the cohorts of a rollout', () => {
  it('are nobody, one node, and then the share of each stage; whoever is in one stays', () => {
    fc.assert(
      fc.property(fc.uuid(), nodes, fc.nat(), fc.boolean(), (id, names, at, isLowest) => {
        // Workers and nodes that cannot serve have places, too: the first node need not have the first one.
        const all = cohorts(id, names, isLowest ? undefined : names[at % names.length])
        const sizes = all.map(({ length }) => length)
        const share = (part: number) => Math.max(1, Math.ceil(part * names.length))
        expect(sizes).toEqual([0, 0, 1, 1, share(0.05), share(0.25), share(0.5), names.length])
        for (const [at, cohort] of all.entries()) expect(all[at + 1] ?? cohort).toEqual(expect.arrayContaining(cohort))
      }),
    )
  })

  it('are others for another attempt, and for all that ask the same', () => {
    const names = Array.from({ length: 50 }, (_, n) => `n${n}`)
    const firsts = Array.from({ length: 100 }, (_, n) => firstOf({ ...ROLLOUT, id: `try-${n}` }, names))
    expect(new Set(firsts).size).toBeGreaterThan(30)
    expect(firstOf(ROLLOUT, names.toReversed())).toBe(firstOf(ROLLOUT, names))
    expect(firstOf(ROLLOUT, [])).toBeUndefined()
  })

  it('take in who comes later by their own place, as many as the share says', () => {
    const names = Array.from({ length: 1_000 }, (_, n) => `n${n}`)
    const threshold = thresholdFor(ROLLOUT, '25%', names)
    const late = Array.from({ length: 1_000 }, (_, n) => `late${n}`)
    const rollout: Rollout = { ...ROLLOUT, stage: '25%', threshold }
    const share = late.filter((node) => runsCandidate(rollout, node)).length / late.length
    expect(Math.abs(share - (SHARES['25%'] ?? 0))).toBeLessThan(0.05)
  })
})

describe('what a process is to do', () => {
  const state = { ...NO_ROLLOUT, stable: idOf('a') }
  const roles = (rollout: Rollout) => ['n1', 'n2'].map((node) => assignedVersion({ ...state, rollout }, node)?.role)

  it('follows from the state', () => {
    expect(assignedVersion(NO_ROLLOUT, 'n1')).toBeUndefined()
    expect(assignedVersion(state, 'n1')).toEqual({ version: idOf('a'), role: 'stable', candidate: undefined })
    const one: Rollout = { ...ROLLOUT, first: 'n1' }
    expect(roles(one)).toEqual(['shadow', 'stable'])
    expect(roles({ ...one, stage: 'namespaces' })).toEqual(['candidate', 'stable'])
    expect(roles({ ...one, stage: 'one-node' })).toEqual(['candidate', 'stable'])
    expect(roles({ ...one, stage: 'one-node', status: 'paused' })).toEqual(['candidate', 'stable'])
    expect(roles({ ...one, stage: '100%' })).toEqual(['candidate', 'candidate'])
    for (const stage of STAGES) expect(roles({ ...one, stage, status: 'rolling-back' })).toEqual(['stable', 'stable'])
    expect(assignedVersion({ ...state, rollout: one }, 'n1')).toMatchObject({
      version: idOf('a'),
      candidate: idOf('b'),
    })
  })
})
