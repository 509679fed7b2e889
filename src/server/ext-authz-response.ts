// From an answer to Envoy's authorization response, envoy.service.auth.v3.CheckResponse.

import { cleanHeaderValue } from '../kernel/header-field.ts'
import { type HeaderChange, headerChanges, isRemovable } from '../kernel/header-operation.ts'
import { codeName } from '../kernel/status.ts'
import type { Answer, Tier } from '../kernel/verdict.ts'
import { sentHeader } from '../wire/envoy-attributes.ts'
import type { EnvoyCheck } from '../wire/envoy-check.ts'
import { AppendAction } from '../wire/protocol-enums.ts'
import { WireWriter } from '../wire/wire-writer.ts'
import { denialOf } from '../kernel/denial.ts'

const writer = new WireWriter()
/** Allowing answers that change no header, by tier: nothing but three numbers of theirs differs. */
const plain = new Map<Tier, Buffer>()

/**
 * Encodes an answer. A denial is an OK call with a status other than 0 in it, so that it never meets the proxy's failure
 * mode. The metadata lets access logs say why, from which tier and how fresh.
 * @param request what is answered; `undefined` where it could not be read
 */
export function encodeCheckResponse(answer: Answer, request: EnvoyCheck | undefined): Uint8Array {
  if (!isPlain(answer)) return encode(answer, request)
  const known = plain.get(answer.tier)
  if (known === undefined) {
    const encoded = encode(answer, request)
    plain.set(answer.tier, Buffer.from(encoded))
    return encoded
  }
  const response = Buffer.allocUnsafe(known.length)
  known.copy(response)
  response.writeDoubleLE(finite(answer.ageMs), response.length - AGE_FROM_END)
  response.writeDoubleLE(finite(answer.validForMs), response.length - VALIDITY_FROM_END)
  response.writeDoubleLE(answer.validUses, response.length - USES_FROM_END)
  return response
}

function isPlain({ status, requestHeaders, responseHeaders }: Answer): boolean {
  return status.code === 0 && status.message === '' && requestHeaders.length === 0 && responseHeaders.length === 0
}

function encode(answer: Answer, request: EnvoyCheck | undefined): Uint8Array {
  writer.reset()
  const { code, message } = answer.status
  const status = writer.open(1)
  writer.int32(1, code)
  writer.text(2, message)
  writer.close(status)
  if (code === 0) writeOk(answer, request)
  else writeDenied(answer)
  const metadata = writer.open(4)
  writeText('status', codeName(code))
  writeText('reason', message)
  writeText('tier', answer.tier)
  writeNumber('ageMs', finite(answer.ageMs))
  writeNumber('validForMs', finite(answer.validForMs))
  writeNumber('validUses', answer.validUses)
  writer.close(metadata)
  return writer.take()
}

/** The three numbers end the message: eight bytes each, behind what the entry of each begins with. */
const USES_FROM_END = 8
const VALIDITY_FROM_END = USES_FROM_END + 2 + 2 + 'validUses'.length + 2 + 1 + 8
const AGE_FROM_END = VALIDITY_FROM_END + 2 + 2 + 'validForMs'.length + 2 + 1 + 8

/** An entry of a google.protobuf.Struct. */
function writeText(key: string, value: string): void {
  const entry = writer.open(1)
  writer.text(1, key)
  const kind = writer.open(2)
  writer.text(3, value, true)
  writer.close(kind)
  writer.close(entry)
}

function writeNumber(key: string, value: number): void {
  const entry = writer.open(1)
  writer.text(1, key)
  const kind = writer.open(2)
  writer.double(2, value)
  writer.close(kind)
  writer.close(entry)
}

function writeOk(answer: Answer, request: EnvoyCheck | undefined): void {
  const ok = writer.open(3)
  if (answer.requestHeaders.length > 0) {
    const changes = headerChanges(answer.requestHeaders)
    for (const change of changes) writeRequestHeaders(change, request)
    for (const { name, replaces, values } of changes) {
      if (replaces && values.length === 0 && isRemovable(name)) writer.text(5, name, true)
    }
  }
  writeResponseHeaders(6, headerChanges(answer.responseHeaders))
  writer.close(ok)
}

function writeDenied(answer: Answer): void {
  const { httpStatus, body, headers } = denialOf(answer)
  const denied = writer.open(2)
  const status = writer.open(1)
  writer.int32(1, httpStatus)
  writer.close(status)
  for (const [name, value] of headers) writeHeader(2, name, value, AppendAction.OVERWRITE_IF_EXISTS_OR_ADD)
  writeResponseHeaders(2, headerChanges(answer.responseHeaders))
  writer.text(3, body)
  writer.close(denied)
}

/**
 * For the headers of requests Envoy goes by the older `append` (at least up to 1.40 by nothing else), sets before it
 * appends, and appends only to what is there: the first value for a header that the client did not send is set.
 */
function writeRequestHeaders({ name, replaces, values }: HeaderChange, request: EnvoyCheck | undefined): void {
  const sets = replaces || request === undefined || !sentHeader(request, name)
  for (const [at, value] of values.entries()) {
    if (sets && at === 0) writeHeader(2, name, value, AppendAction.OVERWRITE_IF_EXISTS_OR_ADD)
    else writeHeader(2, name, value, AppendAction.APPEND_IF_EXISTS_OR_ADD, true)
  }
}

/**
 * The action is always stated, since Envoy's readings of an unset one differ by version. Envoy cannot remove response
 * headers at the word of an authorization service, so such operations are left out there.
 */
function writeResponseHeaders(field: number, changes: readonly HeaderChange[]): void {
  for (const { name, replaces, values } of changes) {
    for (const [at, value] of values.entries()) {
      const sets = replaces && at === 0
      writeHeader(
        field,
        name,
        value,
        sets ? AppendAction.OVERWRITE_IF_EXISTS_OR_ADD : AppendAction.APPEND_IF_EXISTS_OR_ADD,
      )
    }
  }
}

function writeHeader(field: number, name: string, value: string, action: AppendAction, append = false): void {
  const option = writer.open(field)
  const header = writer.open(1)
  writer.text(1, name)
  writer.text(2, cleanHeaderValue(value))
  writer.close(header)
  if (append) {
    const wrapper = writer.open(2)
    writer.bool(1, true)
    writer.close(wrapper)
  }
  writer.int32(3, action)
  writer.close(option)
}

/** Envoy's Struct has no word for what is not finite. */
function finite(ms: number): number {
  return Math.min(ms, Number.MAX_SAFE_INTEGER)
}
