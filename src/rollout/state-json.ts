// The state as text, as Redis has it.

import { IntermixError } from '../kernel/errors.ts'
import { isJsonObject, type JsonObject } from '../kernel/json-object.ts'
import { parseJson } from '../kernel/parse-json.ts'
import { STAGES, USUAL_PACE } from './stages.ts'
import { NO_BASELINE, NO_ROLLOUT, type Outcome, type Rollout, type RolloutState } from './state.ts'
import { isVersionId } from './version.ts'

const OUTCOMES = ['stable', 'rolled-back', 'aborted', 'rejected', 'superseded'] as const
/** Of ECMAScript, in ms. */
const MAX_TIME = 8.64e15

/** Without `rev` and the time when the stage began, which Redis has beside it. */
export function stateToText(state: RolloutState): string {
  return JSON.stringify({ ...state, rev: undefined })
}

/**
 * Reads a state; an empty text is that of no rollout yet.
 * @throws IntermixError NOT_READY where it is damaged, or from a release that knows more: nothing is then concluded from it.
 */
export function readState(text: string, rev: number, since: number): RolloutState {
  if (text === '') return { ...NO_ROLLOUT, rev }
  let json: unknown
  try {
    json = parseJson(text)
  } catch {
    throw damaged('it is no JSON')
  }
  if (!isJsonObject(json)) throw damaged('it is no object')
  const { stable, previous, rollout, ended } = json
  return {
    rev,
    stable: versionOf(stable),
    previous: listOf(previous).filter((id): id is string => typeof id === 'string' && isVersionId(id)),
    rollout: isJsonObject(rollout) ? readRollout(rollout, since) : undefined,
    ended: listOf(ended).flatMap(readOutcome),
  }
}

/** One that makes no sense is left out: it is told, and nothing follows from it. */
function readOutcome(json: unknown): readonly Outcome[] {
  if (!isJsonObject(json)) return []
  const { id, candidate, outcome, reason, at } = json
  const known = OUTCOMES.find((name) => name === outcome)
  if (typeof candidate !== 'string' || !isVersionId(candidate) || known === undefined || !isTime(at)) return []
  return [{ id: textOf(id), candidate, outcome: known, reason: textOf(reason), at }]
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

/** Milliseconds that a date can be made of. */
function isTime(value: unknown): value is number {
  return typeof value === 'number' && Math.abs(value) <= MAX_TIME
}

function readRollout(json: JsonObject, since: number): Rollout {
  const candidate = versionOf(json['candidate'])
  const stage = STAGES.find((name) => name === json['stage'])
  const status = (['running', 'paused', 'rolling-back'] as const).find((name) => name === json['status'])
  if (candidate === undefined || stage === undefined || status === undefined)
    throw damaged('its rollout cannot be read')
  return { ...restOf(json), candidate, stage, status, since }
}

function restOf(json: JsonObject): Omit<Rollout, 'candidate' | 'stage' | 'status' | 'since'> {
  const { id, by, at, reason, ending, hasty, attempts, first, threshold, baseline, pace, expectations, namespaces } =
    json
  return {
    id: textOf(id),
    by: textOf(by),
    at: isTime(at) ? at : 0,
    reason: typeof reason === 'string' ? reason : undefined,
    ending: ending === 'rolled-back' || ending === 'aborted' ? ending : undefined,
    hasty: hasty === true,
    attempts: typeof attempts === 'number' ? attempts : 0,
    first: typeof first === 'string' ? first : undefined,
    threshold: typeof threshold === 'number' ? threshold : 0,
    baseline: {
      ...NO_BASELINE,
      ...numbersOf(baseline),
      spread: { ...NO_BASELINE.spread, ...numbersOf(isJsonObject(baseline) ? baseline['spread'] : undefined) },
    },
    pace: { ...USUAL_PACE, ...numbersOf(pace) },
    expectations: textsOf(expectations),
    namespaces: textsOf(namespaces),
  }
}

function numbersOf(json: unknown): Record<string, number> {
  if (!isJsonObject(json)) return {}
  return Object.fromEntries(
    Object.entries(json).filter((entry): entry is [string, number] => typeof entry[1] === 'number'),
  )
}

function versionOf(value: unknown): string | undefined {
  return typeof value === 'string' && isVersionId(value) ? value : undefined
}

function textsOf(value: unknown): readonly string[] {
  return listOf(value).filter((text): text is string => typeof text === 'string')
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? (value as unknown[]) : []
}

function damaged(why: string): IntermixError {
  return new IntermixError('NOT_READY', why)
}
