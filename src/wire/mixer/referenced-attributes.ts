// Tells a Mixer client what an answer depended on, so that it reuses the answer for equal requests and no others.

import { create } from '@bufbuild/protobuf'
import type { AttributeBag, Vocabulary } from '../../kernel/attribute-bag.ts'
import type { ReferencedAttribute } from '../../kernel/read-log.ts'
import { isStringMap, type StringMap } from '../../kernel/value.ts'
import {
  type ReferencedAttributes,
  ReferencedAttributes_Condition,
  ReferencedAttributesSchema,
} from '../generated/istio/mixer/v1/mixer_pb.ts'
import { GLOBAL_INDEX, GLOBAL_WORDS } from './dictionary.ts'

/** Keys of well-known maps whose values vary little: good witnesses that the map is there. */
const STEADY_KEYS = [':method', 'x-forwarded-proto', ':authority', 'host', 'iss']

interface ReferencedOptions {
  /** Only words below this position may be sent as global ones: the caller knows no others. */
  readonly globalWordCount: number
  readonly vocabulary: Vocabulary
  /** The request that was answered. */
  readonly bag: AttributeBag
}

interface EncodedReferences {
  readonly message: ReferencedAttributes
  /** Whether the message holds all that the answer depended on. If not, the client must not reuse the answer. */
  readonly complete: boolean
}

/**
 * What an Istio 1.4 client makes of the message decides how it is written. It knows scalars and single keys of maps,
 * and it takes an unset `map_key` of a map for the key `source.ip` (global word 0). Hence:
 * - A key that was read is sent as it is; the key `source.ip` as a message word, never as 0.
 * - That a map is *there* cannot be said, and a missing key also matches a missing map. One key that the map has is
 *   sent as EXACT instead: narrower than what was read, therefore safe.
 * - Nothing can be said of a map that is *absent*, not even that it lacks a key: the client reads `map_key` only where the
 *   request at hand has the map, and else learns the key "", which nearly every later request lacks.
 * - What a *whole* map holds and that a map is there but empty cannot be said either, and a value with a NUL byte can
 *   forge the client's NUL-joined key. In all these cases the references are not `complete`.
 */
export function encodeReferenced(
  referenced: readonly ReferencedAttribute[],
  options: ReferencedOptions,
): EncodedReferences {
  const encoder = new Encoder(options)
  for (const reference of referenced) encoder.add(reference)
  return encoder.finish()
}

class Encoder {
  readonly #options: ReferencedOptions
  readonly #knownWords: number
  readonly #words = new Map<string, number>()
  readonly #matches: { name: number; mapKey: number; condition: ReferencedAttributes_Condition }[] = []
  /** Maps that must be there for a match; true once an EXACT key of the map says so. */
  readonly #present = new Map<string, boolean>()
  #complete = true

  constructor(options: ReferencedOptions) {
    this.#options = options
    this.#knownWords = Math.min(options.globalWordCount, GLOBAL_WORDS.length)
  }

  add({ name, key, condition, whole }: ReferencedAttribute): void {
    const type = this.#options.vocabulary.get(name)
    if (key !== undefined) this.#addKey(name, key, condition)
    else if (whole || (type === 'STRING_MAP' && condition === 'ABSENCE') || type === undefined) {
      this.#complete = false
      this.#push(name, undefined, condition)
    } else if (type === 'STRING_MAP') this.#present.set(name, this.#present.get(name) ?? false)
    else {
      if (condition === 'EXACT') this.#refuseNul(this.#options.bag.get(name))
      this.#push(name, undefined, condition)
    }
  }

  finish(): EncodedReferences {
    for (const [name, shown] of this.#present) if (!shown) this.#addWitness(name)
    const message = create(ReferencedAttributesSchema, {
      words: [...this.#words.keys()],
      attributeMatches: this.#matches,
    })
    return { message, complete: this.#complete }
  }

  #addKey(name: string, key: string, condition: ReferencedAttribute['condition']): void {
    this.#push(name, key, condition)
    if (condition === 'EXACT') this.#refuseNul(this.#mapOf(name)?.get(key))
    this.#present.set(name, condition === 'EXACT' || (this.#present.get(name) ?? false))
  }

  #addWitness(name: string): void {
    const map = this.#mapOf(name)
    const key = map === undefined ? undefined : witnessOf(map)
    if (key === undefined) this.#complete = false
    else this.#addKey(name, key, 'EXACT')
  }

  #mapOf(name: string): StringMap | undefined {
    const value = this.#options.bag.get(name)
    return value !== undefined && isStringMap(value) ? value : undefined
  }

  #refuseNul(value: unknown): void {
    if (typeof value === 'string' && value.includes('\0')) this.#complete = false
  }

  #push(name: string, key: string | undefined, condition: ReferencedAttribute['condition']): void {
    this.#matches.push({
      name: this.#wordIndex(name, 0),
      mapKey: key === undefined ? 0 : this.#wordIndex(key, 1),
      condition: ReferencedAttributes_Condition[condition],
    })
  }

  /** The word's global position where it is at least `lowest` and known to the caller, else its place in the message. */
  #wordIndex(word: string, lowest: number): number {
    const global = GLOBAL_INDEX.get(word)
    if (global !== undefined && global >= lowest && global < this.#knownWords) return global
    const known = this.#words.get(word)
    if (known !== undefined) return known
    const index = -this.#words.size - 1
    this.#words.set(word, index)
    return index
  }
}

function witnessOf(map: StringMap): string | undefined {
  for (const key of STEADY_KEYS) if (map.get(key) !== undefined) return key
  let smallest: string | undefined
  for (const [key] of map.entries()) if (smallest === undefined || key < smallest) smallest = key
  return smallest
}
