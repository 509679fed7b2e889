// What may become of a state of config rollout, said apart from the code that changes it: for tests that watch it.

import { expect } from 'vitest'
import { runsCandidate } from '../../src/rollout/cohort.ts'
import { leastMs } from '../../src/rollout/stages.ts'
import type { Rollout, RolloutState } from '../../src/rollout/state.ts'

const ORDER = ['preflight', 'shadow', 'one-node', '5%', '25%', '50%', '100%']
const SHARES = ['5%', '25%', '50%']
const NODES = Array.from({ length: 12 }, (_, n) => `n${n}`)

/** A change as the audit log has it. */
export interface LoggedEvent {
  readonly kind: string
  readonly version?: string
  readonly again?: boolean
  readonly to?: string
}

/** What one attempt has been through. */
export class History {
  readonly #stages = new Map<string, Set<string>>()
  readonly #bad = new Set<string>()

  /** Holds one change against the rules. */
  step(before: RolloutState, event: LoggedEvent, after: RolloutState): void {
    expect(after.rev).toBe(before.rev + 1)
    const { rollout } = after
    if (event.kind === 'publish') this.#published(event, rollout)
    else if (before.rollout !== undefined && rollout !== undefined) this.#moved(before.rollout, event, rollout)
    else expect(rollout).toBeUndefined()
    if (rollout !== undefined)
      this.#stages.set(rollout.id, (this.#stages.get(rollout.id) ?? new Set()).add(rollout.stage))
    if (after.stable !== before.stable) this.#settled(before, event, after)
    this.#noteBad(before, event, after)
    expect(cohortOf(rollout).length).toBeLessThanOrEqual(mostOf(rollout))
  }

  #published(event: LoggedEvent, rollout: Rollout | undefined): void {
    expect(rollout).toMatchObject({ candidate: event.version, stage: 'preflight', status: 'running', hasty: false })
    expect(this.#bad.has(event.version ?? '') && event.again !== true).toBe(false)
    this.#bad.delete(event.version ?? '')
  }

  #moved(old: Rollout, { kind }: LoggedEvent, now: Rollout): void {
    expect(now).toMatchObject({ id: old.id, candidate: old.candidate, expectations: old.expectations, pace: old.pace })
    if (old.status === 'rolling-back') expect(now.status).toBe('rolling-back')
    const steps = ORDER.indexOf(now.stage) - ORDER.indexOf(old.stage)
    if (steps === 1) expect(['advance', 'pass-preflight', 'promote']).toContain(kind)
    else if (kind === 'promote' && steps > 0) expect([SHARES.includes(old.stage), now.stage]).toEqual([true, '100%'])
    else if (kind === 'advance' && steps > 0)
      expect([old.stage, now.stage, old.hasty]).toEqual(['one-node', '100%', true])
    else expect(steps).toBe(0)
    if (kind === 'advance') expect(now.since - old.since).toBeGreaterThanOrEqual(leastMs(old.stage, old.pace))
    if (steps !== 0) expect([old.status === 'running' || kind === 'promote', now.status]).toEqual([true, 'running'])
    // Who runs the candidate runs it on, unless all go back or the one node is another one.
    if (now.status !== 'rolling-back' && kind !== 'choose-first')
      expect(cohortOf(now)).toEqual(expect.arrayContaining(cohortOf(old)))
  }

  #settled(before: RolloutState, event: LoggedEvent, after: RolloutState): void {
    const { rollout } = before
    if (event.kind === 'rollback') {
      expect(before.previous).toContain(after.stable)
      return
    }
    expect(after.stable).toBe(rollout?.candidate)
    expect(after.ended[0]).toMatchObject({ id: rollout?.id, outcome: 'stable' })
    const seen = this.#stages.get(rollout?.id ?? '') ?? new Set()
    if (before.stable === undefined) return
    const must = rollout?.hasty === true ? ORDER.filter((stage) => !SHARES.includes(stage)) : ORDER
    expect([...seen]).toEqual(expect.arrayContaining(must))
  }

  #noteBad({ stable, rollout }: RolloutState, { kind }: LoggedEvent, after: RolloutState): void {
    const wasGood = rollout !== undefined && rollout.status !== 'rolling-back'
    if (kind === 'fail' || kind === 'fail-preflight') this.#bad.add(rollout?.candidate ?? '')
    if (kind === 'rollback' && after.stable === stable && wasGood) this.#bad.add(rollout.candidate)
    if (kind === 'rollback' && after.stable !== stable) this.#bad.add(stable ?? '')
  }
}

function cohortOf(rollout: Rollout | undefined): string[] {
  return rollout === undefined ? [] : NODES.filter((node) => runsCandidate(rollout, node))
}

function mostOf(rollout: Rollout | undefined): number {
  if (rollout === undefined || rollout.status === 'rolling-back') return 0
  const { stage } = rollout
  if (stage === 'preflight' || stage === 'shadow') return 0
  return stage === 'one-node' ? 1 : NODES.length
}
