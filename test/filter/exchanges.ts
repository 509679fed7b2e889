// Random requests that are over, as a module gets them of Envoy and as an entry of Envoy's access log says them.

import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import fc from 'fast-check'
import { RequestMethod } from '../../src/wire/generated/envoy/config/core/v3/base_pb.ts'
import {
  AccessLogType,
  type HTTPAccessLogEntrySchema,
} from '../../src/wire/generated/envoy/data/accesslog/v3/accesslog_pb.ts'
import { StreamAccessLogsMessageSchema } from '../../src/wire/generated/envoy/service/accesslog/v3/als_pb.ts'
import type { HeaderLine, LoggedRequest } from './log-host.ts'

/** Names of the headers whose values are reported. */
export const REQUEST_HEADERS = ['x-user', 'content-type', 'x-two']
export const RESPONSE_HEADERS = ['content-type', 'grpc-status', 'grpc-message']
/** The id of this Envoy. */
const NODE = 'sidecar~10.1.2.3'

interface Certificates {
  readonly peer: Names
  readonly own: Names
  readonly sni: string
}
interface Names {
  readonly uri: string
  readonly dns: string
  readonly subject: string
}

export interface Exchange {
  /** In ns. */
  readonly start: bigint
  readonly duration: bigint
  readonly requestHeaders: readonly HeaderLine[]
  readonly responseHeaders: readonly HeaderLine[]
  readonly code: number | undefined
  /** Bits by field number of `ResponseFlags`, less one. */
  readonly flags: readonly number[]
  readonly bytesIn: number
  readonly bytesOut: number
  readonly source: readonly [address: string, port: number]
  readonly local: readonly [address: string, port: number]
  readonly upstream: readonly [address: string, port: number] | undefined
  readonly cluster: string
  readonly tls: Certificates | undefined
}

const word = fc.string({ unit: fc.constantFrom('a', 'b', 'é', '-', ' '), maxLength: 6 })
const query = fc
  .array(
    fc.tuple(
      fc.constantFrom('a', 'b', '%61', 'c+d', '%zz', ''),
      fc.constantFrom('', '=', '=1', '=%20z+q', '=%C3%A9', '=%', '=%ff;b'),
    ),
  )
  .map((pairs) => pairs.map((pair) => pair.join('')).join('&'))
const path = fc
  .tuple(fc.constantFrom('/', '/a', '/a/b', '*', '/#f', '/a?'), fc.option(query), fc.constantFrom('', '#x', '#x?y=z'))
  .map(([before, some, after]) => `${before}${some === null ? '' : `?${some}`}${after}`)
const address = fc.tuple(
  fc.oneof(fc.ipV4(), fc.ipV6(), fc.constantFrom('::', '::1', 'fe80::1%eth0', '::ffff:1.2.3.4', 'a:b:c:d:e:f:1:2')),
  fc.integer({ min: 0, max: 65_535 }),
)
const identity = fc.constantFrom(
  '',
  'spiffe://td/ns/shop/sa/ann',
  'spiffe://td/sa/ann',
  'spiffe://td/ns//sa/',
  'https://x/ns/a',
  'shop.test',
)
const names = fc.record({ uri: identity, dns: identity, subject: fc.constantFrom('', 'CN=shop') })
const cluster = fc.constantFrom(
  'upstream',
  'outbound|80||reviews.shop.svc.cluster.local',
  'inbound|8080||',
  'inbound|80|v1|a.b.svcx.c',
  'outbound|80||a.b.svc|x',
  'outboundx|80||a.b.svc',
  'outbound|80|a.b.svc',
  'inbound|1||.b.svc',
)
const line = (name: string, value: fc.Arbitrary<string>) =>
  fc.array(
    value.map((text): HeaderLine => [name, text]),
    { maxLength: 2 },
  )

const requestHeaders = fc
  .tuple(
    fc.constantFrom('GET', 'POST', 'CONNECT'),
    path,
    fc.constantFrom('shop.test', 'SHOP.test:80'),
    fc.constantFrom('http', 'https'),
    fc.option(word.map((value): HeaderLine => ['user-agent', value])),
    fc.option(word.map((value): HeaderLine => ['referer', value])),
    fc.option(fc.uuid().map((value): HeaderLine => ['x-request-id', value])),
    line('x-user', word),
    fc.option(fc.constantFrom('application/grpc', 'application/grpc+proto', 'application/grpc-web', 'text/html')),
    line('x-unnamed', word),
  )
  .map(([method, target, host, scheme, agent, referer, id, users, type, unnamed]): HeaderLine[] => {
    const first: HeaderLine[] = [
      [':method', method],
      [':path', target],
      [':authority', host],
      [':scheme', scheme],
    ]
    const optional = [agent, referer, id].filter((each) => each !== null)
    return [...first, ...optional, ...users, ...(type === null ? [] : [['content-type', type] as const]), ...unnamed]
  })

export const exchange: fc.Arbitrary<Exchange> = fc.record({
  start: fc.bigInt({ min: 0n, max: 2n ** 62n }),
  duration: fc.bigInt({ min: 0n, max: 2n ** 40n }),
  requestHeaders,
  responseHeaders: fc
    .tuple(line('content-type', fc.constantFrom('text/html', 'a/b')), line('grpc-status', fc.constantFrom('0', '5')))
    .map(([types, statuses]): HeaderLine[] => [[':status', '200'], ...types, ...statuses.slice(0, 1)]),
  code: fc.option(fc.integer({ min: 100, max: 599 }), { nil: undefined }),
  flags: fc.uniqueArray(fc.constantFrom(0, 1, 5, 11, 12, 26, 28), { maxLength: 3 }),
  bytesIn: fc.nat(),
  bytesOut: fc.nat(),
  source: address,
  local: address,
  // Nobody is reached at port 0.
  upstream: fc.option(
    address.filter(([, port]) => port > 0),
    { nil: undefined },
  ),
  cluster,
  tls: fc.option(fc.record({ peer: names, own: names, sni: fc.constantFrom('', 'shop.test') }), { nil: undefined }),
})

/** As a module gets it. */
export function loggedRequest(of: Exchange): LoggedRequest {
  const { tls, upstream, code } = of
  const headerBytes = sizeOf(of.responseHeaders)
  return {
    properties: {
      'xds.node.id': NODE,
      'request.time': of.start,
      'request.duration': of.duration,
      'request.total_size': BigInt(of.bytesIn + sizeOf(of.requestHeaders)),
      ...(code === undefined ? {} : { 'response.code': BigInt(code) }),
      'response.flags': of.flags.reduce((bits, flag) => bits | (1n << BigInt(flag)), 0n),
      'response.size': BigInt(of.bytesOut),
      'response.total_size': BigInt(of.bytesOut + headerBytes),
      'source.address': textOf(of.source),
      'destination.address': textOf(of.local),
      ...(upstream === undefined ? {} : { 'upstream.address': textOf(upstream) }),
      'xds.cluster_name': of.cluster,
      ...(tls === undefined
        ? {}
        : { 'connection.tls_version': 'TLSv1.3', ...identities('peer', tls.peer), ...identities('local', tls.own) }),
      ...(tls === undefined || tls.sni === '' ? {} : { 'connection.requested_server_name': tls.sni }),
    },
    requestHeaders: of.requestHeaders,
    responseHeaders: of.responseHeaders,
    responseTrailers: [],
  }
}

function identities(whose: string, { uri, dns, subject }: Names): Record<string, string> {
  return {
    [`connection.uri_san_${whose}_certificate`]: uri,
    [`connection.dns_san_${whose}_certificate`]: dns,
    [`connection.subject_${whose}_certificate`]: subject,
  }
}

const textOf = ([address, port]: readonly [string, number]) =>
  address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`

const sizeOf = (lines: readonly HeaderLine[]) => lines.flat().reduce((sum, text) => sum + Buffer.byteLength(text), 0)

/** As Envoy's access log says it. */
export function accessLogOf(exchanges: readonly Exchange[]): Uint8Array {
  const logEntry = exchanges.map(entryOf)
  return toBinary(
    StreamAccessLogsMessageSchema,
    create(StreamAccessLogsMessageSchema, {
      identifier: { node: { id: NODE } },
      logEntries: { case: 'httpLogs', value: { logEntry } },
    }),
  )
}

function entryOf(of: Exchange): MessageInitShape<typeof HTTPAccessLogEntrySchema> {
  const { tls, upstream, code, requestHeaders: sent } = of
  const header = (name: string) => sent.find((line) => line[0] === name)?.[1] ?? ''
  return {
    commonProperties: {
      downstreamRemoteAddress: socketOf(of.source),
      downstreamLocalAddress: socketOf(of.local),
      ...(upstream === undefined ? {} : { upstreamRemoteAddress: socketOf(upstream), upstreamCluster: of.cluster }),
      ...(tls === undefined
        ? {}
        : {
            tlsProperties: {
              tlsSniHostname: tls.sni,
              localCertificateProperties: certificateOf(tls.own),
              peerCertificateProperties: certificateOf(tls.peer),
            },
          }),
      startTime: { seconds: of.start / 1_000_000_000n, nanos: Number(of.start % 1_000_000_000n) },
      duration: { seconds: of.duration / 1_000_000_000n, nanos: Number(of.duration % 1_000_000_000n) },
      responseFlags: Object.fromEntries(of.flags.map((flag) => [FLAGS[flag] ?? '', flag === 12 ? {} : true])),
      streamId: header('x-request-id'),
      accessLogType: AccessLogType.DownstreamEnd,
    },
    request: {
      requestMethod: RequestMethod[header(':method') as keyof typeof RequestMethod],
      scheme: header(':scheme'),
      authority: header(':authority'),
      path: header(':path'),
      userAgent: header('user-agent'),
      referer: header('referer'),
      requestId: header('x-request-id'),
      requestHeadersBytes: BigInt(sizeOf(sent)),
      requestBodyBytes: BigInt(of.bytesIn),
      requestHeaders: joined(sent, REQUEST_HEADERS),
    },
    response: {
      ...(code === undefined ? {} : { responseCode: code }),
      responseHeadersBytes: BigInt(sizeOf(of.responseHeaders)),
      responseBodyBytes: BigInt(of.bytesOut),
      responseHeaders: joined(of.responseHeaders, RESPONSE_HEADERS),
    },
  }
}

/** By their legacy numbers. */
const FLAGS: Readonly<Record<number, string>> = {
  0: 'failedLocalHealthcheck',
  1: 'noHealthyUpstream',
  5: 'upstreamConnectionFailure',
  11: 'rateLimited',
  12: 'unauthorizedDetails',
  26: 'dnsResolutionFailure',
  28: 'downstreamRemoteReset',
}

function socketOf([address, portValue]: readonly [string, number]) {
  return { address: { case: 'socketAddress', value: { address, portValue } } as const }
}

function certificateOf({ uri, dns, subject }: Names) {
  return {
    subject,
    subjectAltName: [
      ...(uri === '' ? [] : [{ san: { case: 'uri', value: uri } as const }]),
      ...(dns === '' ? [] : [{ san: { case: 'dns', value: dns } as const }]),
    ],
  }
}

/** Lines of one name are one value. */
function joined(lines: readonly HeaderLine[], among: readonly string[]): Record<string, string> {
  const values = new Map<string, string[]>()
  for (const [name, value] of lines) if (among.includes(name)) values.set(name, [...(values.get(name) ?? []), value])
  return Object.fromEntries([...values].map(([name, all]) => [name, all.join(',')]))
}
