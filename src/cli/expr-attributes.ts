// The vocabulary and the attributes that `expr eval` and `expr explain` work with, from options.

import { type AttributeBag, MapBag, type Vocabulary } from '../kernel/attribute-bag.ts'
import { isJsonObject } from '../kernel/json-object.ts'
import type { AttributeValue, ValueType } from '../kernel/value.ts'
import { isValueType, valueFromJson } from './expr-values.ts'

interface Attributes {
  readonly vocabulary: Vocabulary
  readonly bag: AttributeBag
}

interface AttributeSources {
  /** JSON object of attribute name → value; `undefined` for none. */
  readonly attributes: string | undefined
  /** JSON object of attribute name → type, or of manifest name → such an object; `undefined` to go by the values. */
  readonly manifest: string | undefined
}

/** Reads both. Without a manifest the types are those that the JSON values suggest. @throws Error with all mistakes. */
export function readAttributes({ attributes, manifest }: AttributeSources): Attributes {
  const values = attributes === undefined ? {} : parseObject(attributes, 'the attributes')
  const declared = manifest === undefined ? undefined : readVocabulary(parseObject(manifest, 'the manifest'))
  const vocabulary = new Map<string, ValueType>(declared)
  const bag = new Map<string, AttributeValue>()
  const mistakes: string[] = []
  for (const [name, json] of Object.entries(values)) {
    const type = declared === undefined ? suggestedType(json) : declared.get(name)
    const value = type === undefined ? undefined : valueFromJson(json, type)
    if (type === undefined) mistakes.push(`attribute '${name}' is not in the manifest`)
    else if (value === undefined) mistakes.push(`attribute '${name}' is not a ${type}: ${JSON.stringify(json)}`)
    else bag.set(name, value)
    if (type !== undefined) vocabulary.set(name, type)
  }
  if (mistakes.length > 0) throw new Error(mistakes.join('\n'))
  return { vocabulary, bag: new MapBag(bag) }
}

function parseObject(text: string, what: string): Readonly<Record<string, unknown>> {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (error) {
    throw new Error(`${what} must be JSON: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
  }
  if (isJsonObject(json)) return json
  throw new Error(`${what} must be a JSON object`)
}

function readVocabulary(json: Readonly<Record<string, unknown>>): Map<string, ValueType> {
  const vocabulary = new Map<string, ValueType>()
  for (const [name, entry] of Object.entries(json)) {
    for (const [attribute, type] of isJsonObject(entry) ? Object.entries(entry) : [[name, entry] as const]) {
      if (!isValueType(type))
        throw new Error(`the manifest gives '${attribute}' an unknown type: ${JSON.stringify(type)}`)
      vocabulary.set(attribute, type)
    }
  }
  return vocabulary
}

function suggestedType(json: unknown): ValueType {
  if (typeof json === 'boolean') return 'BOOL'
  if (typeof json === 'number') return Number.isInteger(json) ? 'INT64' : 'DOUBLE'
  return typeof json === 'string' ? 'STRING' : 'STRING_MAP'
}
