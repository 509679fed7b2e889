// What laziness buys: decoding a typical check and reading five of its thirty attributes, beside the generated codec's
// full decode of the same bytes. Run with: node test/bench/mixer-codec.ts

import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { do_not_optimize, measure } from 'mitata'
import type { Vocabulary } from '../../src/kernel/attribute-bag.ts'
import { Duration, Timestamp } from '../../src/kernel/time.ts'
import type { StringMap, ValueType } from '../../src/kernel/value.ts'
import { CheckRequestSchema } from '../../src/wire/generated/istio/mixer/v1/mixer_pb.ts'
import { decodeCheckRequest } from '../../src/wire/mixer/check-request.ts'
import { CompressedAttributesBag } from '../../src/wire/mixer/compressed-attributes-bag.ts'
import { type Attributes, compress } from '../wire/mixer/compress.ts'

const HEADERS = new Map([
  [':authority', 'reviews.default.svc.cluster.local:9080'],
  [':method', 'GET'],
  [':path', '/reviews/17?lang=en'],
  ['accept', 'application/json'],
  ['accept-encoding', 'gzip, deflate'],
  ['content-type', 'application/json'],
  ['user-agent', 'Mozilla/5.0 (X11; Linux x86_64) Firefox/128.0'],
  ['x-b3-sampled', '1'],
  ['x-b3-spanid', '91a2b3c4d5e6f701'],
  ['x-b3-traceid', '0af7651916cd43dd8448eb211c80319c'],
  ['x-forwarded-for', '203.0.113.7'],
  ['x-forwarded-proto', 'http'],
  ['x-request-id', 'b1946ac9-2c1f-4d5e-9f37-3a8d5a0c9b11'],
])

const REQUEST: Attributes = {
  'source.uid': 'kubernetes://productpage-v1-54d799c966-9fqk2.default',
  'source.namespace': 'default',
  'source.principal': 'cluster.local/ns/default/sa/bookinfo-productpage',
  'source.user': 'cluster.local/ns/default/sa/bookinfo-productpage',
  'source.ip': Uint8Array.of(10, 244, 1, 17),
  'origin.ip': Uint8Array.of(203, 0, 113, 7),
  'destination.uid': 'kubernetes://reviews-v2-7bf8c9648f-dk2m4.default',
  'destination.namespace': 'default',
  'destination.ip': Uint8Array.of(10, 244, 2, 31),
  'destination.port': 9080n,
  'destination.principal': 'cluster.local/ns/default/sa/bookinfo-reviews',
  'destination.service.host': 'reviews.default.svc.cluster.local',
  'destination.service.name': 'reviews',
  'destination.service.namespace': 'default',
  'destination.service.uid': 'istio://default/services/reviews',
  'context.protocol': 'http',
  'context.reporter.kind': 'inbound',
  'context.reporter.uid': 'kubernetes://reviews-v2-7bf8c9648f-dk2m4.default',
  'connection.mtls': true,
  'connection.requested_server_name': 'outbound_.9080_._.reviews.default.svc.cluster.local',
  'request.headers': HEADERS,
  'request.host': 'reviews.default.svc.cluster.local:9080',
  'request.method': 'GET',
  'request.path': '/reviews/17?lang=en',
  'request.url_path': '/reviews/17',
  'request.query_params': new Map([['lang', 'en']]),
  'request.scheme': 'http',
  'request.time': Timestamp.fromMillis(1_700_000_000_123),
  'request.useragent': 'Mozilla/5.0 (X11; Linux x86_64) Firefox/128.0',
  'response.duration': new Duration(0n),
}

function typeOf(value: Attributes[string]): ValueType {
  if (typeof value === 'string') return 'STRING'
  if (typeof value === 'bigint') return 'INT64'
  if (typeof value === 'boolean') return 'BOOL'
  if (value instanceof Uint8Array) return 'IP_ADDRESS'
  if (value instanceof Timestamp) return 'TIMESTAMP'
  return value instanceof Duration ? 'DURATION' : 'STRING_MAP'
}

const vocabulary: Vocabulary = new Map(Object.entries(REQUEST).map(([name, value]) => [name, typeOf(value)]))
const message = create(CheckRequestSchema, {
  attributes: compress(REQUEST),
  globalWordCount: 222,
  deduplicationId: 'u-17',
})
const bytes = toBinary(CheckRequestSchema, message)

function lazily(): void {
  const bag = CompressedAttributesBag.decode(decodeCheckRequest(bytes).attributes, { vocabulary })
  do_not_optimize(bag.get('source.namespace'))
  do_not_optimize(bag.get('destination.service.host'))
  do_not_optimize(bag.get('request.method'))
  do_not_optimize(bag.get('request.path'))
  do_not_optimize((bag.get('request.headers') as StringMap).get('x-request-id'))
}

function fully(): void {
  do_not_optimize(fromBinary(CheckRequestSchema, bytes, { readUnknownFields: false }))
}

const ROUNDS = 8
const lazyTimes: number[] = []
const fullTimes: number[] = []
// Alternating, so that whatever else the machine does meets both.
for (let round = 0; round < ROUNDS; round++) {
  lazyTimes.push((await measure(lazily)).p50 / 1000)
  fullTimes.push((await measure(fully)).p50 / 1000)
}

function median(times: readonly number[]): number {
  return times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)] ?? 0
}

const lazy = median(lazyTimes)
const full = median(fullTimes)
console.log(
  `${Object.keys(REQUEST).length} attributes, ${HEADERS.size} headers, ${bytes.length} bytes; median of ${ROUNDS} rounds`,
)
console.log(`lazy decode and 5 reads: ${lazy.toFixed(2)} µs (fastest round ${Math.min(...lazyTimes).toFixed(2)})`)
console.log(`full generated decode:   ${full.toFixed(2)} µs (fastest round ${Math.min(...fullTimes).toFixed(2)})`)
console.log(`ratio: ${(full / lazy).toFixed(1)}`)
