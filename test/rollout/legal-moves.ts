// What may become of a state of config rollout, said apart from the code that changes it: for tests that watch it.

import assert from 'node:assert/strict'
import { runsCandidate } from '../../src/rollout/cohort.ts'
import { leastMs } from '../../src/rollout/stages.ts'
import type { Rollout, RolloutState } from '../../src/rollout/state.ts'

const ORDER = ['preflight', 'shadow', 'namespaces', 'one-node', '5%', '25%', '50%', '100%']
const SHARES = ['5%', '25%', '50%']
const NODES = Array.from({ length: 12 }, (_, n) => `n${n}`)

/** A change as the audit log has it. */
export interface LoggedEvent {
  readonly kind: string
  readonly version?: string
  readonly again?: boolean
  readonly now?: boolean
}

/** What attempts have been through. */
export class History {
  readonly #stages = new Map<string, Set<string>>()
  readonly #bad = new Set<string>()

  /** Holds one change against the rules. @throws AssertionError where it breaks one */
  step(before: RolloutState, event: LoggedEvent, after: RolloutState): void {
    assert.equal(after.rev, before.rev + 1)
    const { rollout } = after
    if (event.kind === 'publish') this.#published(event, rollout)
    else if (before.rollout !== undefined && rollout !== undefined) this.#moved(before.rollout, event, rollout)
    else assert.equal(rollout, undefined)
    if (rollout !== undefined)
      this.#stages.set(rollout.id, (this.#stages.get(rollout.id) ?? new Set()).add(rollout.stage))
    if (after.stable !== before.stable) this.#settled(before, event, after)
    this.#noteBad(before, event, after)
    for (const version of after.previous)
      assert.ok(!this.#bad.has(version), 'what is in quarantine may be gone back to')
    assert.ok(cohortOf(rollout).length <= mostOf(rollout), `too many run it at ${rollout?.stage}`)
  }

  #published({ version = '', again }: LoggedEvent, rollout: Rollout | undefined): void {
    const { candidate, stage, status, hasty } = rollout ?? {}
    assert.deepEqual([candidate, stage, status, hasty], [version, 'preflight', 'running', false])
    assert.ok(!this.#bad.has(version) || again === true, 'what is in quarantine is tried again')
    this.#bad.delete(version)
  }

  #moved(old: Rollout, { kind }: LoggedEvent, now: Rollout): void {
    const kept = ({ id, candidate, expectations, namespaces, pace }: Rollout) => ({
      id,
      candidate,
      expectations,
      namespaces,
      pace,
    })
    assert.deepEqual(kept(now), kept(old))
    if (old.status === 'rolling-back') assert.equal(now.status, 'rolling-back')
    const steps = orderOf(now).indexOf(now.stage) - orderOf(old).indexOf(old.stage)
    if (steps === 1) assert.ok(['advance', 'pass-preflight', 'promote'].includes(kind), kind)
    else if (kind === 'promote' && steps > 0) assert.deepEqual([SHARES.includes(old.stage), now.stage], [true, '100%'])
    else if (kind === 'advance' && steps > 0)
      assert.deepEqual([old.stage, now.stage, old.hasty], ['one-node', '100%', true])
    else assert.equal(steps, 0)
    if (kind === 'promote' && steps === 1) assert.equal(old.stage, '50%')
    if (kind === 'advance') assert.ok(now.since - old.since >= leastMs(old.stage, old.pace), `too early: ${old.stage}`)
    if (steps !== 0) assert.deepEqual([old.status === 'running' || kind === 'promote', now.status], [true, 'running'])
    if (kind === 'choose-cohort') {
      assert.deepEqual([old.status, SHARES.includes(old.stage)], ['running', true])
      assert.ok(now.since >= old.since && now.first !== old.first, 'the share begins again, with another node')
    }
    assert.ok(now.threshold >= old.threshold, 'the threshold falls')
    if (kind !== 'advance' && kind !== 'choose-cohort') assert.equal(now.threshold, old.threshold)
    // Who runs the candidate runs it on, unless all go back or the one node is another one.
    const remaining = new Set(cohortOf(now))
    if (now.status !== 'rolling-back' && kind !== 'choose-first' && kind !== 'choose-cohort')
      assert.deepEqual(
        cohortOf(old).filter((node) => !remaining.has(node)),
        [],
      )
  }

  #settled(before: RolloutState, { kind, now }: LoggedEvent, after: RolloutState): void {
    const { rollout } = before
    if (kind === 'promote') assert.equal(now, true, 'the bake is left out by accident')
    if (kind === 'rollback') {
      assert.ok(before.previous.includes(after.stable ?? ''), 'it was never stable')
      return
    }
    assert.equal(after.stable, rollout?.candidate)
    assert.deepEqual([after.ended[0]?.id, after.ended[0]?.outcome], [rollout?.id, 'stable'])
    if (before.stable === undefined) return
    const seen = this.#stages.get(rollout?.id ?? '') ?? new Set()
    const isHasty = rollout?.hasty === true
    assert.deepEqual(
      orderOf(rollout).filter((stage) => !seen.has(stage) && !(isHasty && SHARES.includes(stage))),
      [],
    )
  }

  #noteBad({ stable, rollout }: RolloutState, { kind }: LoggedEvent, after: RolloutState): void {
    const wasGood = rollout !== undefined && rollout.status !== 'rolling-back'
    if (kind === 'fail' || kind === 'fail-preflight') this.#bad.add(rollout?.candidate ?? '')
    if (kind === 'rollback' && after.stable === stable && wasGood) this.#bad.add(rollout.candidate)
    if (kind === 'rollback' && after.stable !== stable) this.#bad.add(stable ?? '')
  }
}

/** Nobody leaves out namespaces that an operator named, nor goes by any where none are. */
function orderOf(rollout: Rollout | undefined): readonly string[] {
  return rollout?.namespaces.length === 0 ? ORDER.filter((stage) => stage !== 'namespaces') : ORDER
}

function cohortOf(rollout: Rollout | undefined): string[] {
  return rollout === undefined ? [] : NODES.filter((node) => runsCandidate(rollout, node))
}

function mostOf(rollout: Rollout | undefined): number {
  if (rollout === undefined || rollout.status === 'rolling-back') return 0
  const { stage } = rollout
  if (stage === 'preflight' || stage === 'shadow') return 0
  return stage === 'namespaces' || stage === 'one-node' ? 1 : NODES.length
}
