// Reads intermix.v1.AnswerBatch, on the asking side of a batch stream.

import type { AnswerShape } from '../../kernel/answer-shape.ts'
import { IntermixError } from '../../kernel/errors.ts'
import type { HeaderOperation } from '../../kernel/header-operation.ts'
import type { QuotaGrant } from '../../kernel/services.ts'
import { Code } from '../../kernel/status.ts'
import type { Answer, DirectResponse } from '../../kernel/verdict.ts'
import { BYTES, VARINT, WireReader } from '../wire-reader.ts'
import { FAILS_OPEN, KEPT_ANSWERS, OPERATIONS, TIERS, USES_UNBOUND } from './answer-batch-writer.ts'
import { NEWS, type News } from './news.ts'
import { readNews } from './news-reader.ts'
import { ToldShapes } from './told-shapes.ts'
import { PassingWords, Words } from './words.ts'

export type ToldGrant = Omit<QuotaGrant, 'referenced'>

/** What a node says of a check that it has judged. */
export interface ToldAnswer {
  /** Its `referenced` is empty: `shape` says more. */
  readonly answer: Answer
  /** What it depended on, where it may be kept. */
  readonly shape: AnswerShape | undefined
  /** For how long, in ms, beyond its life it may be given where no node answers. */
  readonly staleForMs: number
  /** Whether it has paid for quotas: for this request, and for each of its uses. */
  readonly isPaid: boolean
  /** Whether nobody meant to bound how often it is given. */
  readonly usesUnbound?: boolean
  /** By the names under which the caller asked for them. */
  readonly grants: ReadonlyMap<string, ToldGrant>
}

/** What is done with what a node says. */
export interface AnswerSink {
  answered(id: number, told: ToldAnswer): void
  /** The node did not judge the check: the status says why. */
  failed(id: number, status: Answer['status']): void
  /** The node goes: it takes no further checks. */
  leaving(): void
  /** To callers that have a name. */
  news?(news: News): void
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
  shape: number | undefined
  generation: string
  sequence: number
  staleForMs: number
  isPaid: boolean
  failsOpen: boolean
  usesUnbound: boolean
  grants: Map<string, ReadGrant> | undefined
  /** A later version has said something of it that could keep others from having it. */
  isBound: boolean
  /** Why it cannot be given to anybody. */
  problem: string | undefined
}

/** What an answer says of its shape. */
type Stamp = Pick<ReadAnswer, 'generation' | 'sequence' | 'failsOpen'>

/** Its shape by number, until it is known that the answer lies behind shapes. */
interface ReadGrant extends Omit<ToldGrant, 'shape'> {
  readonly shape: number | undefined
}

const NONE: readonly HeaderOperation[] = []
const NO_REFERENCES: Answer['referenced'] = []
const NO_GRANTS: ReadonlyMap<string, ToldGrant> = new Map()
/** A field from 19 up to this one binds an answer to its request for who does not know it (docs/batch-stream.md). */
const LAST_BINDING = 24
/** Of what revocations are not about. */
const UNSTAMPED: Stamp = { generation: '', sequence: 0, failsOpen: false }

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
        case NEWS: {
          const news = readNews(reader, tag, (word) => this.#text(word, passing))
          sink.news?.(news)
          break
        }
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
      shape: undefined,
      generation: '',
      sequence: 0,
      staleForMs: 0,
      isPaid: false,
      failsOpen: false,
      usesUnbound: false,
      grants: undefined,
      isBound: false,
      problem: undefined,
    }
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) this.#readField(reader, tag, passing, read)
    reader.close(outer)
    const { id, code, message, staleForMs, isPaid, usesUnbound, grants } = read
    const status = { code, message }
    if (read.failed) return sink.failed(id, status)
    if (read.problem !== undefined) return sink.failed(id, { code: Code.UNIMPLEMENTED, message: read.problem })
    const isBehind = answerTag >>> 3 === KEPT_ANSWERS && !read.isBound
    sink.answered(id, {
      // Nothing is spread here: it is done for each answer.
      answer: {
        status,
        validForMs: read.validForMs,
        validUses: read.validUses,
        tier: read.tier,
        ageMs: read.ageMs,
        referenced: NO_REFERENCES,
        requestHeaders: read.requestHeaders,
        responseHeaders: read.responseHeaders,
        directResponse: read.directResponse,
        deniedBy: read.deniedBy,
      },
      shape: isBehind ? this.#shapeOf(reader, read.shape, read) : undefined,
      staleForMs,
      isPaid,
      usesUnbound,
      grants: grants === undefined ? NO_GRANTS : this.#grantsOf(reader, grants, isBehind),
    })
  }

  #shapeOf(reader: WireReader, number: number | undefined, of: Stamp): AnswerShape | undefined {
    if (number === undefined) return undefined
    if (!this.#shapes.has(number)) throw reader.malformed(`an answer has the unknown shape ${number}`)
    const shape = this.#shapes.shape(number)
    const { generation, sequence, failsOpen } = of
    return shape && { ...shape, epoch: { generation, sequence }, failsOpen }
  }

  #grantsOf(
    reader: WireReader,
    grants: ReadonlyMap<string, ReadGrant>,
    isBehind: boolean,
  ): ReadonlyMap<string, ToldGrant> {
    const told = new Map<string, ToldGrant>()
    for (const [name, { shape, ...grant }] of grants)
      told.set(name, { ...grant, shape: isBehind ? this.#shapeOf(reader, shape, UNSTAMPED) : undefined })
    return told
  }

  #readField(reader: WireReader, tag: number, passing: PassingWords, into: ReadAnswer): void {
    const field = tag >>> 3
    if (field > 18 && field !== FAILS_OPEN && field !== USES_UNBOUND) {
      into.isBound ||= field <= LAST_BINDING
      return reader.skip(tag)
    }
    reader.expect(tag, field < 9 || (field > 12 && field !== 17) ? VARINT : BYTES)
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
        into.requestHeaders = this.#readHeaders(reader, passing, into)
        break
      case 10:
        into.responseHeaders = this.#readHeaders(reader, passing, into)
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
      case 16:
        into.staleForMs = Number(reader.int64())
        break
      case 17:
        this.#readGrant(reader, passing, (into.grants ??= new Map()))
        break
      case 18:
        into.isPaid = reader.varint32() !== 0
        break
      case FAILS_OPEN:
        into.failsOpen = reader.varint32() !== 0
        break
      case USES_UNBOUND:
        into.usesUnbound = reader.varint32() !== 0
        break
      default: {
        const [rule = '', handler = ''] = this.#readTexts(reader, passing)
        into.deniedBy = { rule, handler }
      }
    }
  }

  #readGrant(reader: WireReader, passing: PassingWords, into: Map<string, ReadGrant>): void {
    const outer = reader.open()
    let name = 0
    let code = 0
    let message = ''
    let granted = 0
    let validForMs = 0
    let shape: number | undefined
    let isBound = false
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
      const field = tag >>> 3
      if (field > 6) {
        reader.skip(tag)
        isBound = true
        continue
      }
      reader.expect(tag, VARINT)
      if (field === 1) name = reader.sint32()
      else if (field === 2) code = reader.varint32()
      else if (field === 3) message = this.#text(reader.sint32(), passing)
      else if (field === 4) granted = Number(reader.int64())
      else if (field === 5) validForMs = Number(reader.int64())
      else shape = reader.varint32() >>> 0
    }
    reader.close(outer)
    into.set(this.#text(name, passing), {
      status: { code, message },
      granted,
      validForMs,
      shape: isBound ? undefined : shape,
    })
  }

  #readHeaders(reader: WireReader, passing: PassingWords, into: ReadAnswer): readonly HeaderOperation[] {
    const outer = reader.open()
    const operations: HeaderOperation[] = []
    while (reader.pos < reader.end) {
      const name = this.#text(reader.sint32(), passing)
      const value = this.#text(reader.sint32(), passing)
      const operation = OPERATIONS[reader.sint32()]
      if (operation === undefined) into.problem = 'the node wants to do with headers what is not known here'
      else operations.push({ name, value, operation })
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
