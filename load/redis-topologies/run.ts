// One run: checks and records while the cases come one after the other, and then it is judged.

import { setTimeout as sleep } from 'node:timers/promises'
import { type RedisCluster, startCluster } from '../../test/helpers/redis-cluster.ts'
import { type RedisSentinel, startSentinel } from '../../test/helpers/redis-sentinel.ts'
import type { LedgerReport } from '../../src/telemetry/ledger-report.ts'
import { startBackend } from '../backend-control.ts'
import { seededRandom } from '../random.ts'
import { tellLedger } from '../report-chaos/accounts.ts'
import { Books, type Call, type DoorCounts, DOORS } from '../report-chaos/books.ts'
import { type Ack, Fleet } from '../report-chaos/fleet.ts'
import { startReceiver } from '../report-chaos/receiver.ts'
import { complaintsOf, drained } from '../report-chaos/run.ts'
import { startSenders } from '../report-chaos/senders.ts'
import { type CaseName, CLUSTER_CASES, CUT, PARTIAL, SENTINEL_CASES } from './cases.ts'
import { type CheckFigures, startChecks } from './checks.ts'
import { topologyConfig } from './config.ts'

export interface TopologyOptions {
  /** Of one topology, one after the other. */
  readonly cases: readonly CaseName[]
  readonly ack: Ack
  readonly pauseMs: number
  readonly seed: number
  /** Checks, and as many records. */
  readonly perSecond: number
  readonly onCase?: (name: CaseName) => void
}

export interface Outcome {
  readonly options: TopologyOptions
  readonly checks: CheckFigures
  readonly records: Omit<DoorCounts, 'missing'>
  /** Acknowledged, and not arrived. */
  readonly lost: number
  readonly doubled: number
  /** Records that the backend has, with those that arrived again. */
  readonly delivered: number
  /** What the workers' counters have in the end. */
  readonly counted: number
  /** The longest that an acknowledged record had been on its way. */
  readonly behindMs: number
  /** From the end of a fault until no acknowledged record had been on its way for more than two seconds. */
  readonly recoveryMs: number
  readonly ledger: LedgerReport
  readonly incomplete: readonly Call[]
  readonly complaints: Readonly<Record<string, number>>
}

type Defer = (end: () => Promise<unknown>) => void

/** Of one turn of the three doors: ten records at two of them, thirty at the third. */
const RECORDS_A_TURN = 50
const TRIES = 8
const DRAIN_MS = 60_000
const WATCH_MS = 100
const PROMPT_MS = 2_000
const RECOVERY_MS = 60_000
/** More than a busy machine keeps a server waiting, which would be replaced for that alone. */
const DOWN_AFTER_MS = 1_500

export async function topologyRun(options: TopologyOptions, defer: Defer): Promise<Outcome> {
  const { ack, cases, seed, pauseMs, perSecond } = options
  const books = new Books()
  const receiver = await startReceiver(seededRandom(seed), (record) => books.arrived(record))
  defer(() => receiver.stop())
  const backend = await startBackend({ validitySeconds: 1, latencyMs: 5 })
  defer(() => backend.stop())
  const servers = await startServers(cases)
  defer(() => servers.stop())
  const redisFlags = ['--redis', servers.url, '--redis-prefix', 'chaos']
  const fleet = await Fleet.start({ ack, redisFlags, config: topologyConfig(receiver.url, backend.url) })
  defer(() => fleet.stop())
  const stopChecks = await startChecks(fleet.nodes, { perSecond, seed })
  const senders = startSenders(books, fleet.nodes, { everyMs: (1_000 * RECORDS_A_TURN) / perSecond, tries: TRIES })
  let behindMs = 0
  const watch = setInterval(() => (behindMs = Math.max(behindMs, books.behindMs)), WATCH_MS)
  let recoveryMs = 0
  try {
    await sleep(pauseMs)
    for (const name of cases) {
      options.onCase?.(name)
      await inflict(name, servers, fleet, pauseMs)
      recoveryMs = Math.max(recoveryMs, await untilPrompt(books))
    }
  } finally {
    clearInterval(watch)
    await senders.stop()
  }
  const checks = await stopChecks()
  await drained(fleet, books, DRAIN_MS)
  return {
    options,
    checks,
    records: sumOf(DOORS.map((door) => books.counts(door))),
    lost: books.missing,
    doubled: books.doubled,
    delivered: books.arrivals,
    counted: await fleet.counted(),
    behindMs,
    recoveryMs,
    ledger: await tellLedger(fleet),
    incomplete: books.incomplete(),
    complaints: complaintsOf(fleet),
  }
}

function isOfCluster(name: CaseName): name is keyof typeof CLUSTER_CASES {
  return name in CLUSTER_CASES
}

async function startServers(cases: readonly CaseName[]): Promise<RedisCluster | RedisSentinel> {
  if (new Set(cases.map(isOfCluster)).size !== 1) throw new Error('cases of one topology can be run together')
  if (!cases.every(isOfCluster)) return await startSentinel({ downAfterMs: DOWN_AFTER_MS })
  const args = cases.includes(PARTIAL) ? ['--cluster-require-full-coverage', 'no'] : []
  return await startCluster({ isProxied: cases.includes(CUT), args })
}

async function inflict(name: CaseName, servers: RedisCluster | RedisSentinel, fleet: Fleet, pauseMs: number) {
  if (isOfCluster(name)) await CLUSTER_CASES[name]({ servers: servers as RedisCluster, fleet, pauseMs })
  else await SENTINEL_CASES[name]({ servers: servers as RedisSentinel, fleet, pauseMs })
}

/** @returns after how many milliseconds records arrive promptly */
async function untilPrompt(books: Books): Promise<number> {
  const from = performance.now()
  while (books.behindMs > PROMPT_MS && performance.now() - from < RECOVERY_MS) await sleep(WATCH_MS)
  return performance.now() - from
}

function sumOf(counts: readonly DoorCounts[]): Omit<DoorCounts, 'missing'> {
  const sums = { sent: 0, acknowledged: 0, refused: 0, unknown: 0, refusedYetDelivered: 0 }
  for (const each of counts) for (const key of Object.keys(sums) as (keyof typeof sums)[]) sums[key] += each[key]
  return sums
}
