// What Envoy's own ext_authz filter does with the answer of a node (source/extensions/filters/http/ext_authz, 1.40).

import { fromBinary } from '@bufbuild/protobuf'
import { GrpcFailure, type GrpcService } from '../../../src/server/grpc-service.ts'
import type { HeaderValueOption } from '../../../src/wire/generated/envoy/config/core/v3/base_pb.ts'
import { CheckResponseSchema } from '../../../src/wire/generated/envoy/service/auth/v3/external_auth_pb.ts'
import { AppendAction } from '../../../src/wire/protocol-enums.ts'
import { type EnvoyRequest, extAuthzRequest } from '../../helpers/envoy-request.ts'
import { type HeaderLine, HeaderLines } from '../../helpers/proxy-wasm/header-lines.ts'

/** What came of a request. */
export interface Seen {
  /** 0 where it goes on. */
  readonly status: number
  readonly body: string
  /** As they go upstream, and as the client gets them. */
  readonly request: readonly HeaderLine[]
  readonly response: readonly HeaderLine[]
}

/** @returns `undefined` where the node has not judged it */
export async function byExtAuthz(
  { methods: [method] }: GrpcService,
  request: EnvoyRequest,
  now: number,
  upstream: readonly HeaderLine[],
): Promise<Seen | undefined> {
  if (method?.kind !== 'unary') throw new Error('the door has no call')
  const call = { deadline: Number.POSITIVE_INFINITY, peer: '127.0.0.1:1' }
  const reply = await method.answer(extAuthzRequest(request, now), call)
  if (reply instanceof GrpcFailure) return undefined
  const { httpResponse } = fromBinary(CheckResponseSchema, reply)
  const sent = new HeaderLines(request.headers, true)
  if (httpResponse.case === 'okResponse') {
    const { headers, headersToRemove, responseHeadersToAdd } = httpResponse.value
    const isAppended = ({ append }: HeaderValueOption) => append === true
    for (const option of headers.filter((each) => !isAppended(each))) sent.replace(...lineOf(option))
    for (const option of headers.filter(isAppended)) {
      const [name, value] = lineOf(option)
      if (sent.get(name) !== undefined) sent.add(name, value)
    }
    for (const name of headersToRemove) if (!name.startsWith(':') && name !== 'host') sent.remove(name)
    return { status: 0, body: '', request: sent.lines, response: changed(upstream, responseHeadersToAdd) }
  }
  if (httpResponse.case !== 'deniedResponse') throw new Error('neither allowed nor denied')
  const { status, headers, body } = httpResponse.value
  const code = status?.code ?? 403
  const response = new HeaderLines(changed([[':status', String(code)]], headers))
  if (body === '') for (const name of ['content-length', 'content-type']) response.remove(name)
  else {
    response.replace('content-length', String(Buffer.byteLength(body)))
    if (response.get('content-type') === undefined) response.add('content-type', 'text/plain')
  }
  return { status: code, body, request: [], response: response.lines }
}

function changed(lines: readonly HeaderLine[], options: readonly HeaderValueOption[]): readonly HeaderLine[] {
  const headers = new HeaderLines(lines)
  for (const option of options) {
    if (Number(option.appendAction) === AppendAction.APPEND_IF_EXISTS_OR_ADD) headers.add(...lineOf(option))
    else headers.replace(...lineOf(option))
  }
  return headers.lines
}

function lineOf({ header }: HeaderValueOption): HeaderLine {
  return [header?.key ?? '', Buffer.from(header?.value ?? '').toString('latin1')]
}
