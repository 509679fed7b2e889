// One gRPC call: checked when it begins, reported when it ends.

import type { Metadata } from '@grpc/grpc-js'
import { Duration, Timestamp } from '../../../kernel/time.ts'
import type { AttributeValue } from '../../../kernel/value.ts'
import { addField } from '../../../wire/header-map.ts'
import { completeHeaders, type Direction, type HttpRequest } from '../../../wire/http-request.ts'
import { FORWARDED_ATTRIBUTES_HEADER } from '../../../wire/request-headers.ts'
import type { Guard, Judgement } from '../guard.ts'
import { GuardedCall } from '../guarded-call.ts'
import { ipOf } from '../http/incoming.ts'

/** A call as it begins. */
export interface GrpcCallStart {
  /** Such as `/helloworld.Greeter/SayHello`. */
  readonly path: string
  readonly metadata: Metadata
}

export interface Begun {
  readonly direction: Direction
  readonly host: string | undefined
  /** Address of the client, as text. */
  readonly client?: string | undefined
}

export class GrpcCall {
  readonly #call: GuardedCall<GrpcCallStart>
  #isReported = false

  constructor(guard: Guard<GrpcCallStart>, call: GrpcCallStart, begun: Begun) {
    const { direction } = begun
    this.#call = new GuardedCall(guard, call, { request: () => requestOf(call, begun), direction })
  }

  judge(): Judgement | Promise<Judgement> {
    return this.#call.judge()
  }

  /** Once, however often it is said that the call has ended. */
  report({ code, details }: { readonly code: number; readonly details: string }): void {
    if (this.#isReported) return
    this.#isReported = true
    this.#call.report(({ startedAt, durationMs }) => {
      return new Map<string, AttributeValue | undefined>([
        ['response.code', 200n],
        ['response.grpc_status', String(code)],
        ['response.grpc_message', details],
        ['response.duration', Duration.fromMillis(durationMs)],
        ['response.time', Timestamp.fromMillis(startedAt + durationMs)],
      ])
    })
  }
}

function requestOf({ path, metadata }: GrpcCallStart, { host, client }: Begun): HttpRequest {
  const clientIp = client === undefined ? undefined : ipOf(client)
  const request = { method: 'POST', path, host, scheme: undefined, clientIp }
  return { ...request, headers: completeHeaders(headersOf(metadata), request) }
}

/** Those that are text, and those of every call of gRPC. */
function headersOf(metadata: Metadata): Map<string, string> {
  const headers = new Map([
    ['content-type', 'application/grpc'],
    ['te', 'trailers'],
  ])
  for (const name of Object.keys(metadata.getMap())) {
    if (name === FORWARDED_ATTRIBUTES_HEADER || headers.has(name) || name.startsWith(':')) continue
    for (const value of metadata.get(name)) if (typeof value === 'string') addField(headers, name, value)
  }
  return headers
}
