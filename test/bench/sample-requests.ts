// One typical request of a mesh, as each door gets it: 30 attributes, 13 headers.

import { create, toBinary } from '@bufbuild/protobuf'
import { Duration, Timestamp } from '../../src/kernel/time.ts'
import { CheckRequestSchema as EnvoyCheckRequestSchema } from '../../src/wire/generated/envoy/service/auth/v3/external_auth_pb.ts'
import { CheckRequestSchema as MixerCheckRequestSchema } from '../../src/wire/generated/istio/mixer/v1/mixer_pb.ts'
import { type Attributes, compress } from '../wire/mixer/compress.ts'

export const HEADERS = new Map([
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

export const REQUEST: Attributes = {
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

/** As a Mixer client sends it. */
export function mixerRequest(): Uint8Array {
  const message = { attributes: compress(REQUEST), globalWordCount: 222, deduplicationId: 'u-17' }
  return toBinary(MixerCheckRequestSchema, create(MixerCheckRequestSchema, message))
}

/** As Envoy sends it. */
export function envoyRequest(): Uint8Array {
  const peer = (address: string, portValue: number, principal: string) => ({
    address: { address: { case: 'socketAddress', value: { address, portValue } } as const },
    principal,
  })
  const message = {
    attributes: {
      source: peer('10.244.1.17', 41_322, 'spiffe://cluster.local/ns/default/sa/bookinfo-productpage'),
      destination: peer('10.244.2.31', 9080, 'spiffe://cluster.local/ns/default/sa/bookinfo-reviews'),
      request: {
        time: { seconds: 1_700_000_000n, nanos: 123_000_000 },
        http: {
          id: '9219012874010923',
          method: 'GET',
          headers: Object.fromEntries(HEADERS),
          path: '/reviews/17?lang=en',
          host: 'reviews.default.svc.cluster.local:9080',
          scheme: 'http',
          protocol: 'HTTP/1.1',
          size: -1n,
        },
      },
      contextExtensions: { 'destination.service.name': 'reviews' },
      tlsSession: { sni: 'outbound_.9080_._.reviews.default.svc.cluster.local' },
    },
  }
  return toBinary(EnvoyCheckRequestSchema, create(EnvoyCheckRequestSchema, message))
}
