// The words of a batch stream on the side that sends them: which ones the peer keeps, and which pass with one batch.

import { WireWriter } from '../wire-writer.ts'
import { MAX_WORDS, MAX_WORDS_BYTES, WORD_BYTES } from './words.ts'

/** Longer words are never kept: one of a kind, as a rule. */
const LONGEST_KEPT = 256
/** Words that came once are remembered up to so many, so that those that come again are kept. */
const MAX_SEEN = 8_192

/** The part of the room that is for words other than names, which cannot pass. */
const SHARE = 7 / 8

/** Fields that both kinds of batch begin with. */
const RESET = 1
const WORDS = 2
const PASSING_WORDS = 3

export interface SentWordsBounds {
  readonly maxWords: number
  readonly maxBytes: number
}

/**
 * Numbers the words of one connection and direction. Names are kept by the peer at once, other words when they come a
 * second time, so that what differs with each request does not push out what recurs. When there is no more room, words
 * pass with their batch, and the next batch begins anew.
 */
export class SentWords {
  readonly #bounds: SentWordsBounds
  readonly #numbers = new Map<string, number>()
  readonly #seen = new Set<string>()
  readonly #passing = new Map<string, number>()
  readonly #words = new WireWriter()
  readonly #passingWords = new WireWriter()
  #count = 0
  #bytes = 0
  #isFull = false
  #begins = false
  #beginnings = 0

  constructor(bounds: SentWordsBounds = { maxWords: MAX_WORDS, maxBytes: MAX_WORDS_BYTES }) {
    this.#bounds = bounds
  }

  /** What the words that the peer has take of memory here, roughly, in bytes. */
  get memory(): number {
    return this.#bytes + WORD_BYTES * this.#count
  }

  /** Bytes of the words that are to go before the present batch. */
  get size(): number {
    return this.#words.size + this.#passingWords.size
  }

  /** How many words pass with the present batch. */
  get passing(): number {
    return this.#passing.size
  }

  /** Bytes of these. */
  get passingBytes(): number {
    return this.#passingWords.size
  }

  /** Takes back those that were added since there were so many, with so many bytes. */
  passBack(count: number, bytes: number): void {
    if (this.#passing.size === count) return
    for (const id of [...this.#passing.keys()].slice(count)) this.#passing.delete(id)
    this.#passingWords.backTo(bytes)
  }

  /** How often the peer was told to forget: what was told by words before is not known any more. */
  get beginnings(): number {
    return this.#beginnings
  }

  /** Begins anew behind the present batch. */
  beginAnew(): void {
    this.#isFull = true
  }

  /** The number of a word that is sure to come again. Only where the peer has no room for it at all does it pass. */
  name(given: string): number {
    const text = asSent(given)
    return this.#numbers.get(text) ?? this.#keep(text, 1) ?? this.#pass(text)
  }

  /** The number of a word that may come again. */
  word(given: string): number {
    const text = asSent(given)
    const known = this.#numbers.get(text)
    if (known !== undefined) return known
    if (text.length > LONGEST_KEPT || !this.#recurs(text)) return this.#pass(text)
    return this.#keep(text, SHARE) ?? this.#pass(text)
  }

  /** The number of a word that will hardly come again. */
  once(given: string): number {
    const text = asSent(given)
    return this.#numbers.get(text) ?? this.#pass(text)
  }

  /** The number of a word of bytes that need not be text. */
  raw(bytes: Uint8Array): number {
    const id = `${RAW}${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')}`
    const known = this.#numbers.get(id) ?? this.#passing.get(id)
    if (known !== undefined) return known
    if (this.#recurs(id) && this.#hasRoom(bytes.length, SHARE)) {
      this.#words.bytes(WORDS, bytes, true)
      return this.#number(id, bytes.length)
    }
    this.#passingWords.bytes(PASSING_WORDS, bytes, true)
    return this.#passingNumber(id)
  }

  /** What a batch has to begin with so that its words are known. Ends the batch. */
  take(): Buffer[] {
    const parts: Buffer[] = []
    if (this.#begins) parts.push(BEGINNING)
    if (this.#words.size > 0) parts.push(this.#words.take())
    if (this.#passingWords.size > 0) parts.push(this.#passingWords.take())
    this.#passing.clear()
    this.#begins = this.#isFull
    if (this.#isFull) {
      this.#isFull = false
      this.#beginnings++
      this.#numbers.clear()
      this.#count = 0
      this.#bytes = 0
    }
    return parts
  }

  #recurs(id: string): boolean {
    if (this.#seen.delete(id)) return true
    if (this.#seen.size >= MAX_SEEN) this.#seen.clear()
    this.#seen.add(id)
    return false
  }

  #keep(text: string, share: number): number | undefined {
    const size = Buffer.byteLength(text)
    if (!this.#hasRoom(size, share)) return undefined
    this.#words.text(WORDS, text, true)
    return this.#number(text, size)
  }

  #hasRoom(size: number, share: number): boolean {
    const { maxWords, maxBytes } = this.#bounds
    const hasRoom = this.#count < maxWords * share && this.#bytes + size <= maxBytes * share
    if (!hasRoom) this.#isFull = true
    return hasRoom
  }

  #number(id: string, size: number): number {
    const number = this.#count++
    this.#bytes += size
    this.#numbers.set(id, number)
    return number
  }

  #pass(text: string): number {
    const known = this.#passing.get(text)
    if (known !== undefined) return known
    this.#passingWords.text(PASSING_WORDS, text, true)
    return this.#passingNumber(text)
  }

  #passingNumber(id: string): number {
    const number = -this.#passing.size - 1
    this.#passing.set(id, number)
    return number
  }
}

/** What ids of bytes begin with, and no text as it is sent: half of a surrogate pair. */
const RAW = '\udc00'

/** The same bytes on the wire, and never taken for the id of others. */
function asSent(text: string): string {
  return text.startsWith(RAW) ? `\ufffd${text.slice(1)}` : text
}

const BEGINNING = Buffer.of(RESET * 8, 1)
