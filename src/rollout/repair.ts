// What becomes of a state that cannot be read: an operator says which version is stable, and what can be saved of the rest is.

import { isJsonObject } from '../kernel/json-object.ts'
import { parseJson } from '../kernel/parse-json.ts'
import { MAX_ENDED, MAX_PREVIOUS, NO_ROLLOUT, type RolloutState } from './state.ts'
import { readState } from './state-json.ts'
import { isVersionId, shortId } from './version.ts'

/** What there is of a state. */
export interface DamagedState {
  readonly rev: number
  readonly body: string
  /** Versions that something relied on. */
  readonly pins: readonly string[]
  readonly quarantined: ReadonlySet<string>
}

/**
 * The state in which a version is stable and nothing is under way. Of what was stable before, and of how rollouts ended, all
 * that can be read is kept; a rollout that was under way is given up, whichever it was.
 */
export function repairedState(
  { rev, body, pins, quarantined }: DamagedState,
  stable: string,
  { reason, at }: { readonly reason: string; readonly at: number },
): RolloutState {
  const kept = saved(body)
  // What was relied on may have been a candidate: that counts where nothing else is known.
  const before = [kept.stable, ...kept.previous, ...(kept.stable === undefined ? pins : [])].filter(
    (id): id is string => id !== undefined && isVersionId(id) && id !== stable && !quarantined.has(id),
  )
  // Whoever goes back from here has to say where to: which of these came last is not known.
  const given = { id: `repair@${rev}`, candidate: stable, outcome: 'aborted', reason, at } as const
  return {
    rev: rev + 1,
    stable,
    previous: [...new Set(before)].slice(0, MAX_PREVIOUS),
    rollout: undefined,
    ended: [given, ...kept.ended].slice(0, MAX_ENDED),
  }
}

export function repairEntry(version: string, reason: string): string {
  return `repair: ${shortId(version)} is stable: ${reason}`
}

function saved(body: string): RolloutState {
  try {
    const json = parseJson(body)
    return isJsonObject(json) ? readState(JSON.stringify({ ...json, rollout: null }), 0, 0) : NO_ROLLOUT
  } catch {
    return NO_ROLLOUT
  }
}
