// Writes intermix.v1.CheckBatch: the asking side of a batch stream.

import type { AttributeBag } from '../../kernel/attribute-bag.ts'
import { IntermixError } from '../../kernel/errors.ts'
import { Duration, Timestamp } from '../../kernel/time.ts'
import { type AttributeValue, isStringMap, type StringMap } from '../../kernel/value.ts'
import { WireWriter } from '../wire-writer.ts'
import { ENVOY_CHECK } from './check-batch.ts'
import { type CheckDemands, writeDemands } from './check-demands.ts'
import { CALLER, type Heard } from './news.ts'
import { writeHeard } from './news-writer.ts'
import { SentWords, type SentWordsBounds } from './sent-words.ts'

const CHECKS = 4
const KEEPS_ANSWERS = 5

/** Collects checks for one connection until `take`. */
export class CheckBatchWriter {
  readonly #maxCheckBytes: number
  readonly #words: SentWords
  readonly #checks = new WireWriter()
  #count = 0
  /** Attributes of the check that is being written, by field: numbers of names and values in turns. */
  readonly #texts: number[] = []
  readonly #addresses: number[] = []
  readonly #integers: (number | bigint)[] = []
  readonly #booleans: number[] = []
  readonly #times: (number | bigint)[] = []
  readonly #durations: (number | bigint)[] = []
  readonly #values = [this.#texts, this.#addresses, this.#integers, this.#booleans, this.#times, this.#durations]

  /** @param maxCheckBytes what one check may take: a message that is too large ends the stream with all that waits */
  constructor(bounds?: SentWordsBounds, maxCheckBytes = Number.POSITIVE_INFINITY) {
    this.#maxCheckBytes = maxCheckBytes
    this.#words = new SentWords(bounds)
  }

  /** Checks since `take`. */
  get count(): number {
    return this.#count
  }

  /** Bytes of the checks since `take`, with new words. */
  get size(): number {
    return this.#checks.size + this.#words.size
  }

  /**
   * Adds a check.
   * @param id the answer's; no other check that waits for its answer may have it
   * @param timeoutMs how long its caller waits from now; 0 leaves it to the node
   * @param about its attributes, or an encoded CheckRequest of Envoy from which the node derives them
   * @param demands which quotas it charges, where it does
   * @throws what reading the bag throws, and IntermixError TOO_LARGE; the batch is as it was then
   */
  add(id: number, timeoutMs: number, about: AttributeBag | Uint8Array, demands?: CheckDemands): void {
    const { size } = this.#checks
    const { passing, passingBytes } = this.#words
    try {
      this.#add(id, timeoutMs, about, demands)
      const bytes = this.#checks.size - size + this.#words.passingBytes - passingBytes
      if (bytes > this.#maxCheckBytes)
        throw new IntermixError('TOO_LARGE', `a check takes ${bytes} bytes; nodes take ${this.#maxCheckBytes}`)
      this.#count++
    } catch (caught) {
      this.#checks.backTo(size)
      this.#words.passBack(passing, passingBytes)
      for (const values of this.#values) values.length = 0
      throw caught
    }
  }

  /** Says that answers are kept, behind the checks so far: to be said in a batch of its own before the first check. */
  keepAnswers(): void {
    this.#checks.bool(KEEPS_ANSWERS, true)
  }

  /** Says who wants news, and what it has heard: behind what was said so far, in a batch that has no checks behind it. */
  nameCaller(name: string): void {
    this.#checks.sint32(CALLER, this.#words.word(name), true)
  }

  hear(heard: Heard): void {
    writeHeard(this.#checks, this.#words, heard)
  }

  /** The batch, which the connection must be sent before any later one. */
  take(): Buffer {
    const words = this.#words.take()
    const checks = this.#checks.take()
    this.#count = 0
    return words.length === 0 ? checks : Buffer.concat([...words, checks])
  }

  #add(id: number, timeoutMs: number, about: AttributeBag | Uint8Array, demands: CheckDemands | undefined): void {
    const checks = this.#checks
    const check = checks.open(CHECKS)
    checks.uint(1, id)
    checks.uint(2, Math.ceil(timeoutMs))
    if (!(about instanceof Uint8Array)) this.#writeAttributes(about)
    if (demands !== undefined) writeDemands(checks, this.#words, demands)
    if (about instanceof Uint8Array) checks.bytes(ENVOY_CHECK, about, true)
    checks.close(check)
  }

  #writeAttributes(bag: AttributeBag): void {
    for (const name of bag.names()) {
      const value = bag.get(name)
      if (value !== undefined) this.#write(this.#words.name(name), value)
    }
    this.#flush(3, this.#texts)
    this.#flush(5, this.#addresses)
    this.#flush(6, this.#integers)
    this.#flush(7, this.#booleans)
    this.#flush(8, this.#times)
    this.#flush(9, this.#durations)
  }

  #write(name: number, value: AttributeValue): void {
    if (typeof value === 'string') this.#texts.push(name, this.#words.word(value))
    else if (typeof value === 'bigint') this.#integers.push(name, value)
    else if (typeof value === 'boolean') this.#booleans.push(name, value ? 1 : 0)
    else if (typeof value === 'number') this.#writeDouble(name, value)
    else if (value instanceof Uint8Array) this.#addresses.push(name, this.#words.raw(value))
    else if (value instanceof Timestamp || value instanceof Duration) {
      const { seconds, nanos } = value.toParts()
      const into = value instanceof Timestamp ? this.#times : this.#durations
      into.push(name, seconds, nanos)
    } else if (isStringMap(value)) this.#writeMap(name, value)
  }

  #writeMap(name: number, map: StringMap): void {
    const checks = this.#checks
    const field = checks.open(4)
    checks.sint32(1, name)
    const entries = checks.open(2)
    for (const [key, value] of map.entries()) {
      checks.packedSint32(this.#words.word(key))
      checks.packedSint32(this.#words.word(value))
    }
    checks.close(entries)
    checks.close(field)
  }

  #writeDouble(name: number, value: number): void {
    const field = this.#checks.open(10)
    this.#checks.sint32(1, name)
    this.#checks.double(2, value)
    this.#checks.close(field)
  }

  #flush(field: number, values: (number | bigint)[]): void {
    if (values.length === 0) return
    const packed = this.#checks.open(field)
    for (const value of values) {
      if (typeof value === 'number') this.#checks.packedSint32(value)
      else this.#checks.packedSint64(value)
    }
    this.#checks.close(packed)
    values.length = 0
  }
}
