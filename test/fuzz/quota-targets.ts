// Fuzz targets of the doors that charge limits: what Envoy's filters of rate limits and quotas send, and the body of POST /v1/quota.

import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import type { BucketAction } from '../../src/kernel/quota-buckets.ts'
import { type RateLimitDemand, UNLIMITED } from '../../src/kernel/rate-limit.ts'
import { DEFAULT_LIMITS } from '../../src/kernel/request-limits.ts'
import { CLAIMS_ALONE } from '../../src/quota/assignments/claims.ts'
import { QuotaAssigner } from '../../src/quota/assignments/quota-assigner.ts'
import { DescriptorLimits } from '../../src/quota/descriptors/descriptor-limits.ts'
import { MemoryLimits } from '../../src/quota/memory-limits.ts'
import { parseJsonBody } from '../../src/server/json-body.ts'
import { readQuotaBody } from '../../src/server/quota-body.ts'
import { encodeQuotaActions } from '../../src/server/quota-actions.ts'
import { encodeRateLimitResponse } from '../../src/server/rate-limit-response.ts'
import {
  RateLimitRequestSchema,
  RateLimitResponse_Code as Code,
  RateLimitResponseSchema,
} from '../../src/wire/generated/envoy/service/ratelimit/v3/rls_pb.ts'
import {
  RateLimitQuotaResponseSchema,
  RateLimitQuotaUsageReportsSchema,
} from '../../src/wire/generated/envoy/service/rate_limit_quota/v3/rlqs_pb.ts'
import { readUsageReports } from '../../src/wire/quota-usage-reports.ts'
import { readRateLimitRequest } from '../../src/wire/rate-limit-request.ts'
import { FakeClock } from '../helpers/clock.ts'
import { domainsOf } from '../quota/descriptors/domains.ts'
import { KeptLog, ReadableMeter } from '../redis/support.ts'
import { hostileBytes, hostileJson } from './mutate.ts'
import type { Target } from './target.ts'

const DOMAINS = domainsOf(`
domain: shop
descriptors:
  - key: api_key
    rate_limit: {unit: minute, requests_per_unit: 3}
    metadata: {tier: paid, of: {list: [1, {}]}}
    descriptors:
      - {key: path, value: "/a*", share_threshold: true, rate_limit: {unit: second, requests_per_unit: 1}}
  - {key: free, rate_limit: {unlimited: true}, metadata: {tier: free}}
  - {key: shadow, shadow_mode: true, detailed_metric: true, rate_limit: {unit: year, requests_per_unit: 0}}
  - {key: tenant, quota_mode: true, value_to_metric: true, rate_limit: {unit: week, requests_per_unit: 4294967295}}
`)
const METERED = 1_000
const clock = new FakeClock()
let meter = new ReadableMeter()
let answered = 0

/** Answers a demand to the last byte, and holds the answer against what the protocol promises. */
function answer(demand: RateLimitDemand): void {
  // What metrics are called hangs on what callers send.
  if (++answered % METERED === 0) meter = new ReadableMeter()
  const limits = new MemoryLimits({ clock })
  const domains = { domain: (name: string) => DOMAINS.get(name) }
  const service = new DescriptorLimits({ domains, limits: () => limits, clock, meter })
  const said = service.shouldRateLimit(demand, { timeoutMs: 100 })
  if (said instanceof Promise) throw new TypeError('nothing has to be awaited here')
  const encoded = encodeRateLimitResponse(said, 'x-ratelimit', demand)
  const { overallCode, statuses } = fromBinary(RateLimitResponseSchema, encoded)
  if (statuses.length !== demand.descriptors.length) throw new TypeError('not one status for each descriptor')
  if ([overallCode, ...statuses.map(({ code }) => code)].includes(Code.UNKNOWN)) throw new TypeError('an unknown code')
  for (const { remaining, resetSeconds } of said.statuses) {
    if (!(Number.isInteger(remaining) && remaining >= 0 && remaining <= UNLIMITED))
      throw new TypeError(`${remaining} are left`)
    if (!(Number.isInteger(resetSeconds) && resetSeconds >= 0)) throw new TypeError(`reset in ${resetSeconds} s`)
  }
}

/** What generated code reads; `undefined` where it refuses, which it does for less. */
function readByGenerated(bytes: Uint8Array): object | undefined {
  try {
    const { domain, descriptors, hitsAddend } = fromBinary(RateLimitRequestSchema, bytes)
    const shape = descriptors.map((each) => ({
      entries: each.entries.map(({ key, value }) => ({ key, value })),
      requestsPerUnit: each.limit?.requestsPerUnit,
      hitsAddend:
        each.hitsAddend === undefined ? undefined : Math.min(Number(each.hitsAddend), Number.MAX_SAFE_INTEGER),
    }))
    return { domain, hitsAddend, shape }
  } catch {
    return undefined
  }
}

function readByOurs({ domain, descriptors, hitsAddend }: RateLimitDemand): object {
  const shape = descriptors.map(({ entries, limit, hitsAddend: own }) => ({
    entries: entries.map(({ key, value }) => ({ key, value })),
    requestsPerUnit: limit?.requestsPerUnit,
    hitsAddend: own,
  }))
  return { domain, hitsAddend, shape }
}

const DEMANDS = [
  { domain: 'shop', descriptors: [{ entries: [{ key: 'api_key', value: 'alice' }] }], hitsAddend: 2 },
  {
    domain: 'shop',
    descriptors: [
      {
        entries: [
          { key: 'api_key', value: 'bob' },
          { key: 'path', value: '/a|b=c#d%7c' },
        ],
        hitsAddend: 0n,
      },
      { entries: [{ key: 'free', value: '' }], limit: { requestsPerUnit: 7, unit: 3 } },
      { entries: [{ key: 'shadow', value: 'x'.repeat(300) }], hitsAddend: 9_007_199_254_740_991n },
      { entries: [{ key: 'tenant', value: 'é' }] },
    ],
  },
  { domain: 'nowhere', descriptors: [{ entries: [{ key: 'a', value: 'b' }] }] },
]

/** Takes reports as of one stream; what is told at once, and before, has to be readable. */
function report(bytes: Uint8Array): void {
  const { domain, usages } = readUsageReports(bytes)
  if (++answered % METERED === 0) meter = new ReadableMeter()
  const limits = new MemoryLimits({ clock })
  const domains = { domain: (name: string) => DOMAINS.get(name) }
  const given = { domains, limits: () => limits, claims: CLAIMS_ALONE, clock, log: new KeptLog(), meter }
  const assigner = new QuotaAssigner(given)
  // As the door has it: the newest of each bucket.
  const actions = new Map<string, BucketAction>()
  const proxy = assigner.open(domain, (action) => void actions.set(JSON.stringify(action.bucket), action))
  proxy.report(usages)
  // Of buckets that are known.
  proxy.report(usages.slice(0, 100))
  const { bucketAction } = fromBinary(RateLimitQuotaResponseSchema, encodeQuotaActions([...actions.values()]))
  if (bucketAction.some((each) => each.bucketAction.case === undefined)) throw new TypeError('an action that is none')
  proxy.close()
  assigner.stop()
}

const REPORTS = [
  {
    domain: 'shop',
    bucketQuotaUsages: [
      { bucketId: { bucket: { api_key: 'alice' } }, timeElapsed: { seconds: 5n }, numRequestsAllowed: 3n },
      { bucketId: { bucket: { path: '/ab', api_key: 'é' } }, timeElapsed: { nanos: 7 }, numRequestsDenied: 1n },
      { bucketId: { bucket: { free: 'x' } }, numRequestsAllowed: 9_007_199_254_740_991n },
    ],
  },
  { domain: 'nowhere', bucketQuotaUsages: [{ bucketId: { bucket: { a: '' } } }, {}] },
]

const BODIES = [
  {
    domain: 'shop',
    descriptors: [
      { entries: [{ key: 'api_key', value: 'alice' }], hitsAddend: 0 },
      { entries: [{ key: 'free' }], limit: { requestsPerUnit: 7, unit: 'HOUR' } },
    ],
    hitsAddend: 3,
    timeoutMs: 10,
  },
  {
    attributes: { 'source.name': 'a', 'request.headers': { 'x-a': 'b' }, 'response.code': 200 },
    quotas: { requestcount: { amount: 5, bestEffort: true }, other: {} },
    deduplicationId: 'id',
  },
]

const VOCABULARY = new Map([
  ['source.name', 'STRING'],
  ['request.headers', 'STRING_MAP'],
  ['response.code', 'INT64'],
] as const)

const REQUESTS = DEMANDS.map((demand) =>
  Buffer.from(toBinary(RateLimitRequestSchema, create(RateLimitRequestSchema, demand))),
)
const USAGES = REPORTS.map((each) =>
  Buffer.from(toBinary(RateLimitQuotaUsageReportsSchema, create(RateLimitQuotaUsageReportsSchema, each))),
)
const TEXTS = BODIES.map((body) => Buffer.from(JSON.stringify(body)))

export const QUOTA_TARGETS: readonly Target[] = [
  {
    name: 'rate limit request',
    generate: (random) => hostileBytes(REQUESTS, random),
    run(input) {
      const bytes = Buffer.from(input)
      const demand = readRateLimitRequest(bytes, DEFAULT_LIMITS)
      const generated = readByGenerated(bytes)
      if (generated !== undefined && JSON.stringify(generated) !== JSON.stringify(readByOurs(demand)))
        throw new TypeError(`generated code reads ${JSON.stringify(generated)}`)
      answer(demand)
    },
  },
  {
    name: 'quota usage reports',
    generate: (random) => hostileBytes(USAGES, random),
    run: (input) => report(Buffer.from(input)),
  },
  {
    name: 'quota json',
    generate: (random) => (random() < 0.7 ? hostileJson(BODIES, random) : hostileBytes(TEXTS, random)),
    run(input) {
      const body = parseJsonBody(Buffer.from(input), { uniqueNames: true })
      const asked = readQuotaBody(body, VOCABULARY, { defaultTimeoutMs: 100, limits: DEFAULT_LIMITS })
      if (asked.kind === 'limits') answer(asked.demand)
      else if (asked.demands.size === 0) throw new TypeError('no quota is named')
    },
  },
]
