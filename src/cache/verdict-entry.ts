// One cached verdict of one handler, with absolute times: every tier hands on the life that remains from when the
// backend spoke, never a fresh one. Times are of the monotonic clock, which nobody can set: a verdict gets neither older
// nor younger when the machine's clock is corrected.

import { DEFAULT_VALID_USES, type Verdict } from '../kernel/verdict.ts'
import { recordBytes } from './instance-bytes.ts'
import type { Epoch } from './revocations.ts'

/** All times in milliseconds on this process's monotonic clock. */
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

/** Bytes that an entry takes, roughly: objects, times, the texts of the verdict and its output. */
export function entryBytes(key: string, { verdict }: VerdictEntry): number {
  const direct = verdict.directResponse
  const headers = direct === undefined ? 0 : JSON.stringify(direct.headers).length + direct.body.length
  const output = verdict.output === undefined ? 0 : recordBytes(verdict.output)
  return 320 + 2 * (key.length + verdict.status.message.length + headers) + output
}

/** Counts one use of a cached verdict. */
export function spend(entry: VerdictEntry, now: number): void {
  entry.usesLeft--
  entry.hits++
  entry.lastHitAt = now
}
