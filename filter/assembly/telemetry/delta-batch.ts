// Records as one istio.mixer.v1.ReportRequest in delta encoding, as nodes' own clients write it (wire/mixer/report-writer.ts): a record
// states what has changed since the one before, and all share their words. An attribute cannot be taken back, so all records of
// a batch have the same ones.

import { Bytes, isSame } from '../bytes/bytes'
import { putSint, putVarint, Writer } from '../wire/writer'
import { Record } from './record'
import { Is, NAMES, NAME_WORDS, NO_WORD, Type, TYPES } from './report-attributes'
import { SetAttributes } from './set-attributes'
import { StringMap } from './string-map'
import { WordList } from './word-list'

const RECORDS = 1
const GLOBAL_WORDS = 3
/** The words of the dictionary that it goes by. */
const GLOBAL_WORD_COUNT = 222
/** The largest address. */
const ADDRESS_BYTES = 16
/** Tags of an entry: its name, and its value by type of wire. */
const NAME: u8 = 1 << 3
const FIRST_NUMBER: u8 = 1 << 3
const NUMBER_VALUE: u8 = 2 << 3
const BYTES_VALUE: u8 = (2 << 3) | 2
/** The longest entry of a text, a number, a time or an address. */
const SHORT_ENTRY = 64
const NANOS: i64 = 1_000_000_000
/** What a message has beside records and words. */
const FRAME_BYTES: i32 = 3
/** What it weighs beside its bytes where it waits, about. */
const OVERHEAD_BYTES: i32 = 64

/** What a message of so many bytes weighs. */
export function weightOf(size: i32): i32 {
  return size + OVERHEAD_BYTES
}

export class DeltaBatch {
  /** Which attributes its records have, a bit each. */
  attributes: u64 = 0
  count: i32 = 0
  /** When its first record came, in monotonic ms. */
  openedAt: f64 = 0
  /** And in ms since the epoch. */
  acceptedAt: u64 = 0
  private readonly records: Writer = new Writer()
  private readonly words: WordList = new WordList()
  private readonly numbers: StaticArray<i64> = new StaticArray<i64>(Is.COUNT)
  /** Words that stand for texts; sizes of addresses. */
  private readonly texts: StaticArray<i32> = new StaticArray<i32>(Is.COUNT)
  private readonly addresses: StaticArray<u8> = new StaticArray<u8>(3 * ADDRESS_BYTES)
  private readonly query: Writer = new Writer(1024)
  private readonly requestHeaders: Writer = new Writer(1024)
  private readonly responseHeaders: Writer = new Writer(1024)
  /** What was stated in this message, a bit each. */
  private stated: u64 = 0
  /** Where the entry begins that is being written. */
  private opened: usize = 0

  begin(attributes: u64, now: f64, wallMs: u64): void {
    this.attributes = attributes
    this.count = 0
    this.openedAt = now
    this.acceptedAt = wallMs
    this.stated = 0
    this.records.reset()
    this.words.clear()
  }

  /** Bytes of the message, if it ended now. */
  get size(): i32 {
    return this.records.size + this.words.size + FRAME_BYTES
  }

  get weight(): i32 {
    return this.count === 0 ? 0 : weightOf(this.size)
  }

  /** Adds a record that has the attributes of the batch, and with the first one what the operator has set. */
  add(record: Record, set: SetAttributes): void {
    const writer = this.records
    const opened = writer.open(RECORDS)
    if (this.count === 0) set.write(writer, this.words)
    for (let left = this.attributes; left !== 0; left &= left - 1) this.write(<i32>ctz(left), record)
    writer.close(opened)
    this.count++
  }

  /** Ends the message and appends it. */
  appendTo(writer: Writer): void {
    writer.raw(this.records.from, this.records.size)
    writer.raw(this.words.writer.from, this.words.size)
    writer.uintAlways(GLOBAL_WORDS, GLOBAL_WORD_COUNT)
  }

  free(): void {
    this.records.free()
    this.words.writer.free()
    this.query.free()
    this.requestHeaders.free()
    this.responseHeaders.free()
  }

  private write(attribute: i32, record: Record): void {
    const isStated = (this.stated & ((<u64>1) << attribute)) !== 0
    const type = unchecked(TYPES[attribute])
    if (type === Type.TEXT) {
      const at = unchecked(record.places[attribute])
      const size = unchecked(record.sizes[attribute])
      if (isStated && this.words.is(unchecked(this.texts[attribute]), at, size)) return
      const word = this.words.index(at, size)
      unchecked((this.texts[attribute] = word))
      const entry = this.open(attribute, type)
      store<u8>(entry, NUMBER_VALUE)
      this.close(putSint(entry + 1, word))
    } else if (type === Type.BYTES) this.writeAddress(attribute, record, isStated)
    else if (type === Type.MAP) this.writeMap(attribute, record.map(attribute), isStated)
    else {
      const value = unchecked(record.numbers[attribute])
      if (isStated && unchecked(this.numbers[attribute]) === value) return
      unchecked((this.numbers[attribute] = value))
      const at = this.open(attribute, type)
      if (type === Type.TIME || type === Type.DURATION) this.close(putTime(at, value))
      else {
        store<u8>(at, NUMBER_VALUE)
        this.close(putVarint(at + 1, <u64>value))
      }
    }
    this.stated |= (<u64>1) << attribute
  }

  /** Begins an entry of fewer than 128 bytes: its name. @returns where its value is to be written */
  private open(attribute: i32, type: i32): usize {
    const word = unchecked(NAME_WORDS[attribute])
    const name = word === NO_WORD ? this.wordOf(NAMES[attribute]) : word
    const at = this.records.take(SHORT_ENTRY)
    this.opened = at + 2
    store<u8>(at, <u8>((type << 3) | 2))
    store<u8>(at + 2, NAME)
    return putSint(at + 3, name)
  }

  /** Ends it. */
  @inline
  private close(end: usize): void {
    store<u8>(this.opened - 1, <u8>(end - this.opened))
    this.records.wrote(end)
  }

  private wordOf(text: Bytes): i32 {
    return this.words.index(text.dataStart, text.length)
  }

  private writeAddress(attribute: i32, record: Record, isStated: bool): void {
    const at = record.places[attribute]
    const size = record.sizes[attribute]
    const known = changetype<usize>(this.addresses) + <usize>(attribute * ADDRESS_BYTES)
    if (isStated && isSame(known, this.texts[attribute], at, size)) return
    this.texts[attribute] = size
    memory.copy(known, at, size)
    const entry = this.open(attribute, Type.BYTES)
    store<u8>(entry, BYTES_VALUE)
    store<u8>(entry + 1, <u8>size)
    memory.copy(entry + 2, at, size)
    this.close(entry + 2 + <usize>size)
  }

  private writeMap(attribute: i32, map: StringMap, isStated: bool): void {
    const known = this.mapOf(attribute)
    const before = isStated ? known.size : -1
    const entries = mapWriter
    entries.reset()
    for (let i = 0; i < map.count; i++) {
      const entry = entries.open(1)
      entries.sintField(1, this.words.index(map.keys[i], map.keySizes[i]))
      entries.sintField(2, this.words.index(map.values[i], map.valueSizes[i]))
      entries.close(entry)
    }
    if (before >= 0 && isSame(known.from, before, entries.from, entries.size)) return
    known.reset()
    known.raw(entries.from, entries.size)
    const entry = this.records.open(Type.MAP)
    this.records.sintField(1, NAME_WORDS[attribute])
    this.records.bytesAlways(2, entries.from, entries.size)
    this.records.close(entry)
  }

  private mapOf(attribute: i32): Writer {
    if (attribute === Is.QUERY_PARAMS) return this.query
    return attribute === Is.REQUEST_HEADERS ? this.requestHeaders : this.responseHeaders
  }
}

/** Of all batches: they are written one after another. */
const mapWriter = new Writer(1024)

/** Seconds, and nanoseconds beyond them. @returns where they end */
function putTime(at: usize, nanoseconds: i64): usize {
  let seconds = nanoseconds / NANOS
  let rest = nanoseconds % NANOS
  if (rest < 0) {
    seconds--
    rest += NANOS
  }
  let end = at + 2
  if (seconds !== 0) {
    store<u8>(end, FIRST_NUMBER)
    end = putVarint(end + 1, <u64>seconds)
  }
  if (rest !== 0) {
    store<u8>(end, NUMBER_VALUE)
    end = putVarint(end + 1, <u64>rest)
  }
  store<u8>(at, BYTES_VALUE)
  store<u8>(at + 1, <u8>(end - at - 2))
  return end
}
