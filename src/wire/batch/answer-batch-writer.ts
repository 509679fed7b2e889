// Writes intermix.v1.AnswerBatch: the answering side of a batch stream.

import { cleanHeaderValue } from '../../kernel/header-field.ts'
import type { HeaderOperation } from '../../kernel/header-operation.ts'
import type { Status } from '../../kernel/status.ts'
import type { Answer, DirectResponse, Tier } from '../../kernel/verdict.ts'
import { WireWriter } from '../wire-writer.ts'
import { SentWords, type SentWordsBounds } from './sent-words.ts'

const ANSWERS = 4
const LEAVING = 5

export const TIERS: readonly Tier[] = ['local', 'mesh', 'backend', 'stale']
export const OPERATIONS: readonly HeaderOperation['operation'][] = ['REPLACE', 'REMOVE', 'APPEND']

/** Collects answers for one connection until `take`. */
export class AnswerBatchWriter {
  readonly #words: SentWords
  readonly #answers = new WireWriter()

  constructor(bounds?: SentWordsBounds) {
    this.#words = new SentWords(bounds)
  }

  /** Bytes of the answers since `take`, without new words. */
  get size(): number {
    return this.#answers.size
  }

  /** What the words that the caller has take of memory here, roughly, in bytes. */
  get memory(): number {
    return this.#words.memory
  }

  add(id: number, answer: Answer): void {
    const answers = this.#answers
    const open = answers.open(ANSWERS)
    answers.uint(1, id)
    this.#writeStatus(answer.status)
    answers.uint(5, TIERS.indexOf(answer.tier))
    answers.uint(6, whole(answer.ageMs))
    answers.uint(7, whole(answer.validForMs))
    answers.uint(8, whole(answer.validUses))
    this.#writeHeaders(9, answer.requestHeaders)
    this.#writeHeaders(10, answer.responseHeaders)
    if (answer.directResponse !== undefined) this.#writeDirect(answer.directResponse)
    if (answer.deniedBy !== undefined) {
      const { rule, handler } = answer.deniedBy
      const packed = answers.open(12)
      answers.packedSint32(this.#words.word(rule))
      answers.packedSint32(this.#words.word(handler))
      answers.close(packed)
    }
    answers.close(open)
  }

  /** Says that a check was not judged, and why. */
  addFailure(id: number, status: Status): void {
    const answers = this.#answers
    const open = answers.open(ANSWERS)
    answers.uint(1, id)
    this.#writeStatus(status)
    answers.bool(4, true)
    answers.close(open)
  }

  /** Says that the node goes. */
  leave(): void {
    this.#answers.bool(LEAVING, true)
  }

  /** The batch, which the connection must be sent before any later one. */
  take(): Buffer {
    const words = this.#words.take()
    const answers = this.#answers.take()
    return words.length === 0 ? answers : Buffer.concat([...words, answers])
  }

  #writeStatus({ code, message }: Status): void {
    this.#answers.int32(2, code)
    if (message !== '') this.#answers.sint32(3, this.#words.word(message), true)
  }

  #writeHeaders(field: number, operations: readonly HeaderOperation[]): void {
    if (operations.length === 0) return
    const packed = this.#answers.open(field)
    for (const { name, value, operation } of operations) {
      this.#answers.packedSint32(this.#words.word(name))
      this.#answers.packedSint32(this.#words.word(value))
      this.#answers.packedSint32(OPERATIONS.indexOf(operation))
    }
    this.#answers.close(packed)
  }

  #writeDirect({ code, body, headers }: DirectResponse): void {
    const answers = this.#answers
    const direct = answers.open(11)
    answers.uint(1, code)
    answers.text(2, body)
    const packed = answers.open(3)
    for (const [name, value] of Object.entries(headers)) {
      answers.packedSint32(this.#words.word(name.toLowerCase()))
      answers.packedSint32(this.#words.word(cleanHeaderValue(value)))
    }
    answers.close(packed)
    answers.close(direct)
  }
}

/** Never more than the validity that there is; what is endless is told as long. */
function whole(value: number): number {
  return Math.min(Math.max(0, Math.floor(value)), Number.MAX_SAFE_INTEGER)
}
