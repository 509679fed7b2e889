import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { AttributeBag, Vocabulary } from '../../src/kernel/attribute-bag.ts'
import { IntermixError } from '../../src/kernel/errors.ts'
import { parseIp } from '../../src/kernel/ip-address.ts'
import { parseDuration, parseTimestamp } from '../../src/kernel/time.ts'
import type { StringMap, ValueType } from '../../src/kernel/value.ts'
import { scanAccessLog } from '../../src/wire/access-log-scan.ts'
import { decodeAccessLog } from '../../src/wire/envoy-access-log.ts'
import {
  AccessLogType,
  type HTTPAccessLogEntrySchema,
  type TCPAccessLogEntrySchema,
} from '../../src/wire/generated/envoy/data/accesslog/v3/accesslog_pb.ts'
import { StreamAccessLogsMessageSchema } from '../../src/wire/generated/envoy/service/accesslog/v3/als_pb.ts'

interface Message {
  identifier?: { node?: { id: string }; logName?: string }
  logEntries?: NonNullable<MessageInitShape<typeof StreamAccessLogsMessageSchema>['logEntries']>
}
type HttpEntry = MessageInitShape<typeof HTTPAccessLogEntrySchema>
type TcpEntry = MessageInitShape<typeof TCPAccessLogEntrySchema>

const encode = (message: Message) =>
  toBinary(StreamAccessLogsMessageSchema, create(StreamAccessLogsMessageSchema, message))
const httpLogs = (...logEntry: HttpEntry[]): Message => ({ logEntries: { case: 'httpLogs', value: { logEntry } } })
const tcpLogs = (...logEntry: TcpEntry[]): Message => ({ logEntries: { case: 'tcpLogs', value: { logEntry } } })
const VOCABULARY: Vocabulary = new Map<string, ValueType>([
  ['destination.service.name', 'STRING'],
  ['destination.port', 'INT64'],
])

function one(message: Message): AttributeBag {
  const [bag] = decodeAccessLog(encode(message), VOCABULARY)
  if (bag === undefined) throw new Error('no entry')
  return bag
}

const socket = (address: string, portValue: number) => ({
  address: { case: 'socketAddress', value: { address, portValue } } as const,
})
const certificate = (uri: string) => ({ subjectAltName: [{ san: { case: 'uri', value: uri } as const }] })

describe('attributes of HTTP access logs', () => {
  const entry: HttpEntry = {
    commonProperties: {
      downstreamRemoteAddress: socket('10.0.0.9', 5000),
      downstreamLocalAddress: socket('10.0.0.1', 80),
      upstreamRemoteAddress: socket('10.0.0.2', 8080),
      upstreamCluster: 'outbound|9080|v1|reviews.shop.svc.cluster.local',
      startTime: { seconds: 1_700_000_000n },
      duration: { seconds: 1n, nanos: 500_000_000 },
      responseFlags: { upstreamConnectionFailure: true, upstreamRetryLimitExceeded: true },
      tlsProperties: {
        tlsSniHostname: 'sni.test',
        peerCertificateProperties: certificate('spiffe://c/ns/web/sa/front'),
        localCertificateProperties: certificate('spiffe://c/ns/shop/sa/reviews'),
      },
      metadata: {
        filterMetadata: {
          'envoy.filters.http.ext_authz': { status: 'PERMISSION_DENIED', reason: 'no', tier: 'mesh' },
          'envoy.filters.http.jwt_authn': { payload: { iss: 'i', sub: 's' } },
          'my.filter': { a: 'b', list: ['c', 'd'], number: 1 },
        },
      },
    },
    request: {
      requestMethod: 3,
      scheme: 'https',
      authority: 'shop.test',
      path: '/r?x=1',
      userAgent: 'ua',
      referer: 'ref',
      requestId: 'id-1',
      requestHeadersBytes: 100n,
      requestBodyBytes: 20n,
      requestHeaders: { 'x-a': '1' },
    },
    response: {
      responseCode: 503,
      responseHeadersBytes: 30n,
      responseBodyBytes: 4n,
      responseHeaders: { 'content-type': 'application/grpc' },
      responseTrailers: { 'grpc-status': '14', 'grpc-message': 'gone' },
    },
  }

  it('come from request, response and connection', () => {
    const bag = one({ identifier: { node: { id: 'proxy-1' } }, ...httpLogs(entry) })
    const plain: Record<string, unknown> = {
      'source.principal': 'c/ns/web/sa/front',
      'source.namespace': 'web',
      'destination.port': 8080n,
      'destination.principal': 'c/ns/shop/sa/reviews',
      'destination.service.host': 'reviews.shop.svc.cluster.local',
      'destination.service.name': 'reviews',
      'destination.service.namespace': 'shop',
      'connection.mtls': true,
      'connection.requested_server_name': 'sni.test',
      'context.protocol': 'grpc',
      'context.proxy_error_code': 'UF,URX',
      'context.reporter.kind': 'outbound',
      'context.reporter.uid': 'proxy-1',
      'check.error_code': 7n,
      'check.error_message': 'no',
      'check.cache_hit': true,
      'request.auth.principal': 'i/s',
      'request.method': 'POST',
      'request.path': '/r?x=1',
      'request.url_path': '/r',
      'request.host': 'shop.test',
      'request.id': 'id-1',
      'request.size': 20n,
      'request.total_size': 120n,
      'response.code': 503n,
      'response.size': 4n,
      'response.total_size': 34n,
      'response.grpc_status': '14',
      'response.grpc_message': 'gone',
    }
    for (const [name, value] of Object.entries(plain)) expect([name, bag.get(name)]).toEqual([name, value])
    expect(bag.get('source.ip')).toEqual(parseIp('10.0.0.9'))
    expect(bag.get('destination.ip')).toEqual(parseIp('10.0.0.2'))
    expect(bag.get('response.duration')).toEqual(parseDuration('1.5s'))
    expect(bag.get('response.time')).toEqual(parseTimestamp('2023-11-14T22:13:21.5Z'))
    expect([...(bag.get('my.filter') as StringMap).entries()]).toEqual([
      ['a', 'b'],
      ['list', 'c,d'],
    ])
    expect([...bag.names()]).toContain('my.filter')
  })

  it('are the operator’s where custom tags name them; tags of the wrong type are left out', () => {
    const customTags = { 'destination.service.name': 'set', 'destination.port': 'x', other: 'y' }
    const bag = one(httpLogs({ commonProperties: { customTags, upstreamRemoteAddress: socket('10.0.0.2', 8080) } }))
    expect(bag.get('destination.service.name')).toBe('set')
    expect(bag.get('destination.port')).toBe(8080n)
    expect(bag.get('other')).toBeUndefined()
  })

  it('say "-" where nothing went wrong', () => {
    expect(one(httpLogs({ commonProperties: {} })).get('context.proxy_error_code')).toBe('-')
    expect(one(httpLogs({})).get('response.code')).toBeUndefined()
  })
})

describe('attributes of TCP access logs', () => {
  it.each([
    [AccessLogType.TcpConnectionStart, 'open', undefined],
    [AccessLogType.TcpPeriodic, 'continue', undefined],
    [AccessLogType.TcpConnectionEnd, 'close', 7n],
    [AccessLogType.NotSet, 'close', 7n],
  ])('of log type %i have the event %s', (accessLogType, event, bytes) => {
    const bag = one(
      tcpLogs({
        commonProperties: { accessLogType, streamId: 'c-1', duration: { seconds: 2n } },
        connectionProperties: { receivedBytes: 7n, sentBytes: 9n },
      }),
    )
    expect(bag.get('context.protocol')).toBe('tcp')
    expect(bag.get('connection.event')).toBe(event)
    expect(bag.get('connection.id')).toBe('c-1')
    expect(bag.get('connection.received.bytes')).toBe(bytes)
    expect(bag.get('connection.received.bytes_total')).toBe(7n)
    expect(bag.get('connection.sent.bytes_total')).toBe(9n)
    expect(bag.get('connection.duration')).toEqual(parseDuration('2s'))
  })
})

describe('scanning access log messages', () => {
  const entry: fc.Arbitrary<HttpEntry> = fc.record({
    request: fc.record({ path: fc.string(), authority: fc.string() }),
  })
  const message: fc.Arbitrary<Message> = fc
    .record({
      identifier: fc.option(fc.record({ logName: fc.string(), node: fc.record({ id: fc.string({ minLength: 1 }) }) }), {
        nil: undefined,
      }),
      entries: fc.array(entry, { maxLength: 5 }),
      tcp: fc.boolean(),
    })
    .map(({ identifier, entries, tcp }) => ({
      ...(identifier === undefined ? {} : { identifier }),
      ...(tcp ? tcpLogs(...entries.map(() => ({}))) : httpLogs(...entries)),
    }))

  it('counts what decoding finds, also over joined messages', () => {
    fc.assert(
      fc.property(fc.array(message, { minLength: 1, maxLength: 3 }), (messages) => {
        const bytes = Buffer.concat(messages.map(encode))
        expect(scanAccessLog(bytes).entries).toBe(decodeAccessLog(bytes).length)
      }),
    )
  })

  it('finds the identifier as bytes that can be put before another message', () => {
    fc.assert(
      fc.property(message, message, (first, second) => {
        const { identifier } = scanAccessLog(encode(first))
        const bags = decodeAccessLog(
          Buffer.concat([identifier ?? Buffer.alloc(0), encode({ ...httpLogs({}), ...second })]),
        )
        const wanted = second.identifier?.node?.id ?? first.identifier?.node?.id
        for (const bag of bags) expect(bag.get('context.reporter.uid')).toBe(wanted)
      }),
    )
  })

  it('refuses an identifier in so many parts that joining them takes long', () => {
    const part = encode({ identifier: {} })
    expect(() => scanAccessLog(Buffer.concat(Array.from({ length: 101 }, () => part)))).toThrow('more than 100 parts')
  })

  it('and decoding take any bytes: a result or INVALID_REQUEST', () => {
    const attempt = (bytes: Uint8Array, read: (bytes: Uint8Array) => unknown): void => {
      try {
        read(bytes)
      } catch (caught) {
        if (!(caught instanceof IntermixError) || caught.code !== 'INVALID_REQUEST') throw caught
      }
    }
    const readAll = (bytes: Uint8Array) => {
      for (const bag of decodeAccessLog(bytes)) for (const name of bag.names()) bag.get(name)
    }
    const mutated = fc.tuple(message, fc.nat(), fc.integer({ min: 0, max: 255 })).map(([whole, at, byte]) => {
      const bytes = encode(whole)
      if (bytes.length > 0) bytes[at % bytes.length] = byte
      return bytes
    })
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), mutated), (bytes) => {
        attempt(bytes, scanAccessLog)
        attempt(bytes, readAll)
      }),
      { numRuns: 1_000 },
    )
  })
})
