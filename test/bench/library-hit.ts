// What a check costs that a program answers from its own first-level cache: `node test/bench/library-hit.ts`. Goal: 1 µs.

import { bench, do_not_optimize, run } from 'mitata'
import { FirstLevelCheck } from '../../src/client/first-level-check.ts'
import { Client } from '../../src/client/library/client.ts'
import { GivenBag } from '../../src/client/library/given-attributes.ts'
import { StatsMeter } from '../../src/client/library/stats-meter.ts'
import type { NodeAnswer, Nodes } from '../../src/client/nodes/nodes.ts'
import { attributePath, DEFAULT_AFFINITY } from '../../src/client/affinity.ts'
import { stepOf } from '../../src/cache/read-step.ts'
import { Revocations } from '../../src/cache/revocations.ts'
import type { AskedQuestion, ReadQuestion } from '../../src/kernel/answer-shape.ts'
import type { AttributeBag } from '../../src/kernel/attribute-bag.ts'
import { systemClock } from '../../src/kernel/system-clock.ts'
import type { ValueType } from '../../src/kernel/value.ts'
import { NormalRequestBag } from '../../src/wire/normal-request-bag.ts'

const HEADERS = {
  host: 'reviews.default.svc.cluster.local:9080',
  accept: 'application/json',
  'accept-encoding': 'gzip, deflate',
  'content-type': 'application/json',
  'user-agent': 'Mozilla/5.0 (X11; Linux x86_64) Firefox/128.0',
  'x-b3-sampled': '1',
  'x-forwarded-for': '203.0.113.7',
  'x-forwarded-proto': 'http',
  'x-request-id': 'b1946ac9-2c1f-4d5e-9f37-3a8d5a0c9b11',
}
const ATTRIBUTES = {
  'source.namespace': 'default',
  'source.principal': 'cluster.local/ns/default/sa/bookinfo-productpage',
  'source.ip': '10.244.1.17',
  'destination.service': 'reviews.default.svc.cluster.local',
  'destination.namespace': 'default',
  'context.protocol': 'http',
  'connection.mtls': true,
  'request.method': 'GET',
  'request.host': 'reviews.default.svc.cluster.local:9080',
  'request.path': '/reviews/17?lang=en',
  'request.headers': HEADERS,
}
const TYPES: Readonly<Record<string, ValueType>> = {
  'source.ip': 'IP_ADDRESS',
  'connection.mtls': 'BOOL',
  'request.headers': 'STRING_MAP',
  'source.labels': 'STRING_MAP',
}
const names = [...Object.keys(ATTRIBUTES), 'source.labels', 'request.url_path']
const vocabulary = new Map(names.map((name) => [name, TYPES[name] ?? 'STRING']))
const config = { id: 'c', vocabulary, normalizes: true, allowedAmbiguities: new Set<never>() }

/** As of a few rules: by service, method, caller, a prefix of the path, a header and a label. */
const CHOOSING: readonly ReadQuestion[] = [{ kind: 'attribute', name: 'destination.service' }]
const READS: readonly ReadQuestion[] = [
  { kind: 'predicate', name: 'request.path', test: { op: 'prefix', text: '/admin' } },
  { kind: 'key', name: 'request.headers', key: 'x-client' },
  { kind: 'attribute', name: 'source.labels' },
  { kind: 'predicate', name: 'request.method', test: { op: 'equals', value: 'GET' } },
  { kind: 'attribute', name: 'source.principal' },
]

function asked(questions: readonly ReadQuestion[], bag: AttributeBag): AskedQuestion[] {
  return questions.map((question) => {
    const step = stepOf(question)
    if (step === undefined) throw new Error('no step')
    return { id: step.id, question, outcome: step.answer(bag).outcome }
  })
}

/** A node that says of all requests what they depended on. */
const nodes: Nodes = {
  async ask({ bag: given }): Promise<NodeAnswer> {
    const bag = new NormalRequestBag(given, config.allowedAmbiguities)
    const epoch = { generation: 'local', sequence: 0 }
    const shape = { config: 'c', scope: 's', handlers: ['h'], generated: [], epoch }
    const status = { code: 0, message: '' }
    const life = { validForMs: 80_000_000, validUses: 2_000_000_000, ageMs: 0, tier: 'backend' } as const
    const answer = { ...life, status, referenced: [], requestHeaders: [], responseHeaders: [] }
    const told = { ...shape, choosing: asked(CHOOSING, bag), reads: asked(READS, bag) }
    return { answer, shape: told, staleForMs: 0, isPaid: false, grants: new Map() }
  },
  config: () => config,
  maxAgeMs: () => Number.POSITIVE_INFINITY,
  call: () => Promise.reject(new Error('not served')),
}

const check = new FirstLevelCheck({
  nodes,
  revocations: new Revocations(),
  clock: systemClock,
  random: Math.random,
  meter: new StatsMeter(),
  maxEntries: 10_000,
  maxBytes: 2 ** 24,
  choice: { affinity: DEFAULT_AFFINITY.map(attributePath), tenant: attributePath('destination.namespace') },
  refreshesPerSecond: 0,
})
const client = new Client({
  check,
  clock: systemClock,
  timeoutMs: 1_000,
  onWarning: () => undefined,
  records: { add: () => undefined, giveUp: () => undefined },
  figures: () => ({}),
  close: async () => undefined,
})
for (let i = 0; i < 100; i++) await client.check({ ...ATTRIBUTES, 'source.principal': `caller ${i}` })
await client.check(ATTRIBUTES)
const hit = () => client.check(ATTRIBUTES)
if (hit() instanceof Promise) throw new Error('no hit')

if (process.argv[2] === 'plain') {
  // By processor time: whatever else runs on the machine.
  const rounds = Array.from({ length: 20 }, () => {
    const before = process.cpuUsage()
    for (let i = 0; i < 200_000; i++) do_not_optimize(hit())
    const { user, system } = process.cpuUsage(before)
    return (user + system) / 200
  }).toSorted((a, b) => a - b)
  console.log(`hit: ${rounds[0]?.toFixed(0)} ns at best, ${rounds[10]?.toFixed(0)} ns in the median of 20 rounds`)
} else {
  bench('hit', () => do_not_optimize(hit()))
  bench('of that: the normal form', () =>
    do_not_optimize(new NormalRequestBag(new GivenBag(ATTRIBUTES, vocabulary), config.allowedAmbiguities)),
  )
  bench('of that: the clock', () => do_not_optimize(performance.now()))
  await run()
}
