// Header lines as one map of names to values, the same one at every door.

import { isUtf8 } from 'node:buffer'
import { isJoinable, separatorOf } from '../kernel/header-field.ts'
import { RefusedRequest } from '../kernel/refused-request.ts'
import type { StringMap } from '../kernel/value.ts'

/**
 * Adds a line to a map. Lines of one name are joined by `,`, as Envoy does it, and cookies by `; `. What fields outside of
 * the standards mean (`x-request-id`) nobody but the application knows, so they are joined too.
 * @param name in lower case
 * @throws RefusedRequest `repeated` for a second line of a field that may not be joined.
 */
export function addField(headers: Map<string, string>, name: string, value: string): void {
  const before = headers.get(name)
  if (before === undefined) headers.set(name, value)
  else if (isJoinable(name)) headers.set(name, before + separatorOf(name) + value)
  else throw new RefusedRequest('repeated', `the request has the header ${name} more than once`)
}

/**
 * Headers with their names in lower case, for callers that have them in a map already.
 * @param hidden a name that the map shall not have
 * @throws RefusedRequest as `addField` does, where names differ by case only
 */
export function withLowerCaseNames(headers: StringMap, hidden?: string): StringMap {
  const lower = new Map<string, string>()
  for (const [given, value] of headers.entries()) {
    const name = given.toLowerCase()
    if (name !== hidden) addField(lower, name, value)
  }
  return lower
}

/**
 * The text of a header's bytes, which are UTF-8 at every door.
 * @throws RefusedRequest `ill-formed` for other bytes: programs read them in several ways.
 */
export function fieldText(name: string, bytes: Uint8Array): string {
  if (!isUtf8(bytes)) throw new RefusedRequest('ill-formed', `the header ${name} of the request is not UTF-8`)
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8')
}

/** The same of a value as Node's HTTP server has it: a character is a byte. */
export function nodeFieldText(name: string, latin1: string): string {
  // oxlint-disable-next-line no-control-regex -- the range is "every character of ASCII"
  return /^[\x00-\x7f]*$/.test(latin1) ? latin1 : fieldText(name, Buffer.from(latin1, 'latin1'))
}
