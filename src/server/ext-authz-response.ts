// From an answer to Envoy's authorization response.

import { create, type MessageInitShape } from '@bufbuild/protobuf'
import { cleanHeaderValue } from '../kernel/header-field.ts'
import { codeName } from '../kernel/status.ts'
import { type HeaderChange, headerChanges, isRemovable } from '../kernel/header-operation.ts'
import type { Answer } from '../kernel/verdict.ts'
import {
  HeaderValueOption_HeaderAppendAction as AppendAction,
  type HeaderValueOptionSchema,
} from '../wire/generated/envoy/config/core/v3/base_pb.ts'
import {
  type CheckResponse,
  CheckResponseSchema,
  type DeniedHttpResponseSchema,
  type OkHttpResponseSchema,
} from '../wire/generated/envoy/service/auth/v3/external_auth_pb.ts'
import { denialOf } from './denial.ts'

type HeaderInit = MessageInitShape<typeof HeaderValueOptionSchema>

/**
 * A denial is an OK call with a status other than 0 in it, so that it never meets the proxy's failure mode. The metadata
 * lets access logs say why, from which tier and how fresh.
 * @param isSent whether the client sent a header, by lower-case name
 */
export function checkResponseOf(answer: Answer, isSent: (header: string) => boolean): CheckResponse {
  const { code, message } = answer.status
  return create(CheckResponseSchema, {
    status: { code, message },
    httpResponse:
      code === 0
        ? { case: 'okResponse', value: okResponse(answer, isSent) }
        : { case: 'deniedResponse', value: deniedResponse(answer) },
    dynamicMetadata: {
      status: codeName(code),
      reason: message,
      tier: answer.tier,
      ageMs: finite(answer.ageMs),
      validForMs: finite(answer.validForMs),
    },
  })
}

function okResponse(
  answer: Answer,
  isSent: (header: string) => boolean,
): MessageInitShape<typeof OkHttpResponseSchema> {
  const changes = headerChanges(answer.requestHeaders)
  const removed = changes.filter(({ replaces, values }) => replaces && values.length === 0)
  return {
    headers: changes.flatMap((change) => requestHeaders(change, isSent)),
    headersToRemove: removed.map(({ name }) => name).filter(isRemovable),
    responseHeadersToAdd: headersOf(headerChanges(answer.responseHeaders)),
  }
}

function deniedResponse(answer: Answer): MessageInitShape<typeof DeniedHttpResponseSchema> {
  const { httpStatus, body, headers } = denialOf(answer)
  const own = [...headers].map(([name, value]) => headerOf(name, value, AppendAction.OVERWRITE_IF_EXISTS_OR_ADD))
  return { status: { code: httpStatus }, headers: [...own, ...headersOf(headerChanges(answer.responseHeaders))], body }
}

/**
 * For the headers of requests Envoy goes by the older `append` (at least up to 1.40 by nothing else), sets before it
 * appends, and appends only to what is there: the first value for a header that the client did not send is set.
 */
function requestHeaders({ name, replaces, values }: HeaderChange, isSent: (header: string) => boolean): HeaderInit[] {
  const sets = replaces || !isSent(name)
  return values.map((value, at) =>
    sets && at === 0
      ? headerOf(name, value, AppendAction.OVERWRITE_IF_EXISTS_OR_ADD)
      : { ...headerOf(name, value, AppendAction.APPEND_IF_EXISTS_OR_ADD), append: true },
  )
}

/**
 * The action is always stated, since Envoy's readings of an unset one differ by version. Envoy cannot remove response
 * headers at the word of an authorization service, so such operations are left out there.
 */
function headersOf(changes: readonly HeaderChange[]): HeaderInit[] {
  return changes.flatMap(({ name, replaces, values }) =>
    values.map((value, at) =>
      headerOf(
        name,
        value,
        replaces && at === 0 ? AppendAction.OVERWRITE_IF_EXISTS_OR_ADD : AppendAction.APPEND_IF_EXISTS_OR_ADD,
      ),
    ),
  )
}

function headerOf(name: string, value: string, appendAction: AppendAction): HeaderInit {
  return { header: { key: name, value: cleanHeaderValue(value) }, appendAction }
}

/** Envoy's Struct has no word for what is not finite. */
function finite(ms: number): number {
  return Math.min(ms, Number.MAX_SAFE_INTEGER)
}
