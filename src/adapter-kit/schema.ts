// Schema pieces that many adapters' params share: Go durations and status codes, as Mixer's params write them.

import { z } from 'zod'
import { Code } from '../kernel/status.ts'
import { Duration, parseDuration } from '../kernel/time.ts'

export interface GoDurationOptions {
  /** Smallest allowed duration, in milliseconds. Default 0: negative durations are refused. */
  readonly minMs?: number
  /** Largest allowed duration, in milliseconds. Default: a year. */
  readonly maxMs?: number
}

const YEAR_MS = 365 * 24 * 3_600_000
const DURATION = 'a duration with its unit, such as "30s" or "1h5m"; a day is "24h"'

function inWords(ms: number): string {
  return Duration.fromMillis(ms)
    .toString()
    .replace(/(?<=[hm])0[ms](0s)?$/, '')
}

/**
 * A duration in Go's notation (`300ms`, `1h5m`), parsed to milliseconds; fractions of a millisecond are kept.
 * Give defaults in milliseconds: `goDuration().default(5_000)`.
 */
export function goDuration(options: GoDurationOptions = {}): z.ZodType<number, string> {
  const { minMs = 0, maxMs = YEAR_MS } = options
  return z.string({ error: `must be ${DURATION}` }).transform((text, context) => {
    const ms = parseDuration(text)?.toMillis()
    if (ms !== undefined && ms >= minMs && ms <= maxMs) return ms
    const message =
      ms === undefined
        ? `"${text}" must be ${DURATION}`
        : `"${text}" is out of range: it must be from ${inWords(minMs)} to ${inWords(maxMs)}`
    context.addIssue({ code: 'custom', message })
    return z.NEVER
  })
}

/** The address of a backend: `http://` or `https://`. */
export function httpUrl(): z.ZodURL {
  return z.url({ protocol: /^https?$/, error: 'must be an address that begins with http:// or https://' })
}

const NAMES = Object.keys(Code).join(', ')

/** A google.rpc.Code by number (0 to 16) or by name (`PERMISSION_DENIED`), parsed to the number. */
export function statusCode(): z.ZodType<number, number | string> {
  return z.union([z.number(), z.string()]).transform((value, context) => {
    const code = typeof value === 'string' ? (Code as Readonly<Record<string, number>>)[value.toUpperCase()] : value
    if (code !== undefined && Number.isInteger(code) && code >= 0 && code <= Code.UNAUTHENTICATED) return code
    context.addIssue({ code: 'custom', message: `"${value}" is not a status code; use 0 to 16 or one of ${NAMES}` })
    return z.NEVER
  })
}
