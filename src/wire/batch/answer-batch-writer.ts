// Writes intermix.v1.AnswerBatch: the answering side of a batch stream.

import { cleanHeaderValue } from '../../kernel/header-field.ts'
import type { HeaderOperation } from '../../kernel/header-operation.ts'
import type { CheckOutcome, QuotaGrant } from '../../kernel/services.ts'
import type { Status } from '../../kernel/status.ts'
import type { DirectResponse, Tier } from '../../kernel/verdict.ts'
import { WireWriter } from '../wire-writer.ts'
import type { News } from './news.ts'
import { writeNews } from './news-writer.ts'
import { SentShapes } from './sent-shapes.ts'
import { SentWords, type SentWordsBounds } from './sent-words.ts'

const ANSWERS = 4
const LEAVING = 5
export const KEPT_ANSWERS = 8
/** Behind the fields that bind an answer to its request for callers that do not know them. */
export const FAILS_OPEN = 25
export const USES_UNBOUND = 26
const GRANTS = 17

export const TIERS: readonly Tier[] = ['local', 'mesh', 'backend', 'stale']
export const OPERATIONS: readonly HeaderOperation['operation'][] = ['REPLACE', 'REMOVE', 'APPEND']

/** What is told of an answered check. */
export type Outcome = Pick<CheckOutcome, 'answer' | 'shape' | 'staleForMs' | 'isPaid' | 'usesUnbound'> & {
  readonly quotas?: CheckOutcome['quotas']
}

interface NumberedGrant {
  readonly name: string
  readonly grant: QuotaGrant
  readonly shape: number | undefined
}

/** Collects answers for one connection until `take`. */
export class AnswerBatchWriter {
  readonly #words: SentWords
  readonly #shapes: SentShapes
  readonly #answers = new WireWriter()
  /** Answers that refer to shapes lie behind these. */
  readonly #kept = new WireWriter()
  readonly #news = new WireWriter()

  constructor(bounds?: SentWordsBounds) {
    this.#words = new SentWords(bounds)
    this.#shapes = new SentShapes(this.#words)
  }

  /** Bytes of the batch as it is. */
  get size(): number {
    return this.#answers.size + this.#kept.size + this.#news.size + this.#words.size + this.#shapes.size
  }

  /** What the words and shapes that the caller has take of memory here, roughly, in bytes. */
  get memory(): number {
    return this.#words.memory + this.#shapes.memory
  }

  add(id: number, { answer, shape, staleForMs = 0, isPaid = false, usesUnbound = false, quotas }: Outcome): void {
    const number = shape === undefined ? undefined : this.#shapes.number(shape)
    const granted = quotas === undefined || quotas.size === 0 ? undefined : this.#numbered(quotas)
    const isKept = number !== undefined || granted?.some(({ shape: own }) => own !== undefined) === true
    const answers = isKept ? this.#kept : this.#answers
    const open = answers.open(isKept ? KEPT_ANSWERS : ANSWERS)
    answers.uint(1, id)
    this.#writeStatus(answers, answer.status)
    answers.uint(5, TIERS.indexOf(answer.tier))
    answers.uint(6, whole(answer.ageMs))
    answers.uint(7, whole(answer.validForMs))
    answers.uint(8, whole(answer.validUses))
    this.#writeHeaders(answers, 9, answer.requestHeaders)
    this.#writeHeaders(answers, 10, answer.responseHeaders)
    if (answer.directResponse !== undefined) this.#writeDirect(answers, answer.directResponse)
    if (answer.deniedBy !== undefined) {
      const { rule, handler } = answer.deniedBy
      const packed = answers.open(12)
      answers.packedSint32(this.#words.word(rule))
      answers.packedSint32(this.#words.word(handler))
      answers.close(packed)
    }
    if (shape !== undefined && number !== undefined) {
      const { generation, sequence } = shape.epoch
      answers.uint(13, number, true)
      answers.sint32(14, this.#words.word(generation), true)
      answers.uint(15, sequence)
      answers.uint(16, whole(staleForMs))
    }
    if (granted !== undefined) for (const grant of granted) this.#writeGrant(answers, grant)
    answers.bool(18, isPaid)
    answers.bool(FAILS_OPEN, shape?.failsOpen === true)
    answers.bool(USES_UNBOUND, usesUnbound)
    answers.close(open)
  }

  /** Says that a check was not judged, and why. */
  addFailure(id: number, status: Status): void {
    const answers = this.#answers
    const open = answers.open(ANSWERS)
    answers.uint(1, id)
    this.#writeStatus(answers, status)
    answers.bool(4, true)
    answers.close(open)
  }

  /** Says that the node goes. */
  leave(): void {
    this.#answers.bool(LEAVING, true)
  }

  tell(news: News): void {
    writeNews(this.#news, this.#words, news)
  }

  /** The batch, which the connection must be sent before any later one. */
  take(): Buffer {
    const words = this.#words.take()
    const answers = this.#answers.take()
    const shapes = this.#shapes.take()
    if (shapes === undefined && this.#kept.size + this.#news.size === 0)
      return words.length === 0 ? answers : Buffer.concat([...words, answers])
    const rest = [...(shapes === undefined ? [] : [shapes]), this.#kept.take(), this.#news.take()]
    return Buffer.concat([...words, answers, ...rest])
  }

  #writeStatus(answers: WireWriter, { code, message }: Status): void {
    answers.int32(2, code)
    if (message !== '') answers.sint32(3, this.#words.word(message), true)
  }

  /** Grants with the numbers of their shapes, where they have some. */
  #numbered(quotas: ReadonlyMap<string, QuotaGrant>): readonly NumberedGrant[] {
    return Array.from(quotas, ([name, grant]) => ({
      name,
      grant,
      shape: grant.shape && this.#shapes.number(grant.shape),
    }))
  }

  #writeGrant(answers: WireWriter, { name, grant, shape }: NumberedGrant): void {
    const open = answers.open(GRANTS)
    answers.sint32(1, this.#words.word(name))
    this.#writeStatus(answers, grant.status)
    answers.int64(4, grant.granted)
    answers.uint(5, whole(grant.validForMs))
    if (shape !== undefined) answers.uint(6, shape, true)
    answers.close(open)
  }

  #writeHeaders(answers: WireWriter, field: number, operations: readonly HeaderOperation[]): void {
    if (operations.length === 0) return
    const packed = answers.open(field)
    for (const { name, value, operation } of operations) {
      answers.packedSint32(this.#words.word(name))
      answers.packedSint32(this.#words.word(value))
      answers.packedSint32(OPERATIONS.indexOf(operation))
    }
    answers.close(packed)
  }

  #writeDirect(answers: WireWriter, { code, body, headers }: DirectResponse): void {
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
