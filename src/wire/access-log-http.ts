// Attributes of HTTP requests and their responses in access logs.

import { Timestamp } from '../kernel/time.ts'
import type { StringMap } from '../kernel/value.ts'
import { type AccessLogAttributes, DURATION, durationOf, START, startOf, textIn, within } from './access-log-common.ts'
import type { AccessLogEntry } from './access-log-entry.ts'
import { Slot } from './access-log-fields.ts'
import { REQUEST_METHODS } from './protocol-enums.ts'
import { FORWARDED_ATTRIBUTES_HEADER, headerOf, isGrpc } from './request-headers.ts'
import { queryParamsOf, urlPathOf } from './request-path.ts'

const REQUEST_HEADERS = [Slot.request, Slot.requestHeaders]
const RESPONSE_HEADERS = [Slot.response, Slot.responseHeaders, Slot.responseTrailers]

/** Attributes from the request and the response of an entry. */
export const HTTP_ATTRIBUTES: AccessLogAttributes = {
  'context.protocol': {
    reads: [...REQUEST_HEADERS, ...RESPONSE_HEADERS],
    derive: (entry, bag) =>
      isGrpc(headerOf(bag, 'content-type') ?? responseHeader(entry, 'content-type')) ? 'grpc' : 'http',
  },
  'request.method': {
    reads: [Slot.method],
    derive: (entry) => REQUEST_METHODS[entry.int32(Slot.method)],
  },
  'request.path': textIn(Slot.path),
  'request.url_path': { reads: [Slot.path], derive: (entry) => urlPathOf(entry.text(Slot.path)) || undefined },
  'request.query_params': { reads: [Slot.path], derive: (entry) => queryParamsOf(entry.text(Slot.path)) },
  'request.host': textIn(Slot.authority),
  'request.scheme': textIn(Slot.scheme),
  'request.useragent': textIn(Slot.userAgent),
  'request.referer': textIn(Slot.referer),
  'request.id': textIn(Slot.requestId),
  'request.time': { reads: START, derive: startOf },
  'request.size': within(Slot.request, [Slot.requestBodyBytes], (entry) => entry.uint64(Slot.requestBodyBytes)),
  'request.total_size': within(
    Slot.request,
    [Slot.requestHeadersBytes, Slot.requestBodyBytes],
    (entry) => entry.uint64(Slot.requestHeadersBytes) + entry.uint64(Slot.requestBodyBytes),
  ),
  'request.headers': within(Slot.request, [Slot.requestHeaders], (entry) =>
    entry.map(entry.places(Slot.requestHeaders), FORWARDED_ATTRIBUTES_HEADER),
  ),
  'response.code': within(Slot.code, [Slot.codeValue], (entry) => BigInt(entry.int32(Slot.codeValue) >>> 0)),
  'response.size': within(Slot.response, [Slot.responseBodyBytes], (entry) => entry.uint64(Slot.responseBodyBytes)),
  'response.total_size': within(
    Slot.response,
    [Slot.responseHeadersBytes, Slot.responseBodyBytes],
    (entry) => entry.uint64(Slot.responseHeadersBytes) + entry.uint64(Slot.responseBodyBytes),
  ),
  'response.duration': { reads: DURATION, derive: durationOf },
  'response.time': {
    reads: [...START, ...DURATION],
    derive(entry) {
      const start = startOf(entry)
      const duration = durationOf(entry)
      return start === undefined || duration === undefined
        ? undefined
        : new Timestamp(start.epochNanos + duration.nanos)
    },
  },
  'response.headers': { reads: RESPONSE_HEADERS, derive: responseHeaders },
  'response.grpc_status': { reads: RESPONSE_HEADERS, derive: (entry) => responseHeader(entry, 'grpc-status') },
  'response.grpc_message': { reads: RESPONSE_HEADERS, derive: (entry) => responseHeader(entry, 'grpc-message') },
}

function responseHeader(entry: AccessLogEntry, name: string): string | undefined {
  return responseHeaders(entry)?.get(name)
}

/** Headers and trailers in one map, as Mixer reported them; of one name the trailer counts. */
function responseHeaders(entry: AccessLogEntry): StringMap | undefined {
  if (!entry.has(Slot.response)) return undefined
  const headers = entry.places(Slot.responseHeaders)
  const trailers = entry.places(Slot.responseTrailers)
  return entry.map(trailers.length === 0 ? headers : [...headers, ...trailers])
}
