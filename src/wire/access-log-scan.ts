// What accepting an access log message needs to know of it, without decoding its entries.

import { RefusedRequest } from '../kernel/refused-request.ts'
import type { RequestLimits } from '../kernel/request-limits.ts'
import { isDelimited, scanFields, type WireField } from './wire-scan.ts'

/** Field numbers of `StreamAccessLogsMessage`; in both kinds of log the entries are field 1. */
const IDENTIFIER = 1
const HTTP_LOGS = 2
const TCP_LOGS = 3
const LOG_ENTRY = 1
/** Fields of an entry, and of its parts, that hold maps: headers and trailers, custom tags. */
const MAPS: ReadonlyMap<number, ReadonlySet<number>> = new Map([
  [1, new Set([22])],
  [3, new Set([13])],
  [4, new Set([4, 5])],
])
/** The shortest map entry is a tag of two bytes at most and a length. */
const MIN_ENTRY_BYTES = 2

export interface AccessLogScan {
  /** How many entries the message holds. */
  readonly entries: number
  /** The identifier as raw field bytes, tag included; `undefined` where the message has none. */
  readonly identifier: Uint8Array | undefined
}

/**
 * Counts the entries of a `StreamAccessLogsMessage` and finds its identifier.
 * @throws IntermixError INVALID_REQUEST where the bytes are not such a message; RefusedRequest `too-large` where an entry is
 * beyond the limits.
 */
export function scanAccessLog(message: Uint8Array, limits?: RequestLimits): AccessLogScan {
  let entries = 0
  let counted = 0
  let identifier: Uint8Array | undefined
  for (const field of scanFields(message)) {
    if (!isDelimited(field)) continue
    if (field.number === IDENTIFIER) {
      const raw = message.subarray(field.start, field.end)
      identifier = identifier === undefined ? raw : Buffer.concat([identifier, raw])
    } else if (field.number === HTTP_LOGS || field.number === TCP_LOGS) {
      // The two are a oneof: a repeated member is merged, the other one replaces it.
      if (field.number !== counted) entries = 0
      counted = field.number
      for (const entry of scanFields(message, field.from, field.end)) {
        if (entry.number !== LOG_ENTRY || !isDelimited(entry)) continue
        if (limits !== undefined) refuseLarge(message, entry, limits)
        entries += 1
      }
    }
  }
  return { entries, identifier }
}

function refuseLarge(message: Uint8Array, { from, end }: WireField, limits: RequestLimits): void {
  const { maxMapEntries, maxAttributeBytes } = limits
  if (end - from > maxAttributeBytes) {
    const text = `an access log entry of ${end - from} bytes; at most ${maxAttributeBytes} are taken`
    throw new RefusedRequest('too-large', text, 'raise --max-attribute-bytes, or log fewer headers')
  }
  if (end - from < maxMapEntries * MIN_ENTRY_BYTES) return
  let found = 0
  for (const part of scanFields(message, from, end)) {
    const maps = isDelimited(part) ? MAPS.get(part.number) : undefined
    if (maps === undefined) continue
    for (const field of scanFields(message, part.from, part.end)) {
      if (!maps.has(field.number) || ++found <= maxMapEntries) continue
      const text = `an access log entry with more than ${maxMapEntries} headers and tags`
      throw new RefusedRequest('too-large', text, 'raise --max-map-entries, or log fewer headers')
    }
  }
}
