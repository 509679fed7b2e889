// Writes istio.mixer.v1.CheckResponse from what the check service answered.

import type { AttributeBag, Vocabulary } from '../../kernel/attribute-bag.ts'
import { cleanHeaderValue } from '../../kernel/header-field.ts'
import type { HeaderOperation } from '../../kernel/header-operation.ts'
import type { CheckOutcome, QuotaGrant } from '../../kernel/services.ts'
import { httpStatusOf, type Status } from '../../kernel/status.ts'
import type { Answer } from '../../kernel/verdict.ts'
import { MixerHeaderOperation } from '../protocol-enums.ts'
import { WireWriter } from '../wire-writer.ts'
import { encodeReferenced } from './referenced-attributes.ts'

const INT32_MAX = 2_147_483_647
const YEAR_MS = 365 * 24 * 3600 * 1000

const writer = new WireWriter()

/** What was asked, as far as the answer depends on it. */
export interface Asked {
  /** How many words of the global dictionary the client knows. */
  readonly globalWordCount: number
  readonly vocabulary: Vocabulary
  readonly bag: AttributeBag
}

interface EncodedCheckResponse {
  readonly bytes: Uint8Array
  /** Whether the client may reuse the answer. */
  readonly reusable: boolean
}

/**
 * Encodes a check's outcome. Where the protocol cannot say all that the answer or one of its quotas depended on, the
 * answer is sent with no uses left: the client stores it and never serves it, and by missing its check cache it also
 * asks for each quota anew instead of drawing on a pool that belongs to other dimensions.
 */
export function encodeCheckResponse({ answer, quotas }: CheckOutcome, asked: Asked): EncodedCheckResponse {
  const referenced = encodeReferenced(answer.referenced, asked)
  let { complete } = referenced
  const grants: [string, QuotaGrant, Uint8Array][] = []
  for (const [name, grant] of quotas) {
    const encoded = encodeReferenced(grant.referenced, asked)
    complete &&= encoded.complete
    grants.push([name, grant, encoded.bytes])
  }
  const uses = Math.trunc(clamp(answer.validUses, INT32_MAX))
  const reusable = complete && answer.validForMs > 0 && uses > 0
  writer.reset()
  const precondition = writer.open(2)
  writeStatus(1, answer.status)
  // Always set, zero included: the client takes an answer without a duration for valid for ever.
  writeDuration(2, reusable ? answer.validForMs : 0)
  writer.uint(3, reusable ? uses : 0)
  writer.bytes(5, referenced.bytes, true)
  writeDirective(6, answer)
  writer.close(precondition)
  for (const [name, grant, references] of grants) writeGrant(3, name, grant, references)
  return { bytes: writer.take(), reusable }
}

function writeGrant(field: number, name: string, grant: QuotaGrant, references: Uint8Array): void {
  const entry = writer.open(field)
  writer.text(1, name, true)
  const result = writer.open(2)
  writeDuration(1, grant.validForMs)
  writer.uint(2, Math.trunc(clamp(grant.granted, Number.MAX_SAFE_INTEGER)))
  writer.bytes(5, references, true)
  writeStatus(6, grant.status)
  writer.close(result)
  writer.close(entry)
}

function writeDirective(field: number, answer: Answer): void {
  const { requestHeaders, responseHeaders, directResponse } = answer
  if (requestHeaders.length === 0 && responseHeaders.length === 0 && directResponse === undefined) return
  const directive = writer.open(field)
  for (const operation of requestHeaders) writeOperation(1, operation)
  for (const operation of responseHeaders) writeOperation(2, operation)
  if (directResponse !== undefined) {
    for (const [name, value] of Object.entries(directResponse.headers)) {
      writeOperation(2, { name: name.toLowerCase(), value: cleanHeaderValue(value), operation: 'REPLACE' })
    }
    writer.uint(3, directResponse.code || httpStatusOf(answer.status.code))
    writer.text(4, directResponse.body)
  }
  writer.close(directive)
}

function writeOperation(field: number, { name, value, operation }: HeaderOperation): void {
  const header = writer.open(field)
  writer.text(1, name)
  writer.text(2, value)
  writer.uint(3, MixerHeaderOperation[operation])
  writer.close(header)
}

function writeStatus(field: number, { code, message }: Status): void {
  const status = writer.open(field)
  writer.int32(1, code)
  writer.text(2, message)
  writer.close(status)
}

function writeDuration(field: number, ms: number): void {
  const micros = Math.round(clamp(ms, YEAR_MS) * 1_000)
  const seconds = Math.floor(micros / 1_000_000)
  const duration = writer.open(field)
  writer.uint(1, seconds)
  writer.uint(2, (micros - seconds * 1_000_000) * 1_000)
  writer.close(duration)
}

function clamp(value: number, most: number): number {
  return Math.min(Math.max(value, 0), most)
}
