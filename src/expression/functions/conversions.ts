// The functions that make an address or a point in time of a string, and Mixer's glob match.

import { parseIp } from '../../kernel/ip-address.ts'
import { parseTimestamp, type Timestamp } from '../../kernel/time.ts'
import { EvaluationError } from '../compiled.ts'

/** Reads an IPv4 or IPv6 address. @returns 16 bytes, IPv4 mapped into IPv6. */
export function ip(text: string): Uint8Array | EvaluationError {
  const bytes = parseIp(text)
  if (bytes === undefined) return new EvaluationError(`could not convert ${text} to IP_ADDRESS`)
  if (bytes.length === 16) return bytes
  const mapped = new Uint8Array(16).fill(0xff, 10, 12)
  mapped.set(bytes, 12)
  return mapped
}

/** Reads an RFC 3339 timestamp. */
export function timestamp(text: string): Timestamp | EvaluationError {
  const expected = '2006-01-02T15:04:05Z07:00'
  const message = `could not convert '${text}' to TIMESTAMP. expected format: '${expected}'`
  return parseTimestamp(text) ?? new EvaluationError(message)
}

/** `abc*` matches what starts with `abc`, `*abc` what ends with it; a pattern without a star at an end is literal. */
export function match(text: string, pattern: string): boolean {
  if (pattern.endsWith('*')) return text.startsWith(pattern.slice(0, -1))
  return pattern.startsWith('*') ? text.endsWith(pattern.slice(1)) : text === pattern
}
