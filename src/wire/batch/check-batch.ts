// Reads intermix.v1.CheckBatch: the words of a connection, and checks one after the other as bags.

import { type AttributeBag, EMPTY_BAG, type Vocabulary } from '../../kernel/attribute-bag.ts'
import { IntermixError } from '../../kernel/errors.ts'
import { RefusedRequest } from '../../kernel/refused-request.ts'
import type { RequestLimits } from '../../kernel/request-limits.ts'
import { describedCheckBag } from '../envoy-attributes.ts'
import { readEnvoyCheck } from '../envoy-check.ts'
import { HEADER_MAPS } from '../request-headers.ts'
import { BYTES, FIXED64, VARINT, WireReader } from '../wire-reader.ts'
import { type AttributeKind, kindName, KINDS, UNDECLARED } from './attribute-kind.ts'
import { type CheckDemands, isDemand, ReadDemands } from './check-demands.ts'
import { BatchBag, NO_VALUE, type Stated, type WordSource } from './batch-bag.ts'
import { CALLER, HEARD, type Heard } from './news.ts'
import { readHeard } from './news-reader.ts'
import { isAddressOf, PassingWords, Words } from './words.ts'

/** Attributes of one check; the vocabulary of Istio has 97. */
const MAX_ATTRIBUTES = 1_000

/** The field of a check that has, in place of attributes, what Envoy's ext_authz filter would ask. */
export const ENVOY_CHECK = 17

/** Names of callers and of generations. */
const MAX_NAME = 1_000

/** One check as it is read. `problem` says why it cannot be judged. */
export interface ReadCheck {
  readonly id: number
  /** 0 where the caller leaves it to the node. */
  readonly timeoutMs: number
  readonly bag: AttributeBag
  /** What it asks beside an answer; `undefined` where that is nothing. */
  readonly demands: CheckDemands | undefined
  readonly problem: IntermixError | undefined
}

/** The message that is being read. */
interface Message {
  readonly reader: WireReader
  /** For what bags read of it, while the other one goes on. */
  readonly values: WireReader
  readonly passing: PassingWords
  hasReset: boolean
}

/** The reading side of one connection, with the words that it has been sent. */
export class CheckBatches {
  readonly #limits: RequestLimits
  #words = new Words()
  #message: Message | undefined
  #keepsAnswers = false
  #caller: string | undefined
  #heard: Heard | undefined

  constructor(limits: RequestLimits) {
    this.#limits = limits
  }

  /** Takes the next message, after the end of the one before. Its bytes must not change while bags live. */
  begin(message: Uint8Array): void {
    const reader = new WireReader(message)
    const { bytes } = reader
    this.#message = { reader, values: new WireReader(bytes), passing: new PassingWords(bytes), hasReset: false }
  }

  /** What the words of the connection take of memory, roughly, in bytes. */
  get memory(): number {
    return this.#words.memory
  }

  /** Whether the caller has said that it keeps answers. */
  get keepsAnswers(): boolean {
    return this.#keepsAnswers
  }

  /** Who wants news; `undefined` where nobody has said. */
  get caller(): string | undefined {
    return this.#caller
  }

  /** What the caller has heard, as it said last since this was asked. */
  takeHeard(): Heard | undefined {
    const heard = this.#heard
    this.#heard = undefined
    return heard
  }

  /** Whether the message may have further checks. */
  get isReading(): boolean {
    return this.#message !== undefined
  }

  /**
   * The next check of the message; `undefined` at its end.
   * @throws IntermixError INVALID_REQUEST where the message is malformed or has too many words: the stream is of no more use
   */
  next(vocabulary: Vocabulary): ReadCheck | undefined {
    const message = this.#message
    if (message === undefined) return undefined
    const { reader, values, passing } = message
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
      switch (tag >>> 3) {
        case 1:
          this.#readReset(message, tag)
          break
        case 2:
          this.#readWord(reader, tag)
          break
        case 3:
          readPassing(reader, tag, passing)
          break
        case 4: {
          const source = { words: this.#words, passing }
          return new CheckReader(reader, tag, source, vocabulary, this.#limits).finish(values, vocabulary)
        }
        case 5:
          reader.expect(tag, VARINT)
          if (reader.varint32() !== 0) this.#keepsAnswers = true
          break
        case CALLER:
          reader.expect(tag, VARINT)
          this.#caller = this.#text(message, reader.sint32())
          break
        case HEARD:
          this.#heard = readHeard(reader, tag, (word) => this.#text(message, word))
          break
        default:
          reader.skip(tag)
      }
    }
    this.#message = undefined
    return undefined
  }

  /** Once in a message: each makes the node begin a list of words. */
  #readReset(message: Message, tag: number): void {
    const { reader } = message
    reader.expect(tag, VARINT)
    if (reader.varint32() === 0) return
    if (message.hasReset) throw reader.malformed('a second reset')
    message.hasReset = true
    this.#words = new Words()
  }

  #text({ reader, passing }: Message, word: number): string {
    const isPassing = word < 0 && passing.size(-word - 1) !== undefined
    const text = isPassing ? passing.text(-word - 1) : this.#words.texts[word]
    if (text === undefined || text.length > MAX_NAME) throw reader.malformed(`word ${word} is no name`)
    return text
  }

  #readWord(reader: WireReader, tag: number): void {
    reader.expect(tag, BYTES)
    const end = reader.enter()
    this.#words.add(reader.bytes, reader.pos, end)
    reader.pos = end
  }
}

function readPassing(reader: WireReader, tag: number, passing: PassingWords): void {
  reader.expect(tag, BYTES)
  const end = reader.enter()
  passing.add(reader.pos, end)
  reader.pos = end
}

/** Scratch for the numbers of one field. */
let numbers: number[] = []
/** More are not kept room for. */
const MAX_KEPT = 65_536

/** Reads pairs of numbers up to the reader's end into `numbers`. @returns how many numbers */
function pairsOf(reader: WireReader): number {
  if (numbers.length > MAX_KEPT) numbers = []
  const count = reader.sint32s(numbers)
  if (count % 2 !== 0) throw reader.malformed('a name or a key without a value')
  return count
}

/** Reads one check to its end, also where it cannot be judged: those behind it can. */
class CheckReader implements Stated {
  readonly slots: number[] = []
  readonly pairs: number[] = []
  readonly #reader: WireReader
  readonly #source: WordSource
  readonly #words: Words
  readonly #limits: RequestLimits
  #id = 0
  #timeoutMs = 0
  #problem: IntermixError | undefined
  #bytes = 0
  #entries = 0
  /** Slots of maps of headers with capitals in a name. */
  #unfolded: number[] | undefined
  #demands: ReadDemands | undefined
  /** Where an ext_authz request in place of attributes lies. */
  #envoyCheck: Uint8Array | undefined

  constructor(reader: WireReader, checkTag: number, source: WordSource, vocabulary: Vocabulary, limits: RequestLimits) {
    this.#limits = limits
    this.#reader = reader
    this.#source = source
    this.#words = source.words
    const outer = reader.openField(checkTag)
    this.#words.begin(vocabulary)
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) this.#field(tag)
    reader.close(outer)
    this.#demands?.finish(this)
    if (this.#envoyCheck !== undefined && this.slots.length > 0)
      this.refuse('contradictory', 'the check has both attributes and envoy_check; send one of them')
  }

  /** @param values over the bytes of the message, for the bag alone */
  finish(values: WireReader, vocabulary: Vocabulary): ReadCheck {
    const bag = this.#envoyCheck === undefined ? this.#statedBag(values) : this.#envoyBag(this.#envoyCheck, vocabulary)
    return { id: this.#id, timeoutMs: this.#timeoutMs, bag, demands: this.#demands, problem: this.#problem }
  }

  #statedBag(values: WireReader): BatchBag {
    const bag = new BatchBag(this.#source, values, this)
    for (const slot of this.#unfolded ?? []) {
      if (this.#problem === undefined) this.#fold(bag, slot)
    }
    return bag
  }

  #envoyBag(bytes: Uint8Array, vocabulary: Vocabulary): AttributeBag {
    try {
      if (this.#problem === undefined) return describedCheckBag(readEnvoyCheck(bytes, this.#limits), vocabulary)
    } catch (caught) {
      this.#problem = IntermixError.from(caught)
    }
    return EMPTY_BAG
  }

  #field(tag: number): void {
    const reader = this.#reader
    switch (tag >>> 3) {
      case 1:
        reader.expect(tag, VARINT)
        this.#id = reader.varint32() >>> 0
        break
      case 2:
        reader.expect(tag, VARINT)
        this.#timeoutMs = reader.varint32() >>> 0
        break
      case 3:
        this.#readTexts(tag)
        break
      case 4:
        this.#readMap(tag)
        break
      case 5:
        this.#readAddresses(tag)
        break
      case 6:
        this.#readNumbers(tag, KINDS.integer, 1)
        break
      case 7:
        this.#readNumbers(tag, KINDS.boolean, 1)
        break
      case 8:
        this.#readNumbers(tag, KINDS.time, 2)
        break
      case 9:
        this.#readNumbers(tag, KINDS.duration, 2)
        break
      case 10:
        this.#readDouble(tag)
        break
      case ENVOY_CHECK: {
        reader.expect(tag, BYTES)
        const end = reader.enter()
        this.#envoyCheck = reader.bytes.subarray(reader.pos, end)
        reader.pos = end
        break
      }
      default:
        if (isDemand(tag >>> 3)) (this.#demands ??= new ReadDemands()).read(reader, tag, this)
        else reader.skip(tag)
    }
  }

  /** The text of a word, counted as those of attributes are. */
  text(word: number): string | undefined {
    this.#count(word)
    if (this.#problem !== undefined) return undefined
    const { words, passing } = this.#source
    return word >= 0 ? words.texts[word] : passing.text(-word - 1)
  }

  #readTexts(fieldTag: number): void {
    const reader = this.#reader
    const outer = reader.openField(fieldTag)
    const count = pairsOf(reader)
    for (let at = 0; at < count; at += 2) {
      const word = numbers[at + 1] ?? 0
      this.#count(word)
      this.#define(numbers[at] ?? 0, KINDS.text, word)
    }
    reader.close(outer)
  }

  #readAddresses(fieldTag: number): void {
    const reader = this.#reader
    const outer = reader.openField(fieldTag)
    const count = pairsOf(reader)
    for (let at = 0; at < count; at += 2) {
      const word = numbers[at + 1] ?? 0
      this.#checkAddress(word)
      this.#define(numbers[at] ?? 0, KINDS.address, word)
    }
    reader.close(outer)
  }

  #readMap(mapTag: number): void {
    const reader = this.#reader
    const outer = reader.openField(mapTag)
    const at = this.pairs.length
    this.pairs.push(0)
    let name = 0
    let count = 0
    let hasCapitals = false
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
      if (tag >>> 3 === 1) {
        reader.expect(tag, VARINT)
        name = reader.sint32()
      } else if (tag >>> 3 === 2) {
        const outside = reader.openField(tag)
        const more = pairsOf(reader)
        this.#countEntries(more / 2)
        for (let index = 0; index < more && this.#problem === undefined; index += 2) {
          const key = numbers[index] ?? 0
          const value = numbers[index + 1] ?? 0
          this.#count(key)
          this.#count(value)
          hasCapitals ||= this.#hasCapitals(key)
          this.pairs.push(key, value)
          count++
        }
        reader.close(outside)
      } else reader.skip(tag)
    }
    reader.close(outer)
    this.pairs[at] = count
    if (hasCapitals && HEADER_MAPS.has(this.#words.texts[name] ?? '')) (this.#unfolded ??= []).push(this.slots.length)
    this.#define(name, KINDS.map, at)
  }

  #readNumbers(fieldTag: number, kind: AttributeKind, count: number): void {
    const reader = this.#reader
    const outer = reader.openField(fieldTag)
    while (reader.pos < reader.end) {
      const name = reader.sint32()
      const at = reader.pos
      for (let part = 0; part < count; part++) reader.varint32()
      this.#define(name, kind, at)
    }
    reader.close(outer)
  }

  #readDouble(doubleTag: number): void {
    const reader = this.#reader
    const outer = reader.openField(doubleTag)
    let name = 0
    let at = NO_VALUE
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
      if (tag >>> 3 === 1) {
        reader.expect(tag, VARINT)
        name = reader.sint32()
        continue
      }
      if (tag >>> 3 === 2) {
        reader.expect(tag, FIXED64)
        at = reader.pos
      }
      reader.skip(tag)
    }
    reader.close(outer)
    this.#define(name, KINDS.double, at)
  }

  #define(name: number, kind: AttributeKind, value: number): void {
    // What is refused already is only passed over: saying more of it would cost time and be of no use.
    if (this.#problem !== undefined) return
    const attribute = this.#words.attribute(name)
    if (attribute === -1) return this.refuse('invalid-value', `no lasting word has the number ${name}`)
    if (attribute === -2) return this.refuse('contradictory', `the check states ${this.#nameOf(name)} twice`)
    const declared = attribute & 15
    if (declared !== kind && declared !== UNDECLARED) {
      const text = `${this.#nameOf(name)} is sent as ${kindName(kind)} and must be ${kindName(declared)}`
      return this.refuse('invalid-value', text)
    }
    if (this.slots.length >= MAX_ATTRIBUTES * 3)
      return this.refuse('too-large', `more than ${MAX_ATTRIBUTES} attributes in one check; send fewer`)
    this.slots.push(attribute >>> 4, kind, value)
  }

  #countEntries(more: number): void {
    const { maxMapEntries } = this.#limits
    this.#entries += more
    if (this.#entries <= maxMapEntries || this.#problem !== undefined) return
    const text = `more than ${maxMapEntries} map entries; send fewer`
    this.#problem = new RefusedRequest('too-large', text, 'raise --max-map-entries')
  }

  /**
   * Counts the bytes of a word that has to be text. Those of a passing word are looked at each time that it is named, so what
   * is too large is refused before.
   */
  #count(word: number): void {
    if (this.#problem !== undefined) return
    const { words, passing } = this.#source
    const size = word >= 0 ? words.sizes[word] : passing.size(-word - 1)
    if (size === undefined) return this.refuse('invalid-value', `no word has the number ${word}`)
    this.#bytes += size
    const { maxAttributeBytes } = this.#limits
    if (this.#bytes > maxAttributeBytes) {
      const text = `the attributes have more than ${maxAttributeBytes} bytes; send fewer`
      this.#problem = new RefusedRequest('too-large', text, 'raise --max-attribute-bytes')
    } else if (word >= 0 ? words.texts[word] === undefined : !passing.isText(-word - 1))
      this.refuse('ill-formed', `word ${word} is not UTF-8`)
  }

  #checkAddress(word: number): void {
    if (this.#problem !== undefined) return
    const { words, passing } = this.#source
    const size = word >= 0 ? words.sizes[word] : passing.size(-word - 1)
    if (size === undefined) this.refuse('invalid-value', `no word has the number ${word}`)
    else if (!isAddressOf(size)) this.refuse('invalid-value', `an IP address of ${size} bytes; it must have 4 or 16`)
  }

  #hasCapitals(word: number): boolean {
    const { words, passing } = this.#source
    return word >= 0 ? words.hasCapitals(word) : passing.size(-word - 1) !== undefined && passing.hasCapitals(-word - 1)
  }

  #fold(bag: BatchBag, slot: number): void {
    try {
      bag.foldNames(slot)
    } catch (caught) {
      this.#problem = IntermixError.from(caught)
    }
  }

  #nameOf(name: number): string {
    return (this.#words.texts[name] ?? `attribute ${name}`).slice(0, 200)
  }

  /** The check cannot be judged, for the first of all reasons. */
  refuse(reason: RefusedRequest['reason'], message: string): void {
    this.#problem ??= new RefusedRequest(reason, message)
  }

  /** The check cannot be judged here, and may be elsewhere. */
  fail(message: string): void {
    this.#problem ??= new IntermixError('NOT_READY', message)
  }
}
