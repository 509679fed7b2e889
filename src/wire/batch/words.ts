// The words of a batch stream on the side that reads them: the lasting ones of a connection, and those of one batch.

import { IntermixError } from '../../kernel/errors.ts'
import type { Vocabulary } from '../../kernel/attribute-bag.ts'
import { hasCapitalsAt, isSameText, isTextAt } from '../text-bytes.ts'
import { KIND_OF, UNDECLARED } from './attribute-kind.ts'

/** Bounds of one side's lasting words; whoever needs more forgets all and begins anew. */
export const MAX_WORDS = 65_536
export const MAX_WORDS_BYTES = 4 * 1_024 * 1_024
/** What a word takes of memory beside its bytes, on either side, and what one that is no text takes; see `test/wire/batch/words.test.ts`. */
export const WORD_BYTES = 100
const RAW_WORD_BYTES = 300

/**
 * Lasting words, in the order in which they came. Words are only added: what was read by them stays right, also when the
 * peer forgets them, which begins another list.
 */
export class Words {
  /** `undefined` where the bytes are not UTF-8: such a word is good for an address alone. */
  readonly texts: (string | undefined)[] = []
  /** Bytes of each. */
  readonly sizes: number[] = []
  /** By word: the first one with the same text. */
  readonly first: number[] = []
  /** Words that can be an IP address and are no text, by number; and others that were one. */
  readonly #addresses = new Map<number, Uint8Array>()
  readonly #numbers = new Map<string, number>()
  readonly #capitals = new Set<number>()
  #bytes = 0
  #rawWords = 0
  #vocabulary: Vocabulary | undefined
  /** By word, see `attribute`; absent where it was not asked for yet. */
  #attributes: number[] = []
  readonly #stamps: number[] = []
  #stamp = 0

  /** What all words take of memory, roughly. */
  get memory(): number {
    return this.#bytes + WORD_BYTES * this.texts.length + RAW_WORD_BYTES * this.#rawWords
  }

  /** Adds the word that lies in the bytes, copied. @throws IntermixError INVALID_REQUEST beyond the bounds */
  add(bytes: Buffer, start: number, end: number): void {
    const number = this.texts.length
    this.#bytes += end - start
    if (number >= MAX_WORDS || this.#bytes > MAX_WORDS_BYTES) {
      const bounds = `${MAX_WORDS} words and ${MAX_WORDS_BYTES} bytes`
      throw new IntermixError('INVALID_REQUEST', `more lasting words than ${bounds} hold; send reset and begin anew`)
    }
    const text = isTextAt(bytes, start, end) ? bytes.toString('utf8', start, end) : undefined
    this.texts.push(text)
    this.sizes.push(end - start)
    if (text === undefined && isAddressOf(end - start)) {
      this.#addresses.set(number, Uint8Array.from(bytes.subarray(start, end)))
      this.#rawWords++
    }
    const known = text === undefined ? undefined : this.#numbers.get(text)
    this.first.push(known ?? number)
    if (text === undefined || known !== undefined) return
    this.#numbers.set(text, number)
    if (hasCapitalsAt(bytes, start, end)) this.#capitals.add(number)
  }

  /** The number of the first word with this text. */
  numberOf(text: string): number | undefined {
    return this.#numbers.get(text)
  }

  /** A word of 4 or 16 bytes as these. */
  address(number: number): Uint8Array | undefined {
    const known = this.#addresses.get(number)
    const text = this.texts[number]
    if (known !== undefined || text === undefined) return known
    const address = Uint8Array.from(Buffer.from(text, 'utf8'))
    this.#addresses.set(number, address)
    this.#rawWords++
    return address
  }

  hasCapitals(number: number): boolean {
    return this.#capitals.has(this.first[number] ?? number)
  }

  /** Begins a check: an attribute that it states is `attribute` once. */
  begin(vocabulary: Vocabulary): void {
    this.#stamp++
    if (this.#vocabulary === vocabulary) return
    this.#vocabulary = vocabulary
    this.#attributes = []
  }

  /**
   * The attribute that a word names: 16 times the number of the first word with that text, and the kind that the vocabulary
   * declares, `UNDECLARED` where it has none such. -1 where there is no such word, -2 where the check has stated it already.
   */
  attribute(number: number): number {
    let attribute = this.#attributes[number]
    if (attribute === undefined) {
      const first = this.first[number]
      if (first === undefined) return -1
      const type = this.#vocabulary?.get(this.texts[first] ?? '')
      attribute = first * 16 + (type === undefined ? UNDECLARED : KIND_OF[type])
      this.#attributes[number] = attribute
    }
    const first = attribute >>> 4
    if (this.#stamps[first] === this.#stamp) return -2
    this.#stamps[first] = this.#stamp
    return attribute
  }
}

export function isAddressOf(size: number): boolean {
  return size === 4 || size === 16
}

/** The words of one batch, by their places in its bytes; a text is made when it is asked for. */
export class PassingWords {
  readonly bytes: Buffer
  readonly #bounds: number[] = []
  #texts: (string | undefined)[] | undefined

  constructor(bytes: Buffer) {
    this.bytes = bytes
  }

  add(start: number, end: number): void {
    this.#bounds.push(start, end)
  }

  /** Bytes of the word that is called -1 (`place` 0), -2 and so on; `undefined` where there is none. */
  size(place: number): number | undefined {
    const end = this.#bounds[place * 2 + 1]
    return end === undefined ? undefined : end - (this.#bounds[place * 2] ?? 0)
  }

  isText(place: number): boolean {
    return isTextAt(this.bytes, this.#bounds[place * 2] ?? 0, this.#bounds[place * 2 + 1] ?? 0)
  }

  isSame(place: number, text: string): boolean {
    return isSameText(this.bytes, this.#bounds[place * 2] ?? 0, this.#bounds[place * 2 + 1] ?? 0, text)
  }

  hasCapitals(place: number): boolean {
    return hasCapitalsAt(this.bytes, this.#bounds[place * 2] ?? 0, this.#bounds[place * 2 + 1] ?? 0)
  }

  text(place: number): string {
    this.#texts ??= []
    const known = this.#texts[place]
    if (known !== undefined) return known
    const text = this.bytes.toString('utf8', this.#bounds[place * 2], this.#bounds[place * 2 + 1])
    this.#texts[place] = text
    return text
  }

  address(place: number): Uint8Array {
    return Uint8Array.from(this.bytes.subarray(this.#bounds[place * 2], this.#bounds[place * 2 + 1]))
  }
}
