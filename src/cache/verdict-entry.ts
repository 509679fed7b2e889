// One cached verdict of one handler, with absolute times: every tier hands on the life that remains from when the
// backend spoke, never a fresh one. Times are of the monotonic clock, which nobody can set: a verdict gets neither older
// nor younger when the machine's clock is corrected.

import { DEFAULT_VALID_USES, type Verdict } from '../kernel/verdict.ts'
import { recordBytes } from './instance-bytes.ts'
import type { Epoch } from '../kernel/revocation.ts'
import { textBytes } from './text-bytes.ts'

/**
 * All times in milliseconds on this process's monotonic clock, in whole ones, rounded down: V8 keeps those in the entry
 * itself, and each fraction in an object of its own.
 */
export interface VerdictEntry {
  readonly verdict: Verdict
  /** When the backend was asked; the age counts from here. */
  readonly createdAt: number
  readonly freshUntil: number
  /** Until when it may be served if the backend gives no verdict; at least `freshUntil`. */
  readonly staleUntil: number
  readonly epoch: Epoch
  /** Whether a backend was called for it, so that the mesh may share it; else it was computed for one check. */
  readonly isFetched: boolean
  /** How long the backend took, for early refresh. */
  readonly fetchMs: number
  /** Uses that this copy may still spend: the copies of a verdict have together what its backend granted. */
  usesLeft: number
  /** Uses spent since the entry was stored, the sign that it is wanted. */
  hits: number
  lastHitAt: number
  /** Whole answers that are made of it, which hold it although its tier has dropped it. */
  answers: number
}

export type Freshness = 'fresh' | 'revalidate' | 'stale' | 'dead'

/**
 * Where an entry stands: `fresh`; `revalidate`: servable at once while it is refreshed; `stale`: servable only when the
 * backend gives no verdict; `dead`. Staleness stretches time and not uses: a verdict whose uses are bounded and spent is
 * dead.
 */
export function freshness(entry: VerdictEntry, now: number, staleWhileRevalidateMs: number): Freshness {
  if (now < entry.freshUntil && entry.usesLeft > 0) return 'fresh'
  if (now >= entry.staleUntil || (entry.usesLeft <= 0 && isUseBound(entry.verdict))) return 'dead'
  const spent = now < entry.freshUntil
  return !spent && now < entry.freshUntil + staleWhileRevalidateMs ? 'revalidate' : 'stale'
}

/** Of the uses that are left, a tier keeps seven eighths and hands on one, so that further ones can be served too. */
export const HANDED_ON_SHARE = 1 / 8

/**
 * Whether a backend meant to bound how often its verdict is given. Mixer's default, ten thousand, and more mean that it
 * did not: a verdict is then asked for anew after so many uses, but may serve on while the backend is away.
 */
export function isUseBound({ validUses }: Verdict): boolean {
  return validUses < DEFAULT_VALID_USES
}

/** What is measured by `test/cache/cache-memory.test.ts`: an entry with its place, and what a verdict of its own adds. */
const ENTRY_BYTES = 240
const VERDICT_BYTES = 130
/** An entry by itself, which is in no tier any more. */
const PART_BYTES = 130

/** Bytes that an entry takes, roughly, with its key. */
export function entryBytes(key: string, { verdict }: VerdictEntry): number {
  return ENTRY_BYTES + key.length + ownBytes(verdict)
}

/** Bytes that an entry takes, roughly, of which an answer is made. */
export function partBytes({ verdict }: VerdictEntry): number {
  return PART_BYTES + ownBytes(verdict)
}

/** What a verdict takes by itself: plain permissions of a handler are one for all entries. */
function ownBytes({ directResponse: direct, output, status }: Verdict): number {
  if (status.message === '' && direct === undefined && output === undefined) return 0
  let bytes = VERDICT_BYTES + textBytes(status.message)
  if (direct !== undefined) bytes += 256 + textBytes(direct.body) + textBytes(JSON.stringify(direct.headers))
  return output === undefined ? bytes : bytes + recordBytes(output)
}

/** Counts one use of a cached verdict. */
export function spend(entry: VerdictEntry, now: number): void {
  entry.usesLeft--
  entry.hits++
  entry.lastHitAt = Math.floor(now)
}
