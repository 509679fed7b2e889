// Writes istio.mixer.v1.ReportRequest in delta encoding: a record states what has changed since the one before, and all share
// their words. An attribute cannot be taken back, so records with the same attributes go into one request.

import type { AttributeBag } from '../../kernel/attribute-bag.ts'
import { Duration, Timestamp } from '../../kernel/time.ts'
import { type AttributeValue, isStringMap, type StringMap } from '../../kernel/value.ts'
import { WireWriter } from '../wire-writer.ts'
import { BOOLS, BYTE_STRINGS, DOUBLES, DURATIONS, INT64S, STRING_MAPS, STRINGS, TIMESTAMPS } from './attribute-index.ts'
import { GLOBAL_INDEX, GLOBAL_WORDS } from './dictionary.ts'

/** As batches name what is written here; apart from the list of formats, which reads them all. */
export const MIXER_REPORT_FORMAT = 'mixer-report'
/** As readers bound them (`report-request.ts`). */
const MAX_RECORDS = 10_000
const MAX_WORDS = 200_000

/** A payload of the format `mixer-report`. */
export interface MixerReportPayload {
  readonly payload: Uint8Array
  readonly count: number
}

/** Encodes records; those with the same attributes keep their order. */
export function encodeMixerReports(bags: Iterable<AttributeBag>): MixerReportPayload[] {
  const payloads: MixerReportPayload[] = []
  const open = new Map<string, DeltaReport>()
  for (const bag of bags) {
    const names = [...bag.names()].filter((name) => bag.get(name) !== undefined).sort()
    const key = names.join('\n')
    let report = open.get(key)
    if (report === undefined) open.set(key, (report = new DeltaReport()))
    report.add(bag, names)
    if (!report.isFull) continue
    payloads.push(report.take())
    open.delete(key)
  }
  for (const report of open.values()) payloads.push(report.take())
  return payloads
}

class DeltaReport {
  readonly #writer = new WireWriter()
  readonly #words = new Map<string, number>()
  readonly #before = new Map<string, AttributeValue>()
  #count = 0

  get isFull(): boolean {
    return this.#count >= MAX_RECORDS || this.#words.size >= MAX_WORDS / 2
  }

  add(bag: AttributeBag, names: readonly string[]): void {
    const record = this.#writer.open(1)
    for (const name of names) {
      const value = bag.get(name)
      const before = this.#before.get(name)
      if (value === undefined || (before !== undefined && isSame(before, value))) continue
      this.#before.set(name, value)
      this.#write(this.#word(name), value)
    }
    this.#writer.close(record)
    this.#count++
  }

  take(): MixerReportPayload {
    for (const word of this.#words.keys()) this.#writer.text(2, word, true)
    this.#writer.uint(3, GLOBAL_WORDS.length)
    return { payload: this.#writer.take(), count: this.#count }
  }

  #write(name: number, value: AttributeValue): void {
    const writer = this.#writer
    const entry = writer.open(fieldOf(value))
    // Written where it is 0, too: so readers know the entry at once.
    writer.sint32(1, name, true)
    if (typeof value === 'string') writer.sint32(2, this.#word(value), true)
    else if (typeof value === 'bigint') writer.int64(2, value)
    else if (typeof value === 'number') writer.double(2, value)
    else if (typeof value === 'boolean') writer.bool(2, value)
    else if (value instanceof Uint8Array) writer.bytes(2, value)
    else if (value instanceof Timestamp || value instanceof Duration) {
      const { seconds, nanos } = value.toParts()
      const parts = writer.open(2)
      writer.int64(1, seconds)
      writer.int32(2, nanos)
      writer.close(parts)
    } else if (isStringMap(value)) this.#writeMap(value)
    writer.close(entry)
  }

  #writeMap(map: StringMap): void {
    const writer = this.#writer
    const field = writer.open(2)
    for (const [key, value] of map.entries()) {
      const entry = writer.open(1)
      writer.sint32(1, this.#word(key), true)
      writer.sint32(2, this.#word(value), true)
      writer.close(entry)
    }
    writer.close(field)
  }

  /** Words of the dictionary count up from 0, those of the report down from -1. */
  #word(text: string): number {
    const index = GLOBAL_INDEX.get(text) ?? this.#words.get(text)
    if (index !== undefined) return index
    const own = -this.#words.size - 1
    this.#words.set(text, own)
    return own
  }
}

function fieldOf(value: AttributeValue): number {
  switch (typeof value) {
    case 'string':
      return STRINGS
    case 'bigint':
      return INT64S
    case 'number':
      return DOUBLES
    case 'boolean':
      return BOOLS
    default:
      if (value instanceof Uint8Array) return BYTE_STRINGS
      if (value instanceof Timestamp) return TIMESTAMPS
      return value instanceof Duration ? DURATIONS : STRING_MAPS
  }
}

/** Whether a reader would find the same. */
function isSame(one: AttributeValue, other: AttributeValue): boolean {
  if (typeof one !== 'object' || typeof other !== 'object') return Object.is(one, other)
  if (one instanceof Timestamp) return other instanceof Timestamp && one.epochNanos === other.epochNanos
  if (one instanceof Duration) return other instanceof Duration && one.nanos === other.nanos
  if (one instanceof Uint8Array) return other instanceof Uint8Array && Buffer.compare(one, other) === 0
  return isStringMap(one) && isStringMap(other) && isSameMap(one, other)
}

function isSameMap(one: StringMap, other: StringMap): boolean {
  if (one.size !== other.size) return false
  for (const [key, value] of one.entries()) if (other.get(key) !== value) return false
  return true
}
