// Reports on their way from a front door to the workers: undecoded, in the form in which they came.

import type { AttributeBag, Vocabulary } from './attribute-bag.ts'

/** How the payloads of batches are encoded (`wire/report-formats.ts` lists them all). */
export interface ReportFormat {
  /** Travels with each batch, through Redis and on disk: it stays what it is for good. */
  readonly name: string
  /** Whether its reports give way to others where there is no room for all. */
  readonly sparable: boolean
  /** Reads the records of a payload. Throws where the payload is not of this format. */
  decode(this: void, payload: Uint8Array, vocabulary: Vocabulary): AttributeBag[]
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
