// Walks istio.mixer.v1.ReportRequest: finds its records and says which of them are wrong, decoding no values.

import { IntermixError } from '../../kernel/errors.ts'
import { RefusedRequest } from '../../kernel/refused-request.ts'
import type { RequestLimits } from '../../kernel/request-limits.ts'
import { AttributeIndex } from './attribute-index.ts'
import { BYTES, VARINT, WireReader } from '../wire-reader.ts'
import { WordTable } from './word-table.ts'

/** Clients send 100 in one call by default. */
const MAX_RECORDS = 10_000
/** Shared by all records of a report. */
const MAX_DEFAULT_WORDS = 200_000
const INDEPENDENT_ENCODING = 1

/** One element of a report. A record with a problem changes nothing and is not delivered. */
interface ReportRecord {
  readonly index: AttributeIndex
  readonly problem: string | undefined
}

/** A report, laid open as far as its words and indexes. */
interface MixerReport {
  readonly records: readonly ReportRecord[]
  readonly globalWordCount: number
  /** Whether each record stands alone; otherwise it states what changed since the one before. */
  readonly independent: boolean
}

/**
 * Reads a report. A record that states an attribute twice has a problem; in a delta report, where later records build
 * on earlier ones, so has one with an index that no dictionary defines (elsewhere such an attribute is just absent).
 * Throws `INVALID_REQUEST` where the message is malformed anywhere, has more than 10 000 records, or a record beyond the
 * limits.
 */
export function readMixerReport(payload: Uint8Array, limits?: RequestLimits): MixerReport {
  const reader = new WireReader(payload)
  const defaultWords = new WordTable(reader.bytes)
  const bounds: number[] = []
  let globalWordCount = 0
  let independent = false
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    const field = tag >>> 3
    if (field === 1 || field === 2) {
      reader.expect(tag, BYTES)
      const end = reader.enter()
      if (field === 1) bounds.push(reader.pos, end)
      else defaultWords.add(reader.pos, end)
      reader.pos = end
    } else if (field === 3 || field === 4) {
      reader.expect(tag, VARINT)
      const value = reader.varint32()
      if (field === 3) globalWordCount = value >>> 0
      else independent = value === INDEPENDENT_ENCODING
    } else reader.skip(tag)
  }
  if (bounds.length > MAX_RECORDS * 2) {
    const message = `${bounds.length / 2} records in one report; send at most ${MAX_RECORDS}`
    throw new IntermixError('INVALID_REQUEST', message)
  }
  if (defaultWords.size > MAX_DEFAULT_WORDS) {
    const message = `${defaultWords.size} default words in one report; send at most ${MAX_DEFAULT_WORDS}`
    throw new IntermixError('INVALID_REQUEST', message)
  }
  const records: ReportRecord[] = []
  for (let at = 0; at < bounds.length; at += 2) {
    reader.pos = bounds[at] ?? 0
    reader.end = bounds[at + 1] ?? 0
    refuseLargeRecord(at / 2, reader.end - reader.pos, limits)
    const index = new AttributeIndex(reader, defaultWords, limits?.maxMapEntries)
    records.push({ index, problem: problemOf(index, independent) })
  }
  return { records, globalWordCount, independent }
}

function refuseLargeRecord(record: number, bytes: number, limits: RequestLimits | undefined): void {
  if (limits === undefined || bytes <= limits.maxAttributeBytes) return
  const message = `record ${record} has ${bytes} bytes; send at most ${limits.maxAttributeBytes}`
  throw new RefusedRequest('too-large', message, 'raise --max-attribute-bytes')
}

function problemOf(index: AttributeIndex, independent: boolean): string | undefined {
  if (index.duplicate !== undefined) return `duplicate attribute ${index.duplicate}`
  const undefinedIndex = independent ? undefined : index.firstUndefinedIndex()
  if (undefinedIndex === undefined) return undefined
  return `attribute index ${undefinedIndex} is not defined in the available dictionaries`
}
