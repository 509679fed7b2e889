// What a process remembers of versions beyond its own end: which ones it has served well by, which one it was starting, and
// which ones it holds for bad.

import { isJsonObject } from '../../kernel/json-object.ts'
import { isVersionId } from '../version.ts'

/** A version in one attempt to roll it out: tried again, the same content gets another chance. Empty outside of a rollout. */
export interface Attempt {
  readonly version: string
  readonly rollout: string
}

/** A version that was taken into use and has not proved itself yet. */
export interface Boot extends Attempt {
  /** How often, this time included. */
  readonly attempt: number
}

/** A version that this process holds for bad. */
export interface Bad extends Attempt {
  readonly reason: string
  /** Whether the others have been told. */
  readonly isTold: boolean
  /** Since when, on the clock of this machine, in ms. */
  readonly at: number
  /** How often it was found so. */
  readonly times: number
}

export interface Records {
  /** Versions that this process has served well by, the last one first; two at most. */
  readonly confirmed: readonly string[]
  /** The stable version of the mesh, when it was last known. */
  readonly stable: string | undefined
  readonly boot: Boot | undefined
  /** The latest one first. */
  readonly bad: readonly Bad[]
}

export const NO_RECORDS: Records = { confirmed: [], stable: undefined, boot: undefined, bad: [] }

/** Versions to start with, and to remember as bad. */
export const MAX_CONFIRMED = 2
const MAX_BAD = 8
const MAX_REASON = 500

/** For how long the stable version of the mesh is held for bad: at first, and at most, in ms. */
const FIRST_HOLD_MS = 5 * 60_000
const MAX_HOLD_MS = 60 * 60_000

/** The records with a version that was found bad, once more perhaps. What was told of it is not told again. */
export function withBad(records: Records, attempt: Attempt, reason: string, at: number): Records {
  const { version, rollout } = attempt
  const before = records.bad.find((other) => isSame(other, attempt))
  const others = records.bad.filter((other) => other !== before)
  const bad: Bad = {
    version,
    rollout,
    reason: reason.slice(0, MAX_REASON),
    isTold: before?.isTold ?? false,
    at,
    times: (before?.times ?? 0) + 1,
  }
  return { ...records, bad: [bad, ...others].slice(0, MAX_BAD) }
}

/**
 * Until when a version is held for bad, in ms; `undefined`: for good. A candidate is so in its rollout. What is stable for the
 * whole mesh is tried again, each time twice as late: what ended this process may have been something else.
 */
export function heldUntil({ rollout, at, times }: Bad): number | undefined {
  return rollout === '' ? at + Math.min(MAX_HOLD_MS, FIRST_HOLD_MS * 2 ** (times - 1)) : undefined
}

export function isSame(one: Attempt, other: Attempt): boolean {
  return one.version === other.version && one.rollout === other.rollout
}

/** What a process has learnt itself, and behind that what one before it has left. */
export function joined(own: Records, left: Records): Records {
  const others = left.bad.filter((bad) => !own.bad.some((known) => isSame(known, bad)))
  return {
    confirmed: [...new Set([...own.confirmed, ...left.confirmed])].slice(0, MAX_CONFIRMED),
    stable: own.stable ?? left.stable,
    // While this process has begun with nothing itself.
    boot: own === NO_RECORDS ? left.boot : own.boot,
    bad: [...own.bad, ...others].slice(0, MAX_BAD),
  }
}

/** Versions whose files are to be kept. */
export function neededBy({ confirmed, stable, boot }: Records): ReadonlySet<string> {
  return new Set([...confirmed, stable, boot?.version].filter((id) => id !== undefined))
}

/** Records as they were written, by this release or another; what makes no sense is left out. */
export function readRecords(json: unknown): Records {
  if (!isJsonObject(json)) return NO_RECORDS
  const confirmed = listOf(json['confirmed']).filter((id): id is string => typeof id === 'string' && isVersionId(id))
  const stable = json['stable']
  const boot = readAttempt(json['boot'])
  const attempt = isJsonObject(json['boot']) ? json['boot']['attempt'] : undefined
  return {
    confirmed: confirmed.slice(0, MAX_CONFIRMED),
    stable: typeof stable === 'string' && isVersionId(stable) ? stable : undefined,
    boot: boot && { ...boot, attempt: Number.isSafeInteger(attempt) ? (attempt as number) : 1 },
    bad: listOf(json['bad']).flatMap(readBad).slice(0, MAX_BAD),
  }
}

function readBad(json: unknown): readonly Bad[] {
  const attempt = readAttempt(json)
  if (attempt === undefined || !isJsonObject(json)) return []
  const { reason, isTold, at, times } = json
  return [
    {
      ...attempt,
      reason: typeof reason === 'string' ? reason.slice(0, MAX_REASON) : '',
      isTold: isTold === true,
      at: Number.isSafeInteger(at) ? (at as number) : 0,
      times: Number.isSafeInteger(times) && (times as number) > 0 ? (times as number) : 1,
    },
  ]
}

function readAttempt(json: unknown): Attempt | undefined {
  if (!isJsonObject(json)) return undefined
  const { version, rollout } = json
  if (typeof version !== 'string' || !isVersionId(version) || typeof rollout !== 'string') return undefined
  return { version, rollout }
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? (value as unknown[]) : []
}
