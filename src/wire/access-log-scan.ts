// What accepting an access log message needs to know of it, without decoding its entries.

import { RefusedRequest } from '../kernel/refused-request.ts'
import type { RequestLimits } from '../kernel/request-limits.ts'
import { BYTES, WireReader } from './wire-reader.ts'

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
/** As many as a report may have at the other doors: entries of a few bytes each take hundreds of memory when they are read. */
const MAX_ENTRIES = 10_000
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
  const reader = new WireReader(message)
  let entries = 0
  let counted = 0
  const identifier: Uint8Array[] = []
  for (let start = reader.pos, tag = reader.tag(); tag !== 0; start = reader.pos, tag = reader.tag()) {
    const field = tag >>> 3
    const isLogs = (field === HTTP_LOGS || field === TCP_LOGS) && isDelimited(tag)
    if (isLogs) {
      // The two are a oneof: a repeated member is merged, the other one replaces it.
      if (field !== counted) entries = 0
      counted = field
      entries += countEntries(reader, tag, limits)
      if (limits !== undefined && entries > MAX_ENTRIES) throw tooMany(entries)
      continue
    }
    reader.skip(tag)
    if (field !== IDENTIFIER || !isDelimited(tag)) continue
    reader.boundParts(identifier.push(message.subarray(start, reader.pos)))
  }
  return { entries, identifier: identifier.length > 1 ? Buffer.concat(identifier) : identifier[0] }
}

function tooMany(entries: number): RefusedRequest {
  const text = `an access log message of ${entries} entries; at most ${MAX_ENTRIES} are taken`
  return new RefusedRequest('too-large', text, 'lower buffer_size_bytes of the access logger')
}

function isDelimited(tag: number): boolean {
  return (tag & 7) === BYTES
}

function countEntries(reader: WireReader, logsTag: number, limits: RequestLimits | undefined): number {
  const outer = reader.openField(logsTag)
  let entries = 0
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag >>> 3 !== LOG_ENTRY || !isDelimited(tag)) {
      reader.skip(tag)
      continue
    }
    const outside = reader.openField(tag)
    if (limits !== undefined) refuseLarge(reader, limits)
    reader.pos = reader.end
    reader.close(outside)
    entries += 1
  }
  reader.close(outer)
  return entries
}

/** @param reader at an entry */
function refuseLarge(reader: WireReader, { maxMapEntries, maxAttributeBytes }: RequestLimits): void {
  const size = reader.end - reader.pos
  if (size > maxAttributeBytes) {
    const text = `an access log entry of ${size} bytes; at most ${maxAttributeBytes} are taken`
    throw new RefusedRequest('too-large', text, 'raise --max-attribute-bytes, or log fewer headers')
  }
  if (size < maxMapEntries * MIN_ENTRY_BYTES) return
  let found = 0
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    const maps = isDelimited(tag) ? MAPS.get(tag >>> 3) : undefined
    if (maps === undefined) {
      reader.skip(tag)
      continue
    }
    const outer = reader.openField(tag)
    for (let part = reader.tag(); part !== 0; part = reader.tag()) {
      reader.skip(part)
      if (!maps.has(part >>> 3) || ++found <= maxMapEntries) continue
      const text = `an access log entry with more than ${maxMapEntries} headers and tags`
      throw new RefusedRequest('too-large', text, 'raise --max-map-entries, or log fewer headers')
    }
    reader.close(outer)
  }
}
