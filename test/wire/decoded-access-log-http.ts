// Attributes of HTTP requests and their responses in access logs.

import { Timestamp } from '../../src/kernel/time.ts'
import type { StringMap } from '../../src/kernel/value.ts'
import { type AccessLogSource, durationOf, startOf } from './decoded-access-log-common.ts'
import type { Derive } from '../../src/wire/derived-bag.ts'
import { RequestMethod } from '../../src/wire/generated/envoy/config/core/v3/base_pb.ts'
import type {
  HTTPAccessLogEntry,
  HTTPResponseProperties,
} from '../../src/wire/generated/envoy/data/accesslog/v3/accesslog_pb.ts'
import { RecordMap } from './record-map.ts'
import { FORWARDED_ATTRIBUTES_HEADER, headerOf, isGrpc } from '../../src/wire/request-headers.ts'
import { queryParamsOf, urlPathOf } from '../../src/wire/request-path.ts'

type Source = AccessLogSource<HTTPAccessLogEntry>

const METHODS = new Map<number, string>(Object.entries(RequestMethod).map(([name, number]) => [number, name]))

/** Derivations from the request and the response of an entry. */
export const HTTP_DERIVATIONS: Readonly<Record<string, Derive<Source>>> = {
  'context.protocol': ({ entry }, bag) =>
    isGrpc(headerOf(bag, 'content-type') ?? responseHeader(entry, 'content-type')) ? 'grpc' : 'http',
  'request.method': ({ entry }) => {
    const method = entry.request?.requestMethod ?? RequestMethod.METHOD_UNSPECIFIED
    return method === RequestMethod.METHOD_UNSPECIFIED ? undefined : METHODS.get(method)
  },
  'request.path': ({ entry }) => entry.request?.path || undefined,
  'request.url_path': ({ entry }) => urlPathOf(entry.request?.path ?? '') || undefined,
  'request.query_params': ({ entry }) => queryParamsOf(entry.request?.path ?? ''),
  'request.host': ({ entry }) => entry.request?.authority || undefined,
  'request.scheme': ({ entry }) => entry.request?.scheme || undefined,
  'request.useragent': ({ entry }) => entry.request?.userAgent || undefined,
  'request.referer': ({ entry }) => entry.request?.referer || undefined,
  'request.id': ({ entry }) => entry.request?.requestId || undefined,
  'request.time': ({ entry }) => startOf(entry.commonProperties),
  'request.size': ({ entry }) => entry.request?.requestBodyBytes,
  'request.total_size': ({ entry: { request } }) =>
    request === undefined ? undefined : request.requestHeadersBytes + request.requestBodyBytes,
  'request.headers': ({ entry }) =>
    entry.request === undefined ? undefined : new RecordMap(entry.request.requestHeaders, FORWARDED_ATTRIBUTES_HEADER),
  'response.code': ({ entry }) => {
    const code = entry.response?.responseCode
    return code === undefined ? undefined : BigInt(code)
  },
  'response.size': ({ entry }) => entry.response?.responseBodyBytes,
  'response.total_size': ({ entry: { response } }) =>
    response === undefined ? undefined : response.responseHeadersBytes + response.responseBodyBytes,
  'response.duration': ({ entry }) => durationOf(entry.commonProperties),
  'response.time': ({ entry }) => {
    const start = startOf(entry.commonProperties)
    const duration = durationOf(entry.commonProperties)
    return start === undefined || duration === undefined ? undefined : new Timestamp(start.epochNanos + duration.nanos)
  },
  'response.headers': ({ entry }) => responseHeaders(entry.response),
  'response.grpc_status': ({ entry }) => responseHeader(entry, 'grpc-status'),
  'response.grpc_message': ({ entry }) => responseHeader(entry, 'grpc-message'),
}

function responseHeader(entry: HTTPAccessLogEntry, name: string): string | undefined {
  return responseHeaders(entry.response)?.get(name)
}

/** Headers and trailers in one map, as Mixer reported them. */
function responseHeaders(response: HTTPResponseProperties | undefined): StringMap | undefined {
  if (response === undefined) return undefined
  const { responseHeaders: headers, responseTrailers: trailers } = response
  return new RecordMap(Object.keys(trailers).length === 0 ? headers : { ...headers, ...trailers })
}
