// Reads istio.mixer.v1.CheckRequest, leaving its attributes as bytes.

import { isUtf8 } from 'node:buffer'
import { IntermixError } from '../../kernel/errors.ts'
import { RefusedRequest } from '../../kernel/refused-request.ts'
import type { QuotaDemand } from '../../kernel/services.ts'
import { BYTES, VARINT, WireReader } from '../wire-reader.ts'

/** A real client asks for a handful; each one costs a look-up or more. */
const MAX_QUOTAS = 100

/** A check as far as it is no attributes. */
export interface CheckRequest {
  /** CompressedAttributes, undecoded. */
  readonly attributes: Uint8Array
  /** How many words of the global dictionary the caller knows. */
  readonly globalWordCount: number
  readonly deduplicationId: string
  /** By the name that the caller wrote. */
  readonly quotas: ReadonlyMap<string, QuotaDemand>
}

/** Throws `INVALID_REQUEST` for a malformed message, a negative amount or more than 100 quotas. */
export function decodeCheckRequest(bytes: Uint8Array): CheckRequest {
  const reader = new WireReader(bytes)
  const quotas = new Map<string, QuotaDemand>()
  let attributes: Uint8Array | undefined
  let further: Uint8Array[] | undefined
  let globalWordCount = 0
  let deduplicationId = ''
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    const field = tag >>> 3
    if (field === 1) {
      const part = contentOf(reader, tag)
      if (attributes === undefined) attributes = part
      else reader.boundParts((further ??= []).push(part))
    } else if (field === 2) {
      reader.expect(tag, VARINT)
      globalWordCount = reader.varint32() >>> 0
    } else if (field === 3) deduplicationId = textOf(reader, tag)
    else if (field === 4) readQuota(reader, tag, quotas)
    else reader.skip(tag)
  }
  // A message field that comes several times means all of it merged, which for protobuf is one behind the other.
  if (attributes !== undefined && further !== undefined) attributes = Buffer.concat([attributes, ...further])
  return { attributes: attributes ?? new Uint8Array(0), globalWordCount, deduplicationId, quotas }
}

function readQuota(reader: WireReader, entryTag: number, into: Map<string, QuotaDemand>): void {
  const outer = reader.openField(entryTag)
  let name = ''
  let demand: QuotaDemand = { amount: 0, bestEffort: false }
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag >>> 3 === 1) name = textOf(reader, tag)
    else if (tag >>> 3 === 2) demand = readDemand(reader, tag)
    else reader.skip(tag)
  }
  reader.close(outer)
  if (demand.amount < 0) {
    throw new IntermixError('INVALID_REQUEST', `quota ${name}: amount ${demand.amount} is negative; ask for 0 or more`)
  }
  into.set(name, demand)
  if (into.size > MAX_QUOTAS) {
    throw new IntermixError('INVALID_REQUEST', `more than ${MAX_QUOTAS} quotas in one check; ask for fewer`)
  }
}

function readDemand(reader: WireReader, messageTag: number): QuotaDemand {
  const outer = reader.openField(messageTag)
  let amount = 0
  let bestEffort = false
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === 8) amount = Math.min(Number(reader.int64()), Number.MAX_SAFE_INTEGER)
    else if (tag === 16) bestEffort = reader.int64() !== 0n
    else {
      if (tag >>> 3 < 3) reader.expect(tag, VARINT)
      reader.skip(tag)
    }
  }
  reader.close(outer)
  return { amount, bestEffort }
}

function contentOf(reader: WireReader, tag: number): Uint8Array {
  reader.expect(tag, BYTES)
  const end = reader.enter()
  const content = reader.bytes.subarray(reader.pos, end)
  reader.pos = end
  return content
}

function textOf(reader: WireReader, tag: number): string {
  const content = contentOf(reader, tag)
  if (!isUtf8(content)) throw new RefusedRequest('ill-formed', `field ${tag >>> 3} of the check is not UTF-8`)
  return Buffer.from(content.buffer, content.byteOffset, content.byteLength).toString('utf8')
}
