// Tells a Mixer client what an answer depended on, so that it reuses the answer for equal requests and no others.

import type { AttributeBag, Vocabulary } from '../../kernel/attribute-bag.ts'
import type { ReferencedAttribute } from '../../kernel/read-log.ts'
import { isStringMap, type StringMap } from '../../kernel/value.ts'
import { MixerCondition } from '../protocol-enums.ts'
import { WireWriter } from '../wire-writer.ts'
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
  /** An encoded istio.mixer.v1.ReferencedAttributes. */
  readonly bytes: Uint8Array
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
  { globalWordCount, vocabulary, bag }: ReferencedOptions,
): EncodedReferences {
  const knownWords = Math.min(globalWordCount, GLOBAL_WORDS.length)
  let plan = plans.get(referenced)
  if (plan === undefined || plan.knownWords !== knownWords || plan.vocabulary !== vocabulary) {
    plan = new Plan(referenced, knownWords, vocabulary)
    plans.set(referenced, plan)
  }
  return plan.encode(bag)
}

/** The same list comes again with every answer that depended on the same attributes. */
const plans = new WeakMap<readonly ReferencedAttribute[], Plan>()
const writer = new WireWriter()
/** Messages that are kept of one list: they differ by witnesses alone, which callers choose. */
const MAX_MESSAGES = 64

/** What a list of references comes to for all requests, but for what depends on the values of each. */
class Plan {
  readonly knownWords: number
  readonly vocabulary: Vocabulary
  readonly #referenced: ReferencedAttribute[] = []
  /** Maps that must be there for a match; true where an EXACT key of the map says so. */
  readonly #present = new Map<string, boolean>()
  #complete = true
  readonly #messages = new Map<string, Uint8Array>()

  constructor(referenced: readonly ReferencedAttribute[], knownWords: number, vocabulary: Vocabulary) {
    this.knownWords = knownWords
    this.vocabulary = vocabulary
    for (const read of referenced) this.#add(read)
    for (const [name, shown] of this.#present) if (shown) this.#present.delete(name)
  }

  encode(bag: AttributeBag): EncodedReferences {
    let complete = this.#complete && !this.#referenced.some((read) => holdsNul(bag, read))
    if (this.#present.size === 0) return { bytes: this.#message('', []), complete }
    const witnesses: ReferencedAttribute[] = []
    let id = ''
    for (const name of this.#present.keys()) {
      const map = mapOf(bag, name)
      const key = map === undefined ? undefined : witnessOf(map)
      if (key === undefined) {
        complete = false
        continue
      }
      const witness: ReferencedAttribute = { name, key, condition: 'EXACT', whole: false }
      complete &&= !holdsNul(bag, witness)
      witnesses.push(witness)
      id += `${name.length}:${name}${key.length}:${key}`
    }
    return { bytes: this.#message(id, witnesses), complete }
  }

  #add(read: ReferencedAttribute): void {
    const { name, key, condition, whole } = read
    const type = this.vocabulary.get(name)
    if (key !== undefined) {
      this.#referenced.push(read)
      this.#present.set(name, condition === 'EXACT' || (this.#present.get(name) ?? false))
    } else if (whole || (type === 'STRING_MAP' && condition === 'ABSENCE') || type === undefined) {
      this.#complete = false
      this.#referenced.push(read)
    } else if (type === 'STRING_MAP') this.#present.set(name, this.#present.get(name) ?? false)
    else this.#referenced.push(read)
  }

  #message(id: string, witnesses: readonly ReferencedAttribute[]): Uint8Array {
    let message = this.#messages.get(id)
    if (message === undefined) {
      message = encode([...this.#referenced, ...witnesses], this.knownWords)
      if (this.#messages.size < MAX_MESSAGES) this.#messages.set(id, message)
    }
    return message
  }
}

function encode(matches: readonly ReferencedAttribute[], knownWords: number): Uint8Array {
  const words = new Map<string, number>()
  writer.reset()
  for (const { name, key, condition } of matches) {
    const match = writer.open(2)
    writer.sint32(1, wordIndex(name, 0, knownWords, words))
    writer.int32(2, MixerCondition[condition])
    if (key !== undefined) writer.sint32(4, wordIndex(key, 1, knownWords, words))
    writer.close(match)
  }
  for (const word of words.keys()) writer.text(1, word, true)
  return writer.take()
}

/** The word's global position where it is at least `lowest` and known to the caller, else its place in the message. */
function wordIndex(word: string, lowest: number, knownWords: number, words: Map<string, number>): number {
  const global = GLOBAL_INDEX.get(word)
  if (global !== undefined && global >= lowest && global < knownWords) return global
  const known = words.get(word)
  if (known !== undefined) return known
  const index = -words.size - 1
  words.set(word, index)
  return index
}

function mapOf(bag: AttributeBag, name: string): StringMap | undefined {
  const value = bag.get(name)
  return value !== undefined && isStringMap(value) ? value : undefined
}

function holdsNul(bag: AttributeBag, { name, key, condition }: ReferencedAttribute): boolean {
  if (condition !== 'EXACT') return false
  const value = key === undefined ? bag.get(name) : mapOf(bag, name)?.get(key)
  return typeof value === 'string' && value.includes('\0')
}

function witnessOf(map: StringMap): string | undefined {
  for (const key of STEADY_KEYS) if (map.get(key) !== undefined) return key
  let smallest: string | undefined
  for (const [key] of map.entries()) if (smallest === undefined || key < smallest) smallest = key
  return smallest
}
