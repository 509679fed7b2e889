// The words that a message's indexes point to: the global dictionary and the message's own, decoded only when asked for.

import { hasCapitalsAt, isSameText, isTextAt } from '../text-bytes.ts'
import { GLOBAL_INDEX, GLOBAL_WORDS } from './dictionary.ts'

const GLOBAL_CAPITALS = GLOBAL_WORDS.map((word) => /[A-Z]/.test(word))

/**
 * Index → word. An index of 0 and above is a position in the global dictionary, one below 0 is word `-index - 1` of the
 * message. Bytes that are not UTF-8 become U+FFFD in reports; checks refuse them (`firstIllFormed`).
 */
export class WordTable {
  readonly #bytes: Buffer
  /** Start and end of each message word. */
  readonly #bounds: number[] = []
  #texts: (string | undefined)[] | undefined

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  /** How many words the message itself brings. */
  get size(): number {
    return this.#bounds.length / 2
  }

  /** Takes the next message word by its place in the bytes. */
  add(start: number, end: number): void {
    this.#bounds.push(start, end)
  }

  /** The place of the first message word whose bytes are not UTF-8; `undefined` where all are. */
  firstIllFormed(): number | undefined {
    for (let at = 0; at < this.#bounds.length; at += 2) {
      const start = this.#bounds[at] ?? 0
      const end = this.#bounds[at + 1] ?? 0
      if (!isTextAt(this.#bytes, start, end)) return at / 2
    }
    return undefined
  }

  has(index: number): boolean {
    return index >= 0 ? index < GLOBAL_WORDS.length : -index - 1 < this.size
  }

  /** The word, or `undefined` where no dictionary defines the index. */
  text(index: number): string | undefined {
    if (index >= 0) return GLOBAL_WORDS[index]
    const word = -index - 1
    if (word >= this.size) return undefined
    this.#texts ??= []
    const known = this.#texts[word]
    if (known !== undefined) return known
    const text = this.#bytes.toString('utf8', this.#bounds[word * 2], this.#bounds[word * 2 + 1])
    this.#texts[word] = text
    return text
  }

  /** Whether the index stands for this text; does not build a string where both are ASCII. */
  equals(index: number, text: string): boolean {
    if (index >= 0) return GLOBAL_INDEX.get(text) === index
    const word = -index - 1
    const start = this.#bounds[word * 2]
    const end = this.#bounds[word * 2 + 1]
    return start !== undefined && end !== undefined && isSameText(this.#bytes, start, end, text)
  }

  /** Whether a word has capitals of ASCII. */
  hasCapitals(index: number): boolean {
    if (index >= 0) return GLOBAL_CAPITALS[index] === true
    const word = -index - 1
    const end = this.#bounds[word * 2 + 1] ?? 0
    return hasCapitalsAt(this.#bytes, this.#bounds[word * 2] ?? end, end)
  }
}
