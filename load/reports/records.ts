// Reports as a mesh sends them: what Istio's proxies say of a request, in so many label sets.

import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import { Duration, Timestamp } from '../../src/kernel/time.ts'
import type { HTTPAccessLogEntrySchema } from '../../src/wire/generated/envoy/data/accesslog/v3/accesslog_pb.ts'
import { StreamAccessLogsMessageSchema } from '../../src/wire/generated/envoy/service/accesslog/v3/als_pb.ts'
import { ReportRequestSchema } from '../../src/wire/generated/istio/mixer/v1/mixer_pb.ts'
import { REQUEST } from '../../test/bench/sample-requests.ts'
import { type Attributes, compressInto, Words } from '../../test/wire/mixer/compress.ts'

export const RECORDS = 100
const START_MS = 1_700_000_000_000
const CODES = [200n, 200n, 200n, 404n, 503n]
const VERSIONS = ['v1', 'v2']

/** What the records of one label set have in common: who called, and what came of it. */
function labelSet(set: number): Attributes {
  const version = VERSIONS[set % VERSIONS.length] ?? ''
  const code = CODES[set % CODES.length] ?? 200n
  const name = `client-${Math.floor(set / 10)}-${version}`
  return {
    'source.uid': `kubernetes://${name}-54d799c966-9fqk2.default`,
    'source.workload.name': name,
    'source.labels': new Map([
      ['app', `client-${Math.floor(set / 10)}`],
      ['version', version],
    ]),
    'source.principal': `cluster.local/ns/default/sa/${name}`,
    'response.code': code,
  }
}

const DESTINATION: Attributes = {
  ...REQUEST,
  'source.workload.namespace': 'default',
  'destination.workload.name': 'reviews-v2',
  'destination.workload.namespace': 'default',
  'destination.labels': new Map([
    ['app', 'reviews'],
    ['version', 'v2'],
  ]),
  'api.protocol': 'http',
  'response.headers': new Map([
    ['content-type', 'application/json'],
    ['server', 'envoy'],
  ]),
}

/** What differs from request to request. */
function oneRequest(at: number): Attributes {
  const path = `/reviews/${at % 10}?lang=en`
  const millis = START_MS + at * 7
  return {
    'request.path': path,
    'request.time': Timestamp.fromMillis(millis),
    'request.size': BigInt(at % 300),
    'request.total_size': BigInt(400 + (at % 300)),
    'response.time': Timestamp.fromMillis(millis + 5),
    'response.duration': new Duration(BigInt(1 + (at % 90)) * 1_000_000n),
    'response.size': BigInt((at * 37) % 20_000),
    'response.total_size': BigInt(200 + ((at * 37) % 20_000)),
  }
}

/** A report of 100 records, each but the first with what changed since the one before: the default of Mixer's clients. */
export function mixerReport(number: number, sets: number): Uint8Array {
  const words = new Words()
  let before: Attributes = {}
  const attributes = Array.from({ length: RECORDS }, (_, i) => {
    const at = number * RECORDS + i
    // Neither in turn nor always the same: requests of a client come in short runs.
    const record = { ...(i === 0 ? DESTINATION : {}), ...labelSet((Math.floor(at / 3) * 7) % sets), ...oneRequest(at) }
    const changed = Object.entries(record).filter(([name, value]) => textOf(before[name]) !== textOf(value))
    before = { ...before, ...record }
    return compressInto(words, Object.fromEntries(changed))
  })
  const request = { attributes, defaultWords: words.list, globalWordCount: 222 }
  return toBinary(ReportRequestSchema, create(ReportRequestSchema, request))
}

function textOf(value: Attributes[string] | undefined): string {
  if (value instanceof Map) return JSON.stringify([...value])
  if (value instanceof Timestamp) return `${value.epochNanos}`
  return value instanceof Duration ? `${value.nanos}` : `${value as string | bigint | number | boolean | undefined}`
}

/** A message of 100 access log entries, as Envoy streams them. */
export function accessLog(number: number, sets: number): Uint8Array {
  const logEntry = Array.from({ length: RECORDS }, (_, i): MessageInitShape<typeof HTTPAccessLogEntrySchema> => {
    const at = number * RECORDS + i
    const set = (Math.floor(at / 3) * 7) % sets
    const seconds = BigInt(Math.floor((START_MS + at * 7) / 1000))
    return {
      commonProperties: {
        startTime: { seconds, nanos: 123_000_000 },
        timeToLastDownstreamTxByte: { seconds: 0n, nanos: (1 + (at % 90)) * 1_000_000 },
        downstreamRemoteAddress: address('10.244.1.17', 41_322),
        downstreamLocalAddress: address('10.244.2.31', 9080),
        upstreamCluster: `outbound|9080||reviews-${set % 10}.default.svc.cluster.local`,
      },
      protocolVersion: 2,
      request: {
        requestMethod: 1,
        scheme: 'http',
        authority: `reviews-${set % 10}.default.svc.cluster.local:9080`,
        path: `/reviews/${at % 10}?lang=en`,
        userAgent: 'Mozilla/5.0 (X11; Linux x86_64) Firefox/128.0',
        requestId: `b1946ac9-2c1f-4d5e-9f37-${String(at).padStart(12, '0')}`,
        requestHeadersBytes: 400n,
        requestBodyBytes: BigInt(at % 300),
      },
      response: {
        responseCode: Number(CODES[Math.floor(set / 10) % CODES.length]),
        responseHeadersBytes: 200n,
        responseBodyBytes: BigInt((at * 37) % 20_000),
      },
    }
  })
  const message = {
    identifier: { logName: 'load', node: { id: 'sidecar~10.244.2.31~reviews-v2~default', cluster: 'reviews' } },
    logEntries: { case: 'httpLogs' as const, value: { logEntry } },
  }
  return toBinary(StreamAccessLogsMessageSchema, create(StreamAccessLogsMessageSchema, message))
}

function address(text: string, portValue: number) {
  return { address: { case: 'socketAddress' as const, value: { address: text, portValue } } }
}
