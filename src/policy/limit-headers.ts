// What callers over HTTP learn of limits: RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers-10), and
// Retry-After (RFC 9110, section 10.2.3) where they are refused.

import type { LimitStanding } from '../adapter-kit/define-adapter.ts'
import type { HeaderOperation } from '../kernel/header-operation.ts'

/** Header fields have bounds, and nobody reads more. */
const MOST = 8

/** The fields of these limits, in order; none where there are none. */
export function limitHeaders(limits: readonly LimitStanding[]): readonly HeaderOperation[] {
  if (limits.length === 0) return []
  const shown = limits.slice(0, MOST)
  return [
    { name: 'ratelimit-policy', value: shown.map(policyOf).join(', '), operation: 'REPLACE' },
    { name: 'ratelimit', value: shown.map(standingOf).join(', '), operation: 'REPLACE' },
  ]
}

/** Whole seconds until a refused request can be granted; `undefined` where no limit says so, or never. */
export function retryAfterSeconds(limits: readonly LimitStanding[]): number | undefined {
  const most = Math.max(0, ...limits.map(({ retryAfterMs }) => retryAfterMs))
  return most > 0 && Number.isFinite(most) ? Math.ceil(most / 1000) : undefined
}

function policyOf({ name, amount, windowMs }: LimitStanding): string {
  const window = windowMs === undefined ? '' : `;w=${Math.max(1, Math.round(windowMs / 1000))}`
  return `${quoted(name)};q=${amount}${window}`
}

function standingOf({ name, left, resetMs }: LimitStanding): string {
  return `${quoted(name)};r=${Math.max(0, left)};t=${Math.ceil(resetMs / 1000)}`
}

/** A string of structured fields (RFC 9651, section 3.3.3), which has no other characters. */
function quoted(name: string): string {
  return `"${name.replace(/[^\x20-\x7e]|["\\]/g, '_')}"`
}
