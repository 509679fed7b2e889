// Attributes as callers write them in JSON, read by the types of the vocabulary.

import { type AttributeBag, MapBag, type Vocabulary } from '../kernel/attribute-bag.ts'
import { isJsonObject } from '../kernel/json-object.ts'
import { fieldProblem, type Problem } from '../kernel/problem.ts'
import { RefusedRequest } from '../kernel/refused-request.ts'
import type { AttributeValue, ValueType } from '../kernel/value.ts'
import { readAttributeText, TEXT_FORMS } from './attribute-text.ts'
import { addField } from './header-map.ts'
import { HEADER_MAPS } from './request-headers.ts'

/** More problems than these help nobody, and cost a caller's victim time. */
const MAX_PROBLEMS = 50

export interface ParseAttributesOptions {
  /** Where the attributes stand in their document; problems name it. Default `attributes`. */
  readonly path?: string
  /** Adds a hint such as ` Did you mean "source.ip"?` to an unknown name. */
  readonly suggest?: (name: string, candidates: Iterable<string>) => string
  /** Most entries of all maps together. Default: no bound. */
  readonly maxMapEntries?: number
}

export type ParsedAttributes = { readonly bag: AttributeBag } | { readonly problems: readonly Problem[] }

/**
 * Reads `{"source.ip": "10.0.0.1", …}`: durations (`5ms`), times (RFC 3339) and IP addresses are text, INT64 is a number
 * or, where a number would lose digits, text; maps are objects of strings.
 * Names of headers are put into lower case, as they are at the other doors.
 * @returns every problem at once: attributes outside of the vocabulary and values of the wrong type.
 * @throws RefusedRequest `too-large` for more map entries than are taken, `repeated` as `addField` does
 */
export function parseAttributes(
  json: unknown,
  vocabulary: Vocabulary,
  options: ParseAttributesOptions = {},
): ParsedAttributes {
  const { path = 'attributes', suggest, maxMapEntries = Number.POSITIVE_INFINITY } = options
  if (!isJsonObject(json))
    return { problems: [fieldProblem(path, 'must be an object of attributes by name.', 'wrong-type')] }
  const problems: Problem[] = []
  const values = new Map<string, AttributeValue>()
  let entries = 0
  for (const [name, written] of Object.entries(json)) {
    if (problems.length >= MAX_PROBLEMS) break
    const type = vocabulary.get(name)
    const place = `${path}.${name.slice(0, 200)}`
    if (type === undefined) {
      const hint = suggest?.(name, vocabulary.keys()) ?? ''
      problems.push(fieldProblem(place, `no attribute manifest has this attribute.${hint}`, 'unknown-attribute'))
      continue
    }
    if (type === 'STRING_MAP' && isJsonObject(written)) {
      entries += Object.keys(written).length
      if (entries > maxMapEntries) throw tooManyEntries(path, maxMapEntries)
    }
    const value = HEADER_MAPS.has(name) ? readHeaders(written) : readValue(type, written)
    if (value === undefined) {
      problems.push(fieldProblem(place, `is ${describe(written)} and must be ${TEXT_FORMS[type]}.`, 'wrong-type'))
    } else values.set(name, value)
  }
  return problems.length > 0 ? { problems } : { bag: new MapBag(values) }
}

function readValue(type: ValueType, written: unknown): AttributeValue | undefined {
  if (type === 'STRING_MAP') return readMap(written)
  if (typeof written === 'string') return type === 'BOOL' ? undefined : readAttributeText(type, written)
  if (type === 'BOOL') return typeof written === 'boolean' ? written : undefined
  if (typeof written !== 'number') return undefined
  if (type === 'DOUBLE') return written
  return type === 'INT64' && Number.isSafeInteger(written) ? BigInt(written) : undefined
}

function readHeaders(written: unknown): AttributeValue | undefined {
  if (!isJsonObject(written)) return undefined
  const headers = new Map<string, string>()
  for (const [name, value] of Object.entries(written)) {
    if (typeof value !== 'string') return undefined
    addField(headers, name.toLowerCase(), value)
  }
  return headers
}

function readMap(written: unknown): AttributeValue | undefined {
  if (!isJsonObject(written)) return undefined
  const map = new Map<string, string>()
  for (const [key, value] of Object.entries(written)) {
    if (typeof value !== 'string') return undefined
    map.set(key, value)
  }
  return map
}

function tooManyEntries(path: string, most: number): RefusedRequest {
  return new RefusedRequest(
    'too-large',
    `${path}: more than ${most} map entries; send fewer`,
    'raise --max-map-entries',
  )
}

function describe(written: unknown): string {
  if (written === null) return 'null'
  if (Array.isArray(written)) return 'a list'
  if (typeof written === 'object') return 'an object'
  return JSON.stringify(typeof written === 'string' ? written.slice(0, 64) : written)
}
