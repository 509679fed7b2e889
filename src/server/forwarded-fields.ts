// The header lines of a forward-auth call, told apart: what describes the original request, and its own headers.

import { RefusedRequest } from '../kernel/refused-request.ts'
import { addField, nodeFieldText } from '../wire/header-map.ts'
import { FORWARDED_ATTRIBUTES_HEADER } from '../wire/request-headers.ts'

/** Headers by which proxies say which request they ask about. */
const DESCRIBING: ReadonlySet<string> = new Set([
  'x-forwarded-uri',
  'x-forwarded-method',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-forwarded-for',
  'x-original-url',
  'x-original-uri',
  'x-original-method',
])

/** Those to whose end each proxy adds, in the same line or in one of its own. */
const LISTS: ReadonlySet<string> = new Set(['x-forwarded-host', 'x-forwarded-proto', 'x-forwarded-for'])

/** Without what only the proxy has to say, and without what nobody may say in a header. */
const HIDDEN: ReadonlySet<string> = new Set([
  FORWARDED_ATTRIBUTES_HEADER,
  'x-forwarded-uri',
  'x-forwarded-method',
  'x-original-url',
  'x-original-uri',
  'x-original-method',
])

export interface ForwardedFields {
  /** The headers that policy sees, by name in lower case. */
  readonly headers: Map<string, string>
  /**
   * What describes the request, as the last line of each name has it, of lists all lines as one: the nearest proxy adds
   * behind what a client sent.
   */
  readonly said: ReadonlyMap<string, string>
}

/**
 * Reads Node's raw headers (name, value, name, …), since its joined ones drop repeated lines of some names and keep the
 * first of others.
 * @throws RefusedRequest `repeated`, `ill-formed`, `too-large` for more than `maxFields` lines
 */
export function readFields(rawHeaders: readonly string[], maxFields: number): ForwardedFields {
  if (rawHeaders.length > maxFields * 2) {
    const message = `the request has ${rawHeaders.length / 2} headers; at most ${maxFields} are taken`
    throw new RefusedRequest('too-large', message, 'raise --max-map-entries')
  }
  const headers = new Map<string, string>()
  const said = new Map<string, string>()
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = (rawHeaders[at] ?? '').toLowerCase()
    const value = nodeFieldText(name, rawHeaders[at + 1] ?? '')
    if (DESCRIBING.has(name)) {
      const before = LISTS.has(name) ? said.get(name) : undefined
      said.set(name, before === undefined ? value : `${before},${value}`)
    }
    if (!HIDDEN.has(name)) addField(headers, name, value)
  }
  return { headers, said }
}
