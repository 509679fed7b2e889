// Writes istio.mixer.v1.CheckResponse from what the check service answered.

import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import type { AttributeBag, Vocabulary } from '../../kernel/attribute-bag.ts'
import type { CheckOutcome } from '../../kernel/services.ts'
import { httpStatusOf, type Status } from '../../kernel/status.ts'
import { Duration } from '../../kernel/time.ts'
import { cleanHeaderValue } from '../../kernel/header-field.ts'
import type { HeaderOperation } from '../../kernel/header-operation.ts'
import type { Answer } from '../../kernel/verdict.ts'
import {
  type CheckResponse_QuotaResultSchema,
  CheckResponseSchema,
  HeaderOperation_Operation,
  type HeaderOperationSchema,
  type RouteDirectiveSchema,
} from '../generated/istio/mixer/v1/mixer_pb.ts'
import { encodeReferenced } from './referenced-attributes.ts'

const INT32_MAX = 2_147_483_647
const YEAR_MS = 365 * 24 * 3600 * 1000

interface CheckResponseInput {
  readonly outcome: CheckOutcome
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
export function encodeCheckResponse(input: CheckResponseInput): EncodedCheckResponse {
  const { answer } = input.outcome
  const referenced = encodeReferenced(answer.referenced, input)
  let complete = referenced.complete
  const quotas: [string, MessageInitShape<typeof CheckResponse_QuotaResultSchema>][] = []
  for (const [name, grant] of input.outcome.quotas) {
    const encoded = encodeReferenced(grant.referenced, input)
    complete &&= encoded.complete
    const result = {
      status: wireStatus(grant.status),
      validDuration: wireDuration(grant.validForMs),
      grantedAmount: BigInt(Math.trunc(clamp(grant.granted, Number.MAX_SAFE_INTEGER))),
      referencedAttributes: encoded.message,
    }
    quotas.push([name, result])
  }
  const uses = Math.trunc(clamp(answer.validUses, INT32_MAX))
  const reusable = complete && answer.validForMs > 0 && uses > 0
  const directive = routeDirective(answer)
  const response = create(CheckResponseSchema, {
    precondition: {
      status: wireStatus(answer.status),
      // Always set, zero included: the client takes an answer without a duration for valid for ever.
      validDuration: wireDuration(reusable ? answer.validForMs : 0),
      validUseCount: reusable ? uses : 0,
      referencedAttributes: referenced.message,
      ...(directive === undefined ? {} : { routeDirective: directive }),
    },
    quotas: Object.fromEntries(quotas),
  })
  return { bytes: toBinary(CheckResponseSchema, response), reusable }
}

function routeDirective(answer: Answer): MessageInitShape<typeof RouteDirectiveSchema> | undefined {
  const { requestHeaders, responseHeaders, directResponse } = answer
  if (requestHeaders.length === 0 && responseHeaders.length === 0 && directResponse === undefined) return undefined
  const direct = Object.entries(directResponse?.headers ?? {})
  return {
    requestHeaderOperations: requestHeaders.map(wireOperation),
    responseHeaderOperations: [
      ...responseHeaders.map(wireOperation),
      ...direct.map(([name, value]) =>
        wireOperation({ name: name.toLowerCase(), value: cleanHeaderValue(value), operation: 'REPLACE' }),
      ),
    ],
    directResponseCode: directResponse === undefined ? 0 : directResponse.code || httpStatusOf(answer.status.code),
    directResponseBody: directResponse?.body ?? '',
  }
}

function wireOperation({ name, value, operation }: HeaderOperation): MessageInitShape<typeof HeaderOperationSchema> {
  return { name, value, operation: HeaderOperation_Operation[operation] }
}

function wireStatus(status: Status): { code: number; message: string } {
  return { code: status.code, message: status.message }
}

function wireDuration(ms: number): { seconds: bigint; nanos: number } {
  return Duration.fromMillis(clamp(ms, YEAR_MS)).toParts()
}

function clamp(value: number, most: number): number {
  return Math.min(Math.max(value, 0), most)
}
