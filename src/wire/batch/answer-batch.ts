// Reads intermix.v1.AnswerBatch, on the asking side of a batch stream.

import type { AnswerShape } from '../../kernel/answer-shape.ts'
import { IntermixError } from '../../kernel/errors.ts'
import type { HeaderOperation } from '../../kernel/header-operation.ts'
import type { Answer, DirectResponse } from '../../kernel/verdict.ts'
import { BYTES, VARINT, WireReader } from '../wire-reader.ts'
import { KEPT_ANSWERS, OPERATIONS, TIERS } from './answer-batch-writer.ts'
import { ToldShapes } from './told-shapes.ts'
import { PassingWords, Words } from './words.ts'

/** What is done with what a node says. */
export interface AnswerSink {
  /** @param shape where the answer may be kept */
  answered(id: number, answer: Answer, shape?: AnswerShape): void
  /** The node did not judge the check: the status says why. */
  failed(id: number, status: Answer['status']): void
  /** The node goes: it takes no further checks. */
  leaving(): void
}

interface ReadAnswer {
  id: number
  code: number
  message: string
  failed: boolean
  tier: Answer['tier']
  ageMs: number
  validForMs: number
  validUses: number
  requestHeaders: readonly HeaderOperation[]
  responseHeaders: readonly HeaderOperation[]
  directResponse: DirectResponse | undefined
  deniedBy: Answer['deniedBy']
  shape: number
  generation: string
  sequence: number
}

const NONE: readonly HeaderOperation[] = []

/** The reading side of one connection, with the words that it has been sent. */
export class AnswerBatches {
  #words = new Words()
  #shapes = new ToldShapes()

  /** @throws IntermixError INVALID_REQUEST where the message is malformed: the stream is of no more use */
  read(message: Uint8Array, sink: AnswerSink): void {
    const reader = new WireReader(message)
    const passing = new PassingWords(reader.bytes)
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
      switch (tag >>> 3) {
        case 1:
          reader.expect(tag, VARINT)
          if (reader.varint32() === 0) break
          this.#words = new Words()
          this.#shapes = new ToldShapes()
          break
        case 2:
        case 3: {
          reader.expect(tag, BYTES)
          const end = reader.enter()
          if (tag >>> 3 === 2) this.#words.add(reader.bytes, reader.pos, end)
          else passing.add(reader.pos, end)
          reader.pos = end
          break
        }
        case 4:
        case 8:
          this.#readAnswer(reader, tag, passing, sink)
          break
        case 6:
          this.#shapes.addQuestion(reader, tag, (word) => this.#text(word, passing))
          break
        case 7:
          this.#shapes.addShape(reader, tag, (word) => this.#text(word, passing))
          break
        case 5:
          reader.expect(tag, VARINT)
          if (reader.varint32() !== 0) sink.leaving()
          break
        default:
          reader.skip(tag)
      }
    }
  }

  #readAnswer(reader: WireReader, answerTag: number, passing: PassingWords, sink: AnswerSink): void {
    const outer = reader.openField(answerTag)
    const read: ReadAnswer = {
      id: 0,
      code: 0,
      message: '',
      failed: false,
      tier: 'local',
      ageMs: 0,
      validForMs: 0,
      validUses: 0,
      requestHeaders: NONE,
      responseHeaders: NONE,
      directResponse: undefined,
      deniedBy: undefined,
      shape: 0,
      generation: '',
      sequence: 0,
    }
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) this.#readField(reader, tag, passing, read)
    reader.close(outer)
    const { id, code, message, failed, shape: number, generation, sequence, ...rest } = read
    if (failed) return sink.failed(id, { code, message })
    const answer = { status: { code, message }, ...rest, referenced: [] }
    if (answerTag >>> 3 !== KEPT_ANSWERS) return sink.answered(id, answer)
    const shape = this.#shapes.shape(number)
    if (shape === undefined) throw reader.malformed(`an answer has the unknown shape ${number}`)
    sink.answered(id, answer, { ...shape, epoch: { generation, sequence } })
  }

  #readField(reader: WireReader, tag: number, passing: PassingWords, into: ReadAnswer): void {
    const field = tag >>> 3
    if (field > 15) return reader.skip(tag)
    reader.expect(tag, field < 9 || field > 12 ? VARINT : BYTES)
    switch (field) {
      case 1:
        into.id = reader.varint32() >>> 0
        break
      case 2:
        into.code = reader.varint32()
        break
      case 3:
        into.message = this.#text(reader.sint32(), passing)
        break
      case 4:
        into.failed = reader.varint32() !== 0
        break
      case 5:
        into.tier = TIERS[reader.varint32()] ?? 'stale'
        break
      case 6:
        into.ageMs = Number(reader.int64())
        break
      case 7:
        into.validForMs = Number(reader.int64())
        break
      case 8:
        into.validUses = reader.varint32() >>> 0
        break
      case 9:
        into.requestHeaders = this.#readHeaders(reader, passing)
        break
      case 10:
        into.responseHeaders = this.#readHeaders(reader, passing)
        break
      case 11:
        into.directResponse = this.#readDirect(reader, passing)
        break
      case 13:
        into.shape = reader.varint32() >>> 0
        break
      case 14:
        into.generation = this.#text(reader.sint32(), passing)
        break
      case 15:
        into.sequence = Number(reader.int64())
        break
      default: {
        const [rule = '', handler = ''] = this.#readTexts(reader, passing)
        into.deniedBy = { rule, handler }
      }
    }
  }

  #readHeaders(reader: WireReader, passing: PassingWords): readonly HeaderOperation[] {
    const outer = reader.open()
    const operations: HeaderOperation[] = []
    while (reader.pos < reader.end) {
      const name = this.#text(reader.sint32(), passing)
      const value = this.#text(reader.sint32(), passing)
      const operation = OPERATIONS[reader.sint32()]
      if (operation === undefined) throw new IntermixError('INVALID_REQUEST', 'an answer has an unknown operation')
      operations.push({ name, value, operation })
    }
    reader.close(outer)
    return operations
  }

  #readDirect(reader: WireReader, passing: PassingWords): DirectResponse {
    const outer = reader.open()
    const headers: Record<string, string> = {}
    let code = 0
    let body = ''
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
      if (tag >>> 3 === 1) {
        reader.expect(tag, VARINT)
        code = reader.varint32()
      } else if (tag >>> 3 === 2) {
        const at = reader.text(tag)
        const next = reader.pos
        body = reader.textAt(at)
        reader.pos = next
      } else if (tag >>> 3 === 3) {
        reader.expect(tag, BYTES)
        const texts = this.#readTexts(reader, passing)
        for (let at = 0; at + 1 < texts.length; at += 2) headers[texts[at] ?? ''] = texts[at + 1] ?? ''
      } else reader.skip(tag)
    }
    reader.close(outer)
    return { code, body, headers }
  }

  #readTexts(reader: WireReader, passing: PassingWords): string[] {
    const outer = reader.open()
    const texts: string[] = []
    while (reader.pos < reader.end) texts.push(this.#text(reader.sint32(), passing))
    reader.close(outer)
    return texts
  }

  #text(word: number, passing: PassingWords): string {
    if (word < 0 && passing.size(-word - 1) !== undefined) return passing.text(-word - 1)
    const text = this.#words.texts[word]
    if (text === undefined) throw new IntermixError('INVALID_REQUEST', `an answer has the unknown word ${word}`)
    return text
  }
}
