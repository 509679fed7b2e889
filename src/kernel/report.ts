// Reports on their way from a front door to the workers: undecoded, in the form in which they came.

import type { AttributeBag, Vocabulary } from './attribute-bag.ts'

interface FormatBasis {
  /** Travels with each batch, through Redis and on disk: it stays what it is for good. */
  readonly name: string
  /** Whether its reports give way to others where there is no room for all. */
  readonly sparable: boolean
}

/** Of payloads that are records. */
export interface RecordFormat extends FormatBasis {
  /** Reads the records of a payload. Throws where the payload is not of this format. */
  decode(this: void, payload: Uint8Array, vocabulary: Vocabulary): AttributeBag[]
}

/** Of payloads that are batches of other formats. */
export interface PackedFormat extends FormatBasis {
  /** Takes a payload apart. Throws where it is not of this format. */
  unpack(this: void, payload: Uint8Array): PackedReport
}

/** How the payloads of batches are encoded (`wire/report-formats.ts` lists them all). */
export type ReportFormat = RecordFormat | PackedFormat

/** Why records were lost that somebody had taken who gathers reports for nodes; by the numbers that they have on the wire. */
export const DROP_REASONS = ['other', 'full', 'refused'] as const
export type DropReason = (typeof DROP_REASONS)[number]

export interface DroppedRecords {
  readonly reason: DropReason
  readonly count: number
}

/**
 * What one call of packed batches counts at most, records and those that were dropped: counters of the whole mesh add up what
 * each call says, and stay exact.
 */
export const MAX_CALL_COUNT = 1_000_000_000

/** What is in a payload of packed batches. Records of all of them and those that were dropped are what the batch counts. */
export interface PackedReport {
  readonly batches: readonly Omit<ReportBatch, 'id'>[]
  readonly dropped: readonly DroppedRecords[]
}

/** Formats by name. */
export type ReportFormats = ReadonlyMap<string, ReportFormat>

/** One batch of reports. */
export interface ReportBatch {
  /** Unique over all nodes and restarts, letters, digits and `-` only. Retries and replays keep it. */
  readonly id: string
  /** Name of the payload's format; one of another version may be unknown here. */
  readonly format: string
  /** How many records the payload holds. */
  readonly count: number
  readonly payload: Uint8Array
  /** Milliseconds since the epoch. */
  readonly acceptedAt: number
}

/** A batch as those that it is made of, by formats of records; itself, where it is of one. Throws where it is damaged. */
export function unpacked(
  batch: ReportBatch,
  formats: ReportFormats,
): { readonly batches: readonly ReportBatch[]; readonly dropped: readonly DroppedRecords[] } {
  const format = formats.get(batch.format)
  if (format === undefined || !('unpack' in format)) return { batches: [batch], dropped: [] }
  const { batches, dropped } = format.unpack(batch.payload)
  return { batches: batches.map((part, at) => ({ ...part, id: `${batch.id}-p${at}` })), dropped }
}

/** The format of records that has this name. */
export function recordFormat(name: string, formats: ReportFormats): RecordFormat | undefined {
  const format = formats.get(name)
  return format !== undefined && 'decode' in format ? format : undefined
}
