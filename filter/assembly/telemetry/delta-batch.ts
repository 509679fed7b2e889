// Records as one istio.mixer.v1.ReportRequest in delta encoding, as nodes' own clients write it (wire/mixer/report-writer.ts): a record
// states what has changed since the one before, and all share their words. An attribute cannot be taken back, so all records of
// a batch have the same ones.

import { Bytes, isSame } from '../bytes/bytes'
import { Writer } from '../wire/writer'
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
const NANOS: i64 = 1_000_000_000
/** What a message has beside records and words. */
export const FRAME_BYTES: i32 = 8

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

  begin(attributes: u64, now: f64, wallMs: u64): void {
    this.attributes = attributes
    this.count = 0
    this.openedAt = now
    this.acceptedAt = wallMs
    this.stated = 0
    this.records.reset()
    this.words.clear()
  }

  /** Bytes of the message, about: nothing that it is made of can be less. */
  get size(): i32 {
    return this.count === 0 ? 0 : this.records.size + this.words.size + FRAME_BYTES
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
      const before = unchecked(this.texts[attribute])
      if (isStated && this.words.is(before, at, size)) return
      const word = this.words.index(at, size)
      unchecked((this.texts[attribute] = word))
      const entry = this.open(attribute, type)
      this.records.sintField(2, word)
      this.records.close(entry)
    } else if (type === Type.BYTES) this.writeAddress(attribute, record, isStated)
    else if (type === Type.MAP) this.writeMap(attribute, record.map(attribute), isStated)
    else {
      const value = unchecked(record.numbers[attribute])
      if (isStated && unchecked(this.numbers[attribute]) === value) return
      unchecked((this.numbers[attribute] = value))
      const entry = this.open(attribute, type)
      if (type === Type.TIME || type === Type.DURATION) writeTime(this.records, value)
      else this.records.intAlways(2, value)
      this.records.close(entry)
    }
    this.stated |= (<u64>1) << attribute
  }

  /** Begins an entry: its name. */
  private open(attribute: i32, type: i32): i32 {
    const word = unchecked(NAME_WORDS[attribute])
    const name = word === NO_WORD ? this.wordOf(NAMES[attribute]) : word
    const entry = this.records.open(type)
    this.records.sintField(1, name)
    return entry
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
    this.records.bytesAlways(2, at, size)
    this.records.close(entry)
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
    const entry = this.open(attribute, Type.MAP)
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

/** Seconds, and nanoseconds beyond them. */
function writeTime(writer: Writer, nanoseconds: i64): void {
  let seconds = nanoseconds / NANOS
  let rest = nanoseconds % NANOS
  if (rest < 0) {
    seconds--
    rest += NANOS
  }
  const parts = writer.open(2)
  if (seconds !== 0) writer.intAlways(1, seconds)
  if (rest !== 0) writer.intAlways(2, rest)
  writer.close(parts)
}
