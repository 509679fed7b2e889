// What Envoy's authorization requests say by protobuf's own decoder: the judge of the lazy reader.

import { fromBinary } from '@bufbuild/protobuf'
import type { AttributeBag, Vocabulary } from '../../src/kernel/attribute-bag.ts'
import { RefusedRequest } from '../../src/kernel/refused-request.ts'
import { Timestamp } from '../../src/kernel/time.ts'
import type { StringMap } from '../../src/kernel/value.ts'
import { type Derivations, type Derive, DerivedBag } from '../../src/wire/derived-bag.ts'
import { ipOf, portOf } from './decoded-address.ts'
import { AUTH_DERIVATIONS } from '../../src/wire/envoy-metadata.ts'
import type { HeaderValue } from '../../src/wire/generated/envoy/config/core/v3/base_pb.ts'
import type {
  AttributeContext,
  AttributeContext_HttpRequest,
} from '../../src/wire/generated/envoy/service/auth/v3/attribute_context_pb.ts'
import { CheckRequestSchema } from '../../src/wire/generated/envoy/service/auth/v3/external_auth_pb.ts'
import { addField, fieldText } from '../../src/wire/header-map.ts'
import { namespaceOf, principalOf, serviceAccountOf } from '../../src/wire/peer-identity.ts'
import { RecordMap } from './record-map.ts'
import { FORWARDED_ATTRIBUTES_HEADER, headerOf, isGrpc } from '../../src/wire/request-headers.ts'
import { queryParamsOf, urlPathOf } from '../../src/wire/request-path.ts'
import { readSetAttributes } from '../../src/wire/set-attributes.ts'

/** The attributes by name. @throws Error where the bytes are no message; RefusedRequest as the lazy bag does */
export function decodedCheckBag(bytes: Uint8Array, vocabulary: Vocabulary): AttributeBag {
  const context = fromBinary(CheckRequestSchema, bytes, { readUnknownFields: false }).attributes
  const extensions = Object.entries(context?.contextExtensions ?? {})
  return new DerivedBag(context, DERIVATIONS, readSetAttributes(extensions, vocabulary, 'context_extensions'))
}

type Context = AttributeContext | undefined

const http = (context: Context): AttributeContext_HttpRequest | undefined => context?.request?.http
const present = (text: string | undefined): string | undefined => (text === '' ? undefined : text)

const TABLE: Readonly<Record<string, Derive<Context>>> = {
  'source.ip': (context) => ipOf(context?.source?.address),
  'source.port': (context) => portOf(context?.source?.address),
  'source.principal': (context) => principalOf(context?.source?.principal),
  'source.namespace': (context) => namespaceOf(context?.source?.principal),
  'source.serviceAccount': (context) => serviceAccountOf(context?.source?.principal),
  'source.labels': (context) => labels(context?.source?.labels),
  'origin.ip': (context) => ipOf(context?.source?.address),
  'destination.ip': (context) => ipOf(context?.destination?.address),
  'destination.port': (context) => portOf(context?.destination?.address),
  'destination.principal': (context) => principalOf(context?.destination?.principal),
  'destination.namespace': (context) => namespaceOf(context?.destination?.principal),
  'destination.serviceAccount': (context) => serviceAccountOf(context?.destination?.principal),
  'destination.labels': (context) => labels(context?.destination?.labels),
  'destination.service.name': (context) => present(context?.destination?.service),
  'connection.mtls': (context) =>
    (context?.source?.principal ?? '') !== '' || (context?.source?.certificate ?? '') !== '',
  'connection.requested_server_name': (context) => present(context?.tlsSession?.sni),
  'context.protocol': protocolOf,
  'context.reporter.kind': () => 'inbound',
  'context.time': timeOf,
  'request.headers': headersOf,
  'request.method': (context) => present(http(context)?.method),
  'request.path': (context) => http(context)?.path,
  'request.url_path': (context) => {
    const path = http(context)?.path
    return path === undefined ? undefined : urlPathOf(path)
  },
  'request.query_params': (context) => queryParamsOf(http(context)?.path ?? ''),
  'request.host': (context) => http(context)?.host,
  'request.scheme': (context) => (http(context) === undefined ? undefined : http(context)?.scheme || 'http'),
  'request.size': (context) => {
    const size = http(context)?.size
    return size === undefined || size < 0n ? undefined : size
  },
  'request.id': (context) => present(http(context)?.id),
  'request.time': (context) => (http(context) === undefined ? undefined : timeOf(context)),
  'request.useragent': (_, bag) => headerOf(bag, 'user-agent'),
  'request.referer': (_, bag) => headerOf(bag, 'referer'),
}

const DERIVATIONS: Derivations<Context> = new Map([
  ...Object.entries(TABLE),
  ...Object.entries(AUTH_DERIVATIONS).map(([name, derive]): [string, Derive<Context>] => [
    name,
    (context, bag) => derive(context?.metadataContext, bag),
  ]),
])

/** The map that Envoy has joined, or its raw lines (`encode_raw_headers`), joined in the same way. */
function headersOf(context: Context): StringMap | undefined {
  const request = http(context)
  if (request === undefined) return undefined
  const lines = request.headerMap?.headers ?? []
  if (lines.length > 0) return withoutContradiction(joinHeaders(lines), request.headers)
  // Envoy's names are in lower case; those of others that speak its protocol need not be.
  if (Object.keys(request.headers).some((name) => CAPITAL.test(name))) {
    return joinHeaders(Object.entries(request.headers).map(([key, value]) => ({ key, value, rawValue: NO_BYTES })))
  }
  return new RecordMap(request.headers, FORWARDED_ATTRIBUTES_HEADER)
}

/** Envoy fills one of the two; a caller that fills both must say the same twice. */
function withoutContradiction(lines: StringMap, headers: Readonly<Record<string, string>>): StringMap {
  for (const [name, value] of Object.entries(headers)) {
    const key = name.toLowerCase()
    if (key === FORWARDED_ATTRIBUTES_HEADER || lines.get(key) === value) continue
    throw new RefusedRequest('contradictory', `headers and header_map name two values for the header ${key}`)
  }
  return lines
}

const CAPITAL = /[A-Z]/
const NO_BYTES = new Uint8Array(0)

function joinHeaders(lines: readonly Pick<HeaderValue, 'key' | 'value' | 'rawValue'>[]): StringMap {
  const headers = new Map<string, string>()
  for (const { key, value, rawValue } of lines) {
    const name = key.toLowerCase()
    if (name === FORWARDED_ATTRIBUTES_HEADER) continue
    addField(headers, name, rawValue.length > 0 ? fieldText(name, rawValue) : value)
  }
  return headers
}

function labels(record: Readonly<Record<string, string>> | undefined): StringMap | undefined {
  if (record === undefined) return undefined
  const map = new RecordMap(record)
  return map.size === 0 ? undefined : map
}

function protocolOf(context: Context, bag: AttributeBag): string {
  if (http(context) === undefined) return 'tcp'
  return isGrpc(headerOf(bag, 'content-type')) ? 'grpc' : 'http'
}

function timeOf(context: Context): Timestamp | undefined {
  const time = context?.request?.time
  return time === undefined ? undefined : Timestamp.fromParts(time.seconds, time.nanos)
}
