// From an answer to Envoy's authorization response.

import { create, type MessageInitShape } from '@bufbuild/protobuf'
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
import { cleanHeaderValue } from './header-value.ts'

type HeaderInit = MessageInitShape<typeof HeaderValueOptionSchema>

/**
 * A denial is an OK call with a status other than 0 in it, so that it never meets the proxy's failure mode. The metadata
 * lets access logs say why, from which tier and how fresh.
 */
export function checkResponseOf(answer: Answer): CheckResponse {
  const { code, message } = answer.status
  return create(CheckResponseSchema, {
    status: { code, message },
    httpResponse:
      code === 0
        ? { case: 'okResponse', value: okResponse(answer) }
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

function okResponse(answer: Answer): MessageInitShape<typeof OkHttpResponseSchema> {
  const changes = headerChanges(answer.requestHeaders)
  const removed = changes.filter(({ replaces, values }) => replaces && values.length === 0)
  return {
    headers: headersOf(changes),
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
