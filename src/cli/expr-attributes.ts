// The vocabulary and the attributes that `expr` works with. Attributes are read as a node reads them.

import type { AttributeBag, Vocabulary } from '../kernel/attribute-bag.ts'
import { IntermixError } from '../kernel/errors.ts'
import { isJsonObject, type JsonObject } from '../kernel/json-object.ts'
import { suggest } from '../kernel/suggest.ts'
import { type ValueType, VALUE_TYPES } from '../kernel/value.ts'
import { parseAttributes } from '../wire/parse-attributes.ts'

/**
 * The types of a manifest, or of each manifest in an object of them; without one, those that the attributes suggest.
 * @throws IntermixError INVALID_SETTING with every type that does not exist.
 */
export function readVocabulary(manifest: JsonObject | undefined, attributes: JsonObject): Vocabulary {
  if (manifest === undefined) return new Map(Object.entries(attributes).map(([name, json]) => [name, typeOf(json)]))
  const vocabulary = new Map<string, ValueType>()
  const mistakes: string[] = []
  for (const [name, entry] of Object.entries(manifest)) {
    for (const [attribute, written] of isJsonObject(entry) ? Object.entries(entry) : [[name, entry] as const]) {
      const type = VALUE_TYPES.find((known) => known === written)
      if (type !== undefined) vocabulary.set(attribute, type)
      else
        mistakes.push(`${attribute}: no such type: ${JSON.stringify(written)}.${suggest(String(written), VALUE_TYPES)}`)
    }
  }
  if (mistakes.length > 0) throw wrong('--manifest', mistakes)
  return vocabulary
}

/** @throws IntermixError INVALID_SETTING with every attribute that the vocabulary lacks or whose value does not fit. */
export function readBag(attributes: JsonObject, vocabulary: Vocabulary): AttributeBag {
  const read = parseAttributes(attributes, vocabulary, { suggest })
  if ('bag' in read) return read.bag
  throw wrong(
    '--attributes',
    read.problems.map(({ path, message }) => `${path.replace(/^attributes\./, '')}: ${message}`),
  )
}

function wrong(flag: string, mistakes: readonly string[]): IntermixError {
  return new IntermixError('INVALID_SETTING', `${flag}: ${mistakes.join('\n  ')}`)
}

function typeOf(json: unknown): ValueType {
  if (typeof json === 'boolean') return 'BOOL'
  if (typeof json === 'number') return Number.isInteger(json) ? 'INT64' : 'DOUBLE'
  return typeof json === 'string' ? 'STRING' : 'STRING_MAP'
}
