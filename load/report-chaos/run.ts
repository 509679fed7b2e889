// One chaos run: load and faults for a while, then everything is healed and given time, and then it is judged.

import { setTimeout as sleep } from 'node:timers/promises'
import { seededRandom } from '../random.ts'
import { startRedis } from '../redis-process.ts'
import { Books, type Call, type Door, type DoorCounts, DOORS } from './books.ts'
import { type BREAKS, BREAK_VARIABLE } from './breaks.ts'
import type { Fault } from './faults.ts'
import { chaosConfig } from './config.ts'
import { type Ack, Fleet } from './fleet.ts'
import { inflict, type Scene, USUAL_FAILURES } from './inflict.ts'
import type { LedgerReport } from '../../src/telemetry/ledger-report.ts'
import { isUnderWay, readLedger, tellLedger } from './accounts.ts'
import { type Receiver, startReceiver } from './receiver.ts'
import { startSenders } from './senders.ts'

/** How often Redis has its file synced. */
export type Fsync = 'everysec' | 'always'

export interface ChaosOptions {
  readonly ack: Ack
  readonly fsync: Fsync
  readonly seed: number
  readonly durationMs: number
  readonly faults: readonly Fault[]
  /** Milliseconds between two calls at the same door. */
  readonly everyMs: number
  /** How long the way of reports may take to become empty when all is well again. */
  readonly drainMs: number
  readonly maxMemoryBytes: number
  /** What is planted into nodes and workers, to see that it is found. */
  readonly plant?: keyof typeof BREAKS | undefined
  readonly onFault?: (fault: Fault) => void
}

export interface Outcome {
  readonly options: ChaosOptions
  readonly doors: Readonly<Record<Door, DoorCounts>>
  readonly delivered: number
  readonly missing: number
  readonly doubled: number
  readonly invented: number
  readonly receiver: Pick<Receiver, 'calls' | 'changed'>
  /** Records that the workers' counters have in the end. */
  readonly counted: number
  /** What `intermix ledger` says in the end. */
  readonly ledger: LedgerReport
  readonly drainedMs: number
  /** Calls of which acknowledged records are missing. */
  readonly incomplete: readonly Call[]
  /** Warnings and errors of all processes, by message. */
  readonly complaints: Readonly<Record<string, number>>
}

const STEP_MS = 500
/** How long the counters may take to follow when all is delivered. */
const STILL_MS = 20_000
const PLANT = new URL('plant.ts', import.meta.url).href

export async function chaosRun(options: ChaosOptions, defer: (end: () => Promise<unknown>) => void): Promise<Outcome> {
  const books = new Books()
  const receiver = await startReceiver(seededRandom(options.seed), (record) => books.arrived(record))
  defer(() => receiver.stop())
  const env = options.plant === undefined ? {} : { NODE_OPTIONS: `--import ${PLANT}`, [BREAK_VARIABLE]: options.plant }
  const { ack, fsync, maxMemoryBytes } = options
  const memory = ['--maxmemory', String(maxMemoryBytes), '--maxmemory-policy', 'noeviction']
  const redis = await startRedis(['--appendonly', 'yes', '--appendfsync', fsync, ...memory])
  defer(() => redis.stop())
  const redisFlags = ['--redis', redis.url, '--redis-prefix', 'chaos']
  const fleet = await Fleet.start({ config: chaosConfig(receiver.url), redisFlags, ack, env })
  defer(() => fleet.stop())
  receiver.failing = USUAL_FAILURES
  const senders = startSenders(books, fleet.nodes, options)
  await inflictAll({ fleet, redis, receiver, maxMemoryBytes }, options)
  await senders.stop()
  receiver.failing = 0
  await fleet.heal()
  const healedAt = performance.now()
  await drained(fleet, books, options.drainMs)
  const drainedMs = performance.now() - healedAt
  return {
    options,
    doors: Object.fromEntries(DOORS.map((door) => [door, books.counts(door)])) as Record<Door, DoorCounts>,
    delivered: books.delivered,
    missing: books.missing,
    doubled: books.doubled,
    invented: books.invented,
    receiver: { calls: receiver.calls, changed: receiver.changed },
    counted: await fleet.counted(),
    ledger: await tellLedger(fleet),
    drainedMs,
    incomplete: books.incomplete(),
    complaints: complaintsOf(fleet),
  }
}

async function inflictAll(scene: Scene, { faults, durationMs, onFault }: ChaosOptions): Promise<void> {
  const startedAt = performance.now()
  const passed = () => performance.now() - startedAt
  const targets = Map.groupBy(faults, ({ target }) => target).values()
  // Of one target, one after the other: what takes longer than planned holds up what comes after it.
  const each = async (own: readonly Fault[]) => {
    for (const fault of own) {
      await sleep(Math.max(0, fault.at - passed()))
      if (passed() > durationMs) return
      onFault?.(fault)
      await inflict(scene, fault)
    }
  }
  await Promise.all([...targets].map(each))
  await sleep(Math.max(0, durationMs - passed()))
}

/** Waits until nothing is on its way any more, nor moves. */
export async function drained(fleet: Fleet, books: Books, patienceMs: number): Promise<void> {
  const until = performance.now() + patienceMs
  let stillSince = performance.now()
  for (let before = books.delivered; ; before = books.delivered) {
    await sleep(STEP_MS)
    const ledger = await readLedger(fleet)
    const now = performance.now()
    if (books.delivered !== before || ledger === undefined || isUnderWay(ledger)) stillSince = now
    const isDone = now > stillSince && (await fleet.counted()) === books.arrivals
    if (isDone || now > until || now - stillSince > STILL_MS) return
  }
}

/** Warnings and errors of all processes, by message. */
export function complaintsOf(fleet: Fleet): Record<string, number> {
  const sums: Record<string, number> = {}
  for (const { complaints } of fleet.members) {
    for (const [message, count] of complaints) sums[message] = (sums[message] ?? 0) + count
  }
  return sums
}
