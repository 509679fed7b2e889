// Reading JSON bodies: whatever the content type says, and with what the engine says of a text that is not JSON.

import { isUtf8 } from 'node:buffer'
import { IntermixError } from '../kernel/errors.ts'
import { RefusedRequest } from '../kernel/refused-request.ts'
import { parseJson } from '../kernel/parse-json.ts'
import { refuseRepeatedNames } from './json-names.ts'

/** @throws RefusedRequest `too-large` for more bytes than `maxBytes` */
export function refuseLongBody(body: Buffer, maxBytes: number): void {
  if (body.length <= maxBytes) return
  const message = `the body has more than ${maxBytes} bytes; send fewer attributes`
  throw new RefusedRequest('too-large', message, 'raise --max-attribute-bytes')
}

/**
 * Parses a body.
 * @param uniqueNames refuses objects that have a name twice
 * @throws IntermixError INVALID_REQUEST that names line and column or quotes the text around the mistake; RefusedRequest
 * `ill-formed` for text that is not UTF-8 or, by its escapes, not Unicode: halves of surrogate pairs, which programs read
 * in several ways; and `repeated`.
 */
export function parseJsonBody(body: Buffer, { uniqueNames }: { readonly uniqueNames: boolean }): unknown {
  if (!isUtf8(body)) throw new RefusedRequest('ill-formed', 'the body is not UTF-8')
  const text = body.toString('utf8')
  const json = parse(text)
  if (SURROGATE.test(text)) refuseSurrogates(json)
  if (uniqueNames) refuseRepeatedNames(text, json)
  return json
}

/** The escape of a half of a pair; whole pairs have it too. */
const SURROGATE = /\\u[dD][89a-fA-F]/

function refuseSurrogates(json: unknown): void {
  const rest: { readonly value: unknown; readonly path: string }[] = [{ value: json, path: '' }]
  for (let next = rest.pop(); next !== undefined; next = rest.pop()) {
    const { value, path } = next
    if (typeof value === 'string' && !value.isWellFormed()) throw illFormed(path)
    if (typeof value !== 'object' || value === null) continue
    for (const [key, item] of Object.entries(value)) {
      const place = path === '' ? key : `${path}.${key}`
      if (!key.isWellFormed()) throw illFormed(place)
      rest.push({ value: item, path: place.slice(0, 200) })
    }
  }
}

function illFormed(path: string): RefusedRequest {
  const place = path === '' ? 'the body' : path.slice(0, 200).toWellFormed()
  return new RefusedRequest('ill-formed', `${place} holds half of a surrogate pair, which is no character`)
}

function parse(text: string): unknown {
  try {
    return parseJson(text)
  } catch (error) {
    if (text.trim() === '') throw new IntermixError('INVALID_REQUEST', 'the body is empty and must be JSON')
    // What the engine quotes of the text may begin or end within a pair.
    const reason = (error as SyntaxError).message.toWellFormed()
    throw new IntermixError('INVALID_REQUEST', `malformed JSON: ${reason}`, { cause: error })
  }
}
