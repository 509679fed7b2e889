// Reads what a node sends over the batch stream: intermix.v1.AnswerBatch.

import { Bytes, copyOf } from '../bytes/bytes'
import { HeaderOperation } from '../cache/kept-answer'
import { isFieldName, isPseudoName, lowered } from '../request/header-names'
import { Reader, WireType } from '../wire/reader'
import { MAX_KEPT, Revocation } from './revocations'
import { Settable } from './settable'
import { ShapeReader } from './shape-reader'
import { News, Sink, Tier, ToldAnswer } from './told'
import { Words } from './words'

const KEPT_ANSWERS = 8
const LAST_OF_CONFIG: u32 = 4
/** Operations on headers, and headers of a reply: messages with so many go nowhere. */
const MAX_HEADERS = 1_000
/** A field from 19 up to this one binds an answer to its request for who does not know it (docs/batch-stream.md, "Versions"). */
const LAST_BINDING: u32 = 24
const FAILS_OPEN: u32 = 25
const USES_UNBOUND: u32 = 26

export class AnswerBatches {
  private readonly words: Words
  private readonly shapes: ShapeReader
  private readonly reader: Reader = new Reader()

  constructor(settable: Settable) {
    const words = new Words()
    this.words = words
    this.shapes = new ShapeReader(words, settable)
  }

  private reset(): void {
    this.words.reset()
    this.shapes.reset()
  }

  /** Reads a message. @returns whether it could be read: if not, the stream is of no more use */
  read(from: usize, size: i32, sink: Sink): bool {
    const reader = this.reader
    const words = this.words
    reader.open(from, size)
    words.begin()
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
      const field = tag >> 3
      const isNumber = field === 1 || field === 5
      if (field > 9) {
        reader.skip(tag)
        continue
      }
      if (!reader.expect(tag, isNumber ? WireType.VARINT : WireType.BYTES)) return false
      switch (field) {
        case 1:
          if (reader.uint() !== 0) this.reset()
          break
        case 2:
        case 3: {
          const end = reader.bytes()
          if (field === 2) words.add(reader.pos, <i32>(end - reader.pos))
          else words.addPassing(reader.pos, <i32>(end - reader.pos))
          reader.pos = end
          break
        }
        case 4:
        case KEPT_ANSWERS: {
          const told = this.readAnswer(field === KEPT_ANSWERS)
          if (reader.isBroken || words.isBroken) return false
          sink.answered(told)
          break
        }
        case 5:
          if (reader.uint() !== 0) sink.leaving()
          break
        case 6:
          this.shapes.readQuestion(reader)
          break
        case 7:
          this.shapes.readShape(reader)
          break
        default: {
          const news = this.readNews()
          if (reader.isBroken || words.isBroken) return false
          sink.news(news)
        }
      }
      if (reader.isBroken || words.isBroken) return false
    }
    return !reader.isBroken
  }

  private name(): Bytes {
    return this.words.name(this.reader.sint())
  }

  private word(): Bytes {
    return this.words.word(this.reader.sint())
  }

  private readAnswer(isBehind: bool): ToldAnswer {
    const reader = this.reader
    const told = new ToldAnswer()
    const answer = told.answer
    let isBound = false
    const outer = reader.enter()
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
      const field = tag >> 3
      if (field > 18 && field !== FAILS_OPEN && field !== USES_UNBOUND) {
        if (field <= LAST_BINDING) isBound = true
        reader.skip(tag)
        continue
      }
      const isNumber = field < 9 || (field > 12 && field !== 17)
      if (!reader.expect(tag, isNumber ? WireType.VARINT : WireType.BYTES)) break
      switch (field) {
        case 1:
          told.id = reader.uint()
          break
        case 2:
          answer.code = reader.uint()
          break
        case 3:
          answer.message = this.word()
          break
        case 4:
          told.hasFailed = reader.uint() !== 0
          break
        case 5:
          told.tier = <i32>min<u32>(reader.uint(), Tier.STALE)
          break
        case 6:
          told.ageMs = reader.count()
          break
        case 7:
          told.validForMs = reader.count()
          break
        case 8:
          // More than anybody could use.
          told.validUses = <i32>min<u64>(reader.varint(), 0x3fff_ffff)
          break
        case 9:
          answer.requestHeaders = this.readOperations(told, true)
          break
        case 10:
          answer.responseHeaders = this.readOperations(told, false)
          break
        case 11:
          this.readDirect(told)
          break
        case 13: {
          const number = reader.uint()
          if (!isBehind) break
          if (this.shapes.has(number)) told.shape = this.shapes.shape(number)
          else reader.fail()
          break
        }
        case 14:
          told.generation = this.name()
          break
        case 15:
          told.sequence = reader.count()
          break
        case 16:
          told.staleForMs = reader.count()
          break
        case 18:
          told.isPaid = reader.uint() !== 0
          break
        case USES_UNBOUND:
          told.usesUnbound = reader.uint() !== 0
          break
        case FAILS_OPEN:
          told.failsOpen = reader.uint() !== 0
          break
        default:
          reader.pos = reader.bytes()
      }
    }
    reader.close(outer)
    if (isBound) told.shape = null
    return told
  }

  private readOperations(told: ToldAnswer, isRequest: bool): Array<HeaderOperation> {
    const reader = this.reader
    const operations: Array<HeaderOperation> = []
    const outer = reader.enter()
    while (reader.pos < reader.end) {
      const name = this.word()
      const value = this.word()
      const operation = reader.sint()
      const isKnown = operation >= 0 && operation <= 2 && (isFieldName(name) || (isRequest && isPseudoName(name)))
      // Half of what is to be done to a request is not the answer.
      if (!isKnown || operations.length >= MAX_HEADERS) told.hasFailed = true
      else operations.push(new HeaderOperation(name, value, operation))
    }
    reader.close(outer)
    return operations
  }

  private readDirect(told: ToldAnswer): void {
    const reader = this.reader
    const headers: Array<Bytes> = []
    const outer = reader.enter()
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
      const field = tag >> 3
      if (field === 1) {
        if (!reader.expect(tag, WireType.VARINT)) break
        told.answer.httpStatus = reader.uint()
      } else if (field === 2) {
        if (!reader.expect(tag, WireType.BYTES)) break
        const end = reader.bytes()
        told.answer.body = copyOf(reader.pos, <i32>(end - reader.pos))
        reader.pos = end
      } else if (field === 3) {
        if (!reader.expect(tag, WireType.BYTES)) break
        const inner = reader.enter()
        while (reader.pos < reader.end) this.readReplyHeader(headers)
        reader.close(inner)
      } else reader.skip(tag)
    }
    reader.close(outer)
    told.answer.directHeaders = headers
  }

  /** What is no header is left out: the denial that it came with stands. */
  private readReplyHeader(headers: Array<Bytes>): void {
    const name = lowered(this.word())
    const value = this.word()
    if (!isFieldName(name) || headers.length >= 2 * MAX_HEADERS) return
    headers.push(name)
    headers.push(value)
  }

  private readNews(): News {
    const reader = this.reader
    const news = new News()
    const outer = reader.enter()
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
      const field = tag >> 3
      if (field > 8) {
        reader.skip(tag)
        continue
      }
      if (!reader.expect(tag, field === 4 || field === 8 ? WireType.BYTES : WireType.VARINT)) break
      switch (field) {
        case 1:
          news.ask = reader.uint()
          break
        case 2:
          news.generation = this.name()
          break
        case 3:
          news.sequence = reader.count()
          break
        case 4:
          this.readRevocation(news)
          break
        case 5:
          news.outOfTouchMs = reader.count()
          break
        case 6:
          news.maxAgeMs = reader.count()
          break
        case 8:
          this.readConfig(news)
          break
        default:
          reader.varint()
      }
    }
    reader.close(outer)
    return news
  }

  /** One of a kind that is not known here is left out: in the gap that it leaves everything is revoked. */
  private readRevocation(news: News): void {
    const reader = this.reader
    // More become one of everything, by the gap that they leave.
    if (news.revocations.length >= MAX_KEPT) {
      reader.pos = reader.bytes()
      return
    }
    const revocation = new Revocation()
    let hasName = false
    let hasValue = false
    const outer = reader.enter()
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
      const field = tag >> 3
      if (field > 5) {
        reader.skip(tag)
        continue
      }
      if (!reader.expect(tag, WireType.VARINT)) break
      if (field === 1) revocation.sequence = reader.count()
      else if (field === 2) revocation.kind = reader.uint()
      else if (field === 3) {
        revocation.name = this.word()
        hasName = true
      } else if (field === 4) revocation.key = this.word()
      else {
        revocation.value = this.word()
        hasValue = true
      }
    }
    reader.close(outer)
    const isKnown =
      revocation.kind === 0 || (revocation.kind === 1 && hasName) || (revocation.kind === 2 && hasName && hasValue)
    if (isKnown) news.revocations.push(revocation)
  }

  private readConfig(news: News): void {
    const reader = this.reader
    const outer = reader.enter()
    news.config = new Uint8Array(0)
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
      // How requests are read in a way that a later version has brought is not known here.
      if (tag >> 3 > LAST_OF_CONFIG) news.isConfigUnknown = true
      if (tag >> 3 === 1 && reader.expect(tag, WireType.VARINT)) news.config = this.name()
      else reader.skip(tag)
    }
    reader.close(outer)
  }
}
