// Reads and writes intermix.v1.CacheSample: what a caller's cache of answers would have found at other sizes.

import { BYTES, VARINT, type WireReader } from '../wire-reader.ts'
import type { WireWriter } from '../wire-writer.ts'

export interface CacheSample {
  /** Answers that the caller keeps at most. */
  readonly entries: number
  /**
   * Look-ups of a sample: for each multiple those that are found with so many times the answers and with no fewer, and at last those
   * that are not found with any.
   */
  readonly lookups: readonly number[]
}

/** Sizes that are told of, as multiples of the caller's. */
export const SAMPLE_MULTIPLES: readonly number[] = [0.125, 0.25, 0.375, 0.5, 0.75, 1, 1.25, 1.5, 2, 3, 4]
const BUCKETS = SAMPLE_MULTIPLES.length + 1

export function writeCacheSample(writer: WireWriter, field: number, { entries, lookups }: CacheSample): void {
  const open = writer.open(field)
  writer.uint(1, entries)
  const packed = writer.open(2)
  for (const count of lookups) writer.packedUint(count)
  writer.close(packed)
  writer.close(open)
}

/** @returns `undefined` where it has other buckets than are known here. @throws IntermixError INVALID_REQUEST where it is malformed */
export function readCacheSample(reader: WireReader, sampleTag: number): CacheSample | undefined {
  let entries = 0
  const lookups: number[] = []
  const outer = reader.openField(sampleTag)
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag >>> 3 === 1) {
      reader.expect(tag, VARINT)
      entries = reader.varint32() >>> 0
    } else if (tag >>> 3 === 2) {
      reader.expect(tag, BYTES)
      const end = reader.enter()
      // Further buckets are those of a later version: none of it is known then.
      while (reader.pos < end && lookups.length <= BUCKETS) lookups.push(reader.varint32() >>> 0)
      reader.pos = end
    } else reader.skip(tag)
  }
  reader.close(outer)
  return lookups.length === BUCKETS ? { entries, lookups } : undefined
}
