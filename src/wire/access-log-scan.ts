// What accepting an access log message needs to know of it, without decoding its entries.

import { isDelimited, scanFields } from './wire-scan.ts'

/** Field numbers of `StreamAccessLogsMessage`; in both kinds of log the entries are field 1. */
const IDENTIFIER = 1
const HTTP_LOGS = 2
const TCP_LOGS = 3
const LOG_ENTRY = 1

export interface AccessLogScan {
  /** How many entries the message holds. */
  readonly entries: number
  /** The identifier as raw field bytes, tag included; `undefined` where the message has none. */
  readonly identifier: Uint8Array | undefined
}

/**
 * Counts the entries of a `StreamAccessLogsMessage` and finds its identifier.
 * @throws IntermixError INVALID_REQUEST where the bytes are not such a message.
 */
export function scanAccessLog(message: Uint8Array): AccessLogScan {
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
        if (entry.number === LOG_ENTRY && isDelimited(entry)) entries += 1
      }
    }
  }
  return { entries, identifier }
}
