// Header lines as one map of names to values, the same one at every door.

import { isUtf8 } from 'node:buffer'
import { RefusedRequest } from '../kernel/refused-request.ts'

/**
 * Fields that a message may have once, as they are no lists (RFC 9110 section 5.3; RFC 9111, 6265, 6266, 6454, Fetch).
 * Of two, one program takes the first and the next program the last.
 */
const SINGLETONS: ReadonlySet<string> = new Set([
  'access-control-request-method',
  'age',
  'authorization',
  'content-disposition',
  'content-length',
  'content-location',
  'content-range',
  'content-type',
  'date',
  'etag',
  'expires',
  'from',
  'host',
  'if-modified-since',
  'if-range',
  'if-unmodified-since',
  'last-modified',
  'location',
  'max-forwards',
  'origin',
  'proxy-authorization',
  'range',
  'referer',
  'retry-after',
  'server',
  'user-agent',
])

/** A list by its look that must stay apart: its values have commas of their own (RFC 6265 section 3). */
const SET_COOKIE = 'set-cookie'

/** Whether several lines of a header mean the same as one line with commas. `name` in lower case. */
function isJoinable(name: string): boolean {
  return name !== SET_COOKIE && !SINGLETONS.has(name)
}

/**
 * Adds a line to a map. Lines of one name are joined by `,`, as Envoy does it, and cookies by `; ` (RFC 9113 section
 * 8.2.3); which the names of other fields mean, nobody but the application knows, so they are joined too.
 * @param name in lower case
 * @throws RefusedRequest `repeated` for a second line of a field that may not be joined.
 */
export function addField(headers: Map<string, string>, name: string, value: string): void {
  const before = headers.get(name)
  if (before === undefined) headers.set(name, value)
  else if (isJoinable(name)) headers.set(name, before + (name === 'cookie' ? '; ' : ',') + value)
  else throw new RefusedRequest('repeated', `the request has the header ${name} more than once`)
}

/**
 * The text of a header's bytes, which are UTF-8 at every door.
 * @throws RefusedRequest `ill-formed` for other bytes: programs read them in several ways.
 */
export function fieldText(name: string, bytes: Uint8Array): string {
  if (!isUtf8(bytes)) throw new RefusedRequest('ill-formed', `the header ${name} of the request is not UTF-8`)
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8')
}
