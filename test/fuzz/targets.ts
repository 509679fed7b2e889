// What is fuzzed: every decoder that reads bytes from outside the process, and the expression compiler.

import { create, toBinary } from '@bufbuild/protobuf'
import { HeardRevocations } from '../../src/client/nodes/heard-revocations.ts'
import { compileExpression } from '../../src/expression/compile.ts'
import type { Dialect } from '../../src/expression/compiled.ts'
import type { AnswerShape } from '../../src/kernel/answer-shape.ts'
import { type AttributeBag, MapBag, type Vocabulary } from '../../src/kernel/attribute-bag.ts'
import { DEFAULT_LIMITS } from '../../src/kernel/request-limits.ts'
import { Duration, Timestamp } from '../../src/kernel/time.ts'
import { type AttributeValue, isStringMap } from '../../src/kernel/value.ts'
import type { Answer } from '../../src/kernel/verdict.ts'
import { AnswerBatches } from '../../src/wire/batch/answer-batch.ts'
import { AnswerBatchWriter } from '../../src/wire/batch/answer-batch-writer.ts'
import { CheckBatches } from '../../src/wire/batch/check-batch.ts'
import { CheckBatchWriter } from '../../src/wire/batch/check-batch-writer.ts'
import type { CheckDemands } from '../../src/wire/batch/check-demands.ts'
import type { News } from '../../src/wire/batch/news.ts'
import { decodeAccessLog } from '../../src/wire/envoy-access-log.ts'
import { EnvoyCheck } from '../../src/wire/envoy-check.ts'
import { EnvoyCheckBag } from '../../src/wire/envoy-attributes.ts'
import { StreamAccessLogsMessageSchema } from '../../src/wire/generated/envoy/service/accesslog/v3/als_pb.ts'
import { CheckRequestSchema as EnvoyCheckRequestSchema } from '../../src/wire/generated/envoy/service/auth/v3/external_auth_pb.ts'
import { CheckRequestSchema, ReportRequestSchema } from '../../src/wire/generated/istio/mixer/v1/mixer_pb.ts'
import { decodeCheckRequest } from '../../src/wire/mixer/check-request.ts'
import { CompressedAttributesBag } from '../../src/wire/mixer/compressed-attributes-bag.ts'
import { decodeMixerReport } from '../../src/wire/mixer/decode-report.ts'
import { decodeRecords, encodeRecords } from '../../src/wire/record-json.ts'
import { type Attributes, compress, compressInto, encodeAttributes, Words } from '../wire/mixer/compress.ts'
import { FakeClock } from '../helpers/clock.ts'
import { HTTP2_TARGETS } from './http2-targets.ts'
import { hostileBytes, hostileText } from './mutate.ts'
import { QUOTA_TARGETS } from './quota-targets.ts'
import { Refused, type Target } from './target.ts'

const ATTRIBUTES: Attributes = {
  'source.name': 'reviews-7b9f',
  'source.ip': Uint8Array.of(10, 1, 2, 3),
  'request.headers': new Map([
    [':method', 'GET'],
    ['x-request-id', 'b1946ac9'],
    ['user-agent', 'Mozilla/5.0'],
  ]),
  'request.time': new Timestamp(1_700_000_000_123_000_000n),
  'response.duration': new Duration(1_500_000n),
  'response.code': 200n,
  'connection.mtls': true,
  range: 0.5,
}

const VOCABULARY: Vocabulary = new Map([
  ['source.name', 'STRING'],
  ['source.ip', 'IP_ADDRESS'],
  ['request.headers', 'STRING_MAP'],
  ['request.time', 'TIMESTAMP'],
  ['response.duration', 'DURATION'],
  ['response.code', 'INT64'],
  ['connection.mtls', 'BOOL'],
  ['range', 'DOUBLE'],
])

function read(bag: AttributeBag): void {
  for (const name of bag.names()) show(bag.get(name))
  for (const name of VOCABULARY.keys()) show(bag.get(name))
}

function show(value: AttributeValue | undefined): void {
  if (value instanceof Timestamp || value instanceof Duration) value.toString()
  else if (typeof value === 'object' && isStringMap(value)) {
    value.get('x-request-id')
    for (const [key, text] of value.entries())
      if (typeof key !== 'string' || typeof text !== 'string')
        throw new TypeError('a map holds something else than strings')
    if (typeof value.size !== 'number') throw new TypeError('a map without a size')
  }
}

function bytesTarget(name: string, seeds: readonly Uint8Array[], run: (bytes: Uint8Array) => void): Target {
  const buffers = seeds.map((seed) => Buffer.from(seed))
  return {
    name,
    generate: (random) => hostileBytes(buffers, random),
    run: (input) => run(typeof input === 'string' ? Buffer.from(input) : input),
  }
}

function mixerReport(independent: boolean): Uint8Array {
  const words = new Words()
  const attributes = [ATTRIBUTES, { ...ATTRIBUTES, 'source.name': 'other' }, {}].map((each) =>
    compressInto(words, each),
  )
  const message = {
    attributes,
    defaultWords: words.list,
    repeatedAttributesSemantics: independent ? (1 as const) : (0 as const),
  }
  return toBinary(ReportRequestSchema, create(ReportRequestSchema, message))
}

function accessLog(): Uint8Array[] {
  const commonProperties = {
    downstreamRemoteAddress: { address: { case: 'socketAddress' as const, value: { address: '10.1.2.3' } } },
    startTime: { seconds: 1_700_000_000n, nanos: 5 },
    customTags: { 'source.name': 'reviews' },
    metadata: { filterMetadata: { 'own.filter': { a: 'b', c: [1, { d: null }] } } },
  }
  const request = { path: '/a?b=c', authority: 'x', requestHeaders: { 'x-request-id': '1' } }
  const logs = [
    { case: 'httpLogs' as const, value: { logEntry: [{ commonProperties, request, response: {} }] } },
    { case: 'tcpLogs' as const, value: { logEntry: [{ commonProperties }] } },
  ]
  const identifier = { node: { id: 'sidecar~10.1.2.3~reviews~ns' }, logName: 'l' }
  return logs.map((logEntries) => {
    const message = create(StreamAccessLogsMessageSchema, { identifier, logEntries })
    return toBinary(StreamAccessLogsMessageSchema, message)
  })
}

function envoyCheck(): Uint8Array {
  const address = { address: { case: 'socketAddress' as const, value: { address: '::1' } } }
  const message = create(EnvoyCheckRequestSchema, {
    attributes: {
      source: { address, principal: 'spiffe://cluster.local/ns/a/sa/b', labels: { app: 'x' } },
      destination: { address },
      request: {
        time: { seconds: 1_700_000_000n, nanos: 1 },
        http: { method: 'GET', path: '/p?q=%zz&r', host: 'h', headers: { ':method': 'GET', cookie: 'a=b' } },
      },
      contextExtensions: { 'source.name': 'n', 'response.code': '7' },
      metadataContext: {
        filterMetadata: { 'envoy.filters.http.jwt_authn': { p: { iss: 'i', sub: 's', aud: ['a'] } } },
      },
    },
  })
  return toBinary(EnvoyCheckRequestSchema, message)
}

const DEMANDS: CheckDemands = {
  quotas: new Map([
    ['hits', { amount: 3, bestEffort: true }],
    ['bytes', { amount: 2 ** 40, bestEffort: false }],
  ]),
  deduplicationId: 'an id',
  charging: 'named',
  uses: 20,
}
const SHAPE: AnswerShape = {
  config: 'c',
  scope: 's',
  handlers: ['h'],
  generated: ['source.name'],
  choosing: [],
  reads: [{ id: '1', question: { kind: 'key', name: 'request.headers', key: 'host' }, outcome: 'present' }],
  epoch: { generation: 'g', sequence: 7 },
}

function checkBatches(): Uint8Array[] {
  const writer = new CheckBatchWriter()
  return [1, 2, 3].map((id) => {
    writer.add(id, 100, MapBag.of(ATTRIBUTES), id === 1 ? undefined : DEMANDS)
    writer.nameCaller('sidecar')
    writer.hear({ ask: id, epoch: { generation: 'token/1@1', sequence: id } })
    return writer.take()
  })
}

function answerBatches(): Uint8Array[] {
  const writer = new AnswerBatchWriter()
  const header = { name: 'x-a', value: 'b', operation: 'REPLACE' } as const
  const answer: Answer = {
    status: { code: 7, message: 'no' },
    tier: 'mesh',
    ageMs: 1,
    validForMs: 2,
    validUses: 3,
    referenced: [],
    requestHeaders: [header],
    responseHeaders: [header],
    directResponse: { code: 302, body: 'go', headers: { location: '/' } },
    deniedBy: { rule: 'r', handler: 'h' },
  }
  return [1, 2, 3].map((id) => {
    writer.add(id, { answer })
    const grant = { status: answer.status, granted: 3, validForMs: 4, referenced: [], shape: SHAPE }
    writer.add(id, { answer, shape: SHAPE, staleForMs: 5, quotas: new Map([['hits', grant]]) })
    writer.addFailure(id, answer.status)
    writer.leave()
    writer.tell({ ...NEWS, ask: id })
    return writer.take()
  })
}

const NEWS: News = {
  ask: 1,
  epoch: { generation: 'token/1@1', sequence: 3 },
  revocations: [
    { sequence: 1, target: { kind: 'all' } },
    { sequence: 2, target: { kind: 'handler', handler: 'h' } },
    { sequence: 3, target: { kind: 'attribute', name: 'request.headers', key: 'x-user', value: 'eve' } },
  ],
  outOfTouchMs: 300,
  maxAgeMs: 30_000,
  load: 7,
  config: { id: 'c', vocabulary: VOCABULARY, normalizes: true, allowedAmbiguities: new Set(['backslash']) },
  members: { nodes: ['a:1', 'b:2'], leaving: ['b:2'] },
}
const TELLER = new HeardRevocations(new FakeClock()).teller()
const SILENT = {
  answered: () => {},
  failed: () => {},
  leaving: () => {},
  news: (news: News) => void TELLER.take(news, 0),
}

const EXPRESSIONS: readonly string[] = [
  'source.name == "a" && (response.code >= 400 || connection.mtls)',
  'request.headers["x-request-id"] | source.name | "none"',
  'conditional(connection.mtls, "a", "b") + toLower(source.name)',
  'source.ip == ip("10.1.2.3") && "^a+$".matches(source.name)',
  'request.time < timestamp("2020-01-02T03:04:05Z")',
  'response.duration == "10s" | range == 0.5',
  'request.headers.exists(k, k.startsWith("x-")) ? size(source.name) : 3',
]

function expressionTarget(dialect: Dialect): Target {
  const bags = [new MapBag(new Map()), MapBag.of(ATTRIBUTES)]
  return {
    name: `expression ${dialect}`,
    generate: (random) => hostileText(EXPRESSIONS, random),
    run(input) {
      const compiled = compileExpression(String(input), { dialect, vocabulary: VOCABULARY })
      if (!compiled.ok) {
        if (compiled.problems.length === 0) throw new TypeError('refused without a problem')
        throw new Refused()
      }
      for (const bag of bags) compiled.expression.evaluate(bag)
    },
  }
}

export const TARGETS: readonly Target[] = [
  bytesTarget(
    'mixer attributes',
    [encodeAttributes(compress(ATTRIBUTES)), encodeAttributes(compress(ATTRIBUTES, 0))],
    (bytes) => read(CompressedAttributesBag.decode(bytes, { vocabulary: VOCABULARY })),
  ),
  bytesTarget(
    'mixer check request',
    [
      toBinary(
        CheckRequestSchema,
        create(CheckRequestSchema, {
          attributes: compress(ATTRIBUTES),
          globalWordCount: 222,
          deduplicationId: 'id',
          quotas: { q: { amount: 5n, bestEffort: true } },
        }),
      ),
    ],
    (bytes) => read(CompressedAttributesBag.decode(decodeCheckRequest(bytes).attributes, { vocabulary: VOCABULARY })),
  ),
  bytesTarget('mixer report', [mixerReport(true), mixerReport(false)], (bytes) => {
    for (const bag of decodeMixerReport(bytes, VOCABULARY)) read(bag)
  }),
  bytesTarget('envoy access log', accessLog(), (bytes) => {
    for (const bag of decodeAccessLog(bytes, VOCABULARY)) read(bag)
  }),
  bytesTarget('envoy check request', [envoyCheck()], (bytes) =>
    read(new EnvoyCheckBag(new EnvoyCheck(bytes), VOCABULARY)),
  ),
  bytesTarget('batch of checks', checkBatches(), (bytes) => {
    const batches = new CheckBatches(DEFAULT_LIMITS)
    batches.begin(bytes)
    for (let check = batches.next(VOCABULARY); check !== undefined; check = batches.next(VOCABULARY))
      if (check.problem === undefined) read(check.bag)
  }),
  bytesTarget('batch of answers', answerBatches(), (bytes) => new AnswerBatches().read(bytes, SILENT)),
  bytesTarget('record json', [encodeRecords([MapBag.of(ATTRIBUTES), new MapBag(new Map())])], (bytes) => {
    for (const bag of decodeRecords(bytes)) read(bag)
  }),
  expressionTarget('CEXL'),
  expressionTarget('CEL'),
  ...QUOTA_TARGETS,
  ...HTTP2_TARGETS,
]
