// The same demands, one after the other, of envoyproxy/ratelimit and of a node, with the same files.

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { create, type MessageShape, toJson } from '@bufbuild/protobuf'
import { Client, credentials } from '@grpc/grpc-js'
import { Redis } from 'ioredis'
import {
  RateLimitRequestSchema,
  RateLimitResponse_Code as Code,
  RateLimitResponseSchema,
} from '../../../src/wire/generated/envoy/service/ratelimit/v3/rls_pb.ts'
import { startRatelimit } from '../../helpers/ratelimit.ts'
import { startRedis } from '../../helpers/redis.ts'
import { seededPicker, times } from '../../properties/random.ts'
import { clientMethod } from '../../server/grpc-method.ts'
import { ROOT, startIntermix } from '../intermix.ts'
import { type RandomDomain, randomDomain } from './random-domain.ts'
import { type Demand, randomDemand } from './random-request.ts'

export interface DifferentialOptions {
  /** Of envoyproxy/ratelimit. */
  readonly binary: string
  readonly demands: number
  readonly seed: number
  readonly domains: number
  /** Whether it is newer than the version that Go builds: `DomainChoices`. */
  readonly isCurrent?: boolean
}

export interface Differential {
  /** Where the answers differ. */
  readonly findings: readonly string[]
  /** How many descriptors had an answer of a kind. */
  readonly tally: Readonly<Record<'within' | 'over' | 'unlimited' | 'none', number>>
}

type Answer = MessageShape<typeof RateLimitResponseSchema>
type Ask = (demand: Demand) => Promise<Answer>

const UNITS = ['second', 'minute', 'hour', 'day', 'week', 'month', 'year'] as const
const UNLIMITED = 0xffff_ffff
const PATIENCE_MS = 10_000
/** How much of a second must be left: both have to answer in the same one. */
const LEFT_MS = 150
const MOST_FINDINGS = 20

/** Rejects where one of them does not answer. */
export async function differential(options: DifferentialOptions): Promise<Differential> {
  const ends: (() => Promise<unknown>)[] = []
  try {
    return await compare(options, (end) => ends.push(end))
  } finally {
    for (const end of ends.toReversed()) await end()
  }
}

async function compare(
  { binary, demands, seed, domains: count, isCurrent = false }: DifferentialOptions,
  defer: (end: () => Promise<unknown>) => void,
): Promise<Differential> {
  const picker = seededPicker(seed)
  // In every fourth, descriptors bring limits of their own.
  const withLimits = (index: number) => index % 4 === 3
  const domains = times(count, (index) =>
    randomDomain(`d${index}`, picker, {
      isCurrent,
      hasMetadata: isCurrent && index % 2 === 0,
      units: withLimits(index) ? ['second'] : UNITS,
    }),
  )
  const [theirs, ours] = await Promise.all([startTheirs(binary, domains, defer), startOurs(domains, defer)])
  const findings: string[] = []
  const tally = { within: 0, over: 0, unlimited: 0, none: 0 }
  for (let number = 0; number < demands && findings.length < MOST_FINDINGS; number++) {
    const index = picker.int(count)
    const domain = domains[index] as RandomDomain
    const demand = randomDemand(domain, withLimits(index), picker)
    const [expected, found] = await inOneSecond(demand, theirs, ours)
    for (const status of expected.statuses) {
      if (status.code === Code.OVER_LIMIT) tally.over++
      else if (status.currentLimit !== undefined) tally.within++
      else tally[status.limitRemaining === UNLIMITED ? 'unlimited' : 'none']++
    }
    if (textOf(found) !== textOf(expected)) findings.push(told(domain, demand, textOf(expected), textOf(found)))
  }
  return { findings, tally }
}

/** Asks both until the clock has not gone on to another second meanwhile; then all counters are forgotten first. */
async function inOneSecond(demand: Demand, theirs: Asked, ours: Asked): Promise<readonly [Answer, Answer]> {
  for (;;) {
    const second = await quietSecond()
    const answers = [await theirs.ask(demand), await ours.ask(demand)] as const
    if (Math.floor(Date.now() / 1_000) === second) return answers
    await Promise.all([theirs.forget(), ours.forget()])
  }
}

/** Not the first of a minute: there, windows of a second and of a minute that begin together are one counter. */
async function quietSecond(): Promise<number> {
  for (;;) {
    const now = Date.now()
    const left = 1_000 - (now % 1_000)
    const second = Math.floor(now / 1_000)
    if (left > LEFT_MS && second % 60 !== 0) return second
    await pause(left)
  }
}

interface Asked {
  readonly ask: Ask
  readonly forget: () => Promise<unknown>
}

async function startTheirs(
  binary: string,
  domains: readonly RandomDomain[],
  defer: (end: () => Promise<unknown>) => void,
): Promise<Asked> {
  const { url, forget } = await ownRedis(defer)
  const configs = domains.map((domain) => JSON.stringify(domain))
  const env = { LIMIT_RESPONSE_HEADERS_ENABLED: 'true', RESPONSE_DYNAMIC_METADATA: 'true' }
  const server = await startRatelimit({ binary, configs, redis: new URL(url).host, env })
  defer(() => server.stop())
  return { ask: askAt(server.grpcPort, defer), forget }
}

async function startOurs(
  domains: readonly RandomDomain[],
  defer: (end: () => Promise<unknown>) => void,
): Promise<Asked> {
  const { url, forget } = await ownRedis(defer)
  const limits = await mkdtemp(join(tmpdir(), 'intermix-limits-'))
  defer(() => rm(limits, { recursive: true, force: true }))
  for (const domain of domains) await writeFile(join(limits, `${domain.domain}.yaml`), JSON.stringify(domain))
  const told = ['--ratelimit-headers', 'ratelimit', '--ratelimit-metadata']
  const flags = ['--redis', url, '--ratelimit-config', limits, ...told]
  const config = join(ROOT, 'examples/quickstart')
  const node = await startIntermix({ role: 'node', config, nodeId: 'limits', flags })
  defer(() => node.child.stop())
  return { ask: askAt(node.grpcPort, defer), forget }
}

/** Not a database of another one: all of it is emptied. */
async function ownRedis(defer: (end: () => Promise<unknown>) => void) {
  const redis = await startRedis({ args: ['--databases', '1'] })
  defer(() => redis.stop())
  const client = new Redis(redis.url)
  defer(async () => client.disconnect())
  return { url: redis.url, forget: () => client.flushall() }
}

function askAt(port: number, defer: (end: () => Promise<unknown>) => void): Ask {
  const path = '/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit'
  const method = clientMethod(path, RateLimitRequestSchema, RateLimitResponseSchema)
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure())
  defer(async () => client.close())
  return (demand) =>
    new Promise((resolve, reject) => {
      client.makeUnaryRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        create(RateLimitRequestSchema, demand),
        { deadline: Date.now() + PATIENCE_MS },
        (error, answer) => (answer === undefined ? reject(error ?? new Error('no answer')) : resolve(answer)),
      )
    })
}

/** Fields of maps come in any order; in Go's text format the spaces change from one build to the next, and weeks are a number. */
function textOf(answer: Answer): string {
  const { quotaModeEnabled: _, ...metadata } = answer.dynamicMetadata ?? {}
  return JSON.stringify(toJson(RateLimitResponseSchema, { ...answer, dynamicMetadata: metadata }), inOrder)
}

function inOrder(_: string, value: unknown): unknown {
  if (typeof value === 'string') return value.replaceAll(/ +/g, ' ').replace(/\bunit:7/, 'unit:WEEK')
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  return Object.fromEntries(Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1)))
}

function told(domain: RandomDomain, demand: Demand, expected: string, found: string): string {
  const asked = JSON.stringify(demand, (_, value: unknown) => (typeof value === 'bigint' ? Number(value) : value))
  return [JSON.stringify(domain), `asked:  ${asked}`, `theirs: ${expected}`, `ours:   ${found}`].join('\n')
}
