// intermix.v1.ReportCall: many batches of reports in one message, compressed together (wire/proto/intermix/v1/reports.proto).

import { zlib } from '../../kernel/late-modules.ts'
import { IntermixError } from '../../kernel/errors.ts'
import { DROP_REASONS, type DroppedRecords, type DropReason, type PackedReport } from '../../kernel/report.ts'
import { BYTES, WireReader } from '../wire-reader.ts'
import { WireWriter } from '../wire-writer.ts'

const NONE = 0
const GZIP = 1
const NO_BYTES: Uint8Array = new Uint8Array(0)
/** Parts of one call; also what it may be when it is inflated: a call is small, and may claim to be anything. */
const MAX_PARTS = 50_000
const MAX_INFLATED_BYTES = 16 * 1024 * 1024
const MAX_DROPPED = 100

/** A part, without its payload. */
export interface CallPart {
  readonly format: string
  readonly count: number
  readonly size: number
  readonly acceptedAt: number
}

export interface ReportCall {
  readonly id: string
  readonly sender: string
  readonly parts: readonly CallPart[]
  /** `undefined`: in a way that is not known here. */
  readonly isCompressed: boolean | undefined
  readonly payloads: Uint8Array
  readonly dropped: readonly DroppedRecords[]
}

/** A call without what was dropped: that may be put behind it. */
export function encodeReportCall({ id, sender, parts, isCompressed, payloads }: Omit<ReportCall, 'dropped'>): Buffer {
  const writer = new WireWriter()
  writer.text(1, id)
  writer.text(2, sender)
  for (const { format, count, size, acceptedAt } of parts) {
    const part = writer.open(3)
    writer.text(1, format)
    writer.uint(2, count)
    writer.uint(3, size)
    writer.uint(4, acceptedAt)
    writer.close(part)
  }
  if (isCompressed === true) writer.uint(4, GZIP)
  writer.bytes(5, payloads)
  return writer.take()
}

/** What belongs behind a call. */
export function encodeDropped(dropped: Iterable<DroppedRecords>): Buffer {
  const writer = new WireWriter()
  for (const { reason, count } of dropped) {
    const field = writer.open(6)
    writer.uint(1, DROP_REASONS.indexOf(reason))
    writer.uint(2, count)
    writer.close(field)
  }
  return writer.take()
}

/**
 * Reads a call; its payloads stay as they are. What is in it may be of a later version: that is for those to read who have that.
 * @throws IntermixError INVALID_REQUEST where it is none, or too large
 */
export function readReportCall(bytes: Uint8Array): ReportCall {
  const reader = new WireReader(bytes)
  const call = { id: '', sender: '', payloads: NO_BYTES }
  let compression = NONE
  const parts: CallPart[] = []
  const dropped: DroppedRecords[] = []
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === 10) call.id = textOf(reader, tag)
    else if (tag === 18) call.sender = textOf(reader, tag)
    else if (tag === 26) parts.push(readPart(reader, tag))
    else if (tag === 32) compression = uint(reader)
    else if (tag === 42) call.payloads = bytesOf(reader)
    else if (tag === 50) dropped.push(readDropped(reader, tag))
    else reader.skip(tag)
    if (parts.length > MAX_PARTS) throw refused(`it has more than ${MAX_PARTS} parts`)
    if (dropped.length > MAX_DROPPED) throw refused(`it tells ${MAX_DROPPED} times what was dropped`)
  }
  const size = parts.reduce((sum, part) => sum + part.size, 0)
  if (size > MAX_INFLATED_BYTES) throw refused(`its parts have ${size} bytes; at most ${MAX_INFLATED_BYTES} are taken`)
  if (compression === NONE && size !== call.payloads.length)
    throw refused(`its parts have ${size} bytes, and it has ${call.payloads.length}`)
  return { ...call, isCompressed: compression > GZIP ? undefined : compression === GZIP, parts, dropped }
}

/** What is in a call. @throws IntermixError INVALID_REQUEST where it is damaged */
export function unpackReportCall(bytes: Uint8Array): PackedReport {
  const { parts, dropped, isCompressed, payloads } = readReportCall(bytes)
  if (isCompressed === undefined) throw refused('it is compressed in a way that is not known here')
  const size = parts.reduce((sum, part) => sum + part.size, 0)
  const inflated = isCompressed ? inflate(payloads, size) : payloads
  if (inflated.length !== size) throw refused(`its parts have ${size} bytes, and there are ${inflated.length}`)
  let at = 0
  const batches = parts.map((part) => {
    const payload = inflated.subarray(at, (at += part.size))
    return { format: part.format, count: part.count, acceptedAt: part.acceptedAt, payload }
  })
  return { batches, dropped }
}

function inflate(bytes: Uint8Array, size: number): Uint8Array {
  try {
    return zlib().gunzipSync(bytes, { maxOutputLength: Math.max(1, size) })
  } catch (caught) {
    throw new IntermixError('INVALID_REQUEST', 'not a call of reports: its payloads cannot be inflated', {
      cause: caught,
    })
  }
}

function readPart(reader: WireReader, field: number): CallPart {
  const outer = reader.openField(field)
  const part = { format: '', count: 0, size: 0, acceptedAt: 0 }
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === 10) part.format = textOf(reader, tag)
    else if (tag === 16) part.count = uint(reader)
    else if (tag === 24) part.size = uint(reader)
    else if (tag === 32) part.acceptedAt = uint(reader)
    else reader.skip(tag)
  }
  reader.close(outer)
  if (part.count === 0) throw refused('a part of it has no records')
  return part
}

function readDropped(reader: WireReader, field: number): DroppedRecords {
  const outer = reader.openField(field)
  let reason: DropReason = 'other'
  let count = 0
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === 8) reason = DROP_REASONS[uint(reader)] ?? 'other'
    else if (tag === 16) count = uint(reader)
    else reader.skip(tag)
  }
  reader.close(outer)
  return { reason, count }
}

function uint(reader: WireReader): number {
  const value = Number(BigInt.asUintN(64, reader.int64()))
  if (!Number.isSafeInteger(value)) throw refused(`${value} is no number of anything`)
  return value
}

function textOf(reader: WireReader, tag: number): string {
  reader.expect(tag, BYTES)
  return bytesOf(reader).toString('utf8')
}

function bytesOf(reader: WireReader): Buffer {
  const end = reader.enter()
  const bytes = reader.bytes.subarray(reader.pos, end)
  reader.pos = end
  return bytes
}

function refused(why: string): IntermixError {
  return new IntermixError('INVALID_REQUEST', `not a call of reports: ${why}`)
}
