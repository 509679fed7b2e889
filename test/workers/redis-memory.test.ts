// A Redis with little memory: nodes and workers together must never fill it, and must outlast that somebody else does.

import { Queue } from 'bullmq'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { IntermixError } from '../../src/kernel/errors.ts'
import type { ReportBatch } from '../../src/kernel/report.ts'
import type { RedisLink } from '../../src/redis/connection.ts'
import { createRedisClient, type RedisClient } from '../../src/redis/create-client.ts'
import { DeadLetters } from '../../src/telemetry/dead-letters.ts'
import { jobOptions } from '../../src/telemetry/job-options.ts'
import { type Parcel, parcelOf, parcelToJob } from '../../src/telemetry/parcel.ts'
import { QueueStanding } from '../../src/telemetry/queue-standing.ts'
import { RedisLedger } from '../../src/telemetry/redis-ledger.ts'
import { ReportQueue } from '../../src/telemetry/report-queue.ts'
import { WorkerRuntime } from '../../workers/worker-runtime.ts'
import { type RedisServer, startRedis } from '../helpers/redis.ts'
import { fixedRandom, KeptLog, ReadableMeter, realClock, testLink, until, untilUp } from '../redis/support.ts'
import { batchTo, CountingHandler, dispatchByName, jsonFormats, snapshotOf } from './support.ts'

const MAX_MEMORY = 20 * 1024 * 1024
const PATIENCE_MS = 60_000

let redis: RedisServer
let link: RedisLink
let admin: RedisClient
let queue: ReportQueue
let nodeMeter: ReadableMeter
let nodeStanding = ''
let workerStanding = ''
let runtime: WorkerRuntime | undefined

beforeEach(async () => {
  redis = await startRedis({ args: ['--maxmemory', String(MAX_MEMORY), '--maxmemory-policy', 'noeviction'] })
  link = testLink(redis.url, 1000).link
  admin = createRedisClient({ url: redis.url }, { maxRetriesPerRequest: null, enableOfflineQueue: true })
  admin.on('error', () => undefined)
  await untilUp(link)
  nodeMeter = new ReadableMeter()
  const standing = new QueueStanding(new KeptLog(), (detail) => (nodeStanding = detail))
  queue = new ReportQueue({ link, clock: realClock, log: new KeptLog(), meter: nodeMeter, standing })
})

afterEach(async () => {
  await runtime?.stop(1000)
  runtime = undefined
  await queue.close()
  link.close()
  admin.disconnect()
  await redis.stop()
})

function start(handlers: Record<string, CountingHandler>, log = new KeptLog()): ReadableMeter {
  const meter = new ReadableMeter()
  runtime = new WorkerRuntime({
    redis: { url: redis.url },
    link,
    clock: realClock,
    random: fixedRandom,
    log,
    meter,
    formats: jsonFormats,
    dispatchFor: dispatchByName,
    standing: new QueueStanding(log, (detail) => (workerStanding = detail)),
    tuning: { retries: { firstDelayMs: 10, maxDelayMs: 500, maxAgeMs: 3_600_000 }, maintenanceMs: 200 },
  })
  runtime.start(snapshotOf(Object.keys(handlers)), new Map(Object.entries(handlers)))
  return meter
}

/** Records that take more than they have to do with. */
function wideBatch(to: string, count: number): ReportBatch {
  const records = Array.from({ length: count }, (_, n) => ({ to, n: String(n), unused: 'x'.repeat(50) }))
  return { ...batchTo(to, count), payload: Buffer.from(JSON.stringify(records)) }
}

/** Adds as an intake does: a few at once, each again until it is taken. */
async function addAll(parcels: readonly Parcel[]): Promise<void> {
  const left = [...parcels]
  const add = async () => {
    for (let parcel = left.shift(); parcel !== undefined; parcel = left.shift()) {
      const next = parcel
      const isAdded = () =>
        queue.add(next).then(
          () => true,
          () => false,
        )
      await until(async () => queue.ready() && (await isAdded()), 'it is added', PATIENCE_MS)
    }
  }
  await Promise.all(Array.from({ length: 16 }, add))
}

/** Watches Redis closely until it is told to stop: the most memory that was in use, and writes refused for lack of it. */
function watchMemory(): { readonly stop: () => Promise<{ readonly most: number; readonly refused: number }> } {
  let stopped = false
  let most = 0
  const isOver = async () => {
    most = Math.max(most, await used())
    return stopped
  }
  const watching = until(isOver, 'the watch is over', 2 * PATIENCE_MS)
  return {
    async stop() {
      stopped = true
      await watching
      const refused = Number(/^errorstat_OOM:count=(\d+)/m.exec(await admin.info('errorstats'))?.[1] ?? 0)
      return { most, refused }
    },
  }
}

async function used(): Promise<number> {
  return Number(/^used_memory:(\d+)/m.exec(await admin.info('memory'))?.[1])
}

/** Fills the memory with a key that is none of ours. */
async function fill(share: number): Promise<void> {
  for (let serial = 0; ; serial++) {
    const missing = share * MAX_MEMORY - (await used())
    if (missing < 1024) return
    // Large values take more than they hold, and are there twice while they are read.
    await admin.set(`foreign-${serial}`, Buffer.alloc(Math.min(32_768, Math.max(256, Math.floor(missing / 3)))))
  }
}

async function unfill(): Promise<void> {
  await admin.del(...(await admin.keys('foreign-*')))
}

async function totals(handler: string) {
  return (await new RedisLedger(link).read()).get(handler)
}

async function deadLetters(): Promise<number> {
  const letters = new DeadLetters({ link, ledger: new RedisLedger(link) })
  const count = await letters.count()
  await letters.close()
  return count
}

describe('a Redis with 20 MB', () => {
  it('is not filled by what a node has held while it was away, and workers finish', async () => {
    const parcels = Array.from({ length: 700 }, () => parcelOf([wideBatch('a', 300)]))
    const bytes = parcels.reduce((sum, parcel) => sum + parcel.bytes, 0)
    expect((bytes * 4) / 3).toBeGreaterThan(MAX_MEMORY)
    await redis.kill()
    await until(() => link.state() === 'down', 'it is away')
    const added = addAll(parcels)
    await redis.restart()
    await untilUp(link)
    const memory = watchMemory()
    await until(() => nodeMeter.value('reports_backpressure') === 1, 'the node holds back', PATIENCE_MS)
    expect(nodeStanding).toMatch(/^degraded: Redis is nearly full, \d+ % of its 20 MB of memory are used/)
    const handler = new CountingHandler()
    start({ a: handler })
    await added
    await until(() => handler.total === 210_000, 'all is delivered', PATIENCE_MS)
    const { most, refused } = await memory.stop()
    expect(refused).toBe(0)
    expect(most).toBeLessThan(MAX_MEMORY)
    expect(await deadLetters()).toBe(0)
    await until(() => nodeStanding === 'ok', 'the node says that all is well')
  })

  it('has room for all handlers while the backend of one is away for long', async () => {
    const [good, bad] = [new CountingHandler(), new CountingHandler()]
    bad.failWith = () => new IntermixError('BACKEND_FAILED', 'away')
    const log = new KeptLog()
    start({ good, bad }, log)
    const memory = watchMemory()
    await addAll(Array.from({ length: 1000 }, () => parcelOf([batchTo('good', 50), batchTo('bad', 50)])))
    await until(() => good.total === 50_000, 'the other one gets all of its own', PATIENCE_MS)
    await until(async () => (await totals('bad'))?.accepted === 50_000, 'all is evaluated')
    const share = MAX_MEMORY / 4
    const { held = 0, dropped = {}, bytes = 0 } = (await totals('bad')) ?? {}
    expect(dropped['queue-full']).toBeGreaterThan(0)
    expect(held + (dropped['queue-full'] ?? 0)).toBe(50_000)
    expect(bytes).toBeLessThanOrEqual(share)
    expect(bytes).toBeGreaterThan(share / 2)
    expect((await totals('good'))?.dropped).toEqual({})
    const { most, refused } = await memory.stop()
    expect(refused).toBe(0)
    expect(most).toBeLessThan(0.85 * MAX_MEMORY)
    await until(() => workerStanding.includes('as much waits for bad as may'), 'the worker says so')
    expect(log.lines.length).toBeLessThan(20)
    bad.failWith = undefined
    await until(() => bad.total === held, 'what was held is delivered', PATIENCE_MS)
    expect(await deadLetters()).toBe(0)
  })

  it('is left to deliveries when others fill it, and all goes on once there is room', async () => {
    const handler = new CountingHandler()
    handler.failWith = () => new IntermixError('BACKEND_FAILED', 'not yet')
    start({ a: handler })
    await addAll(Array.from({ length: 20 }, () => parcelOf([batchTo('a', 10)])))
    await until(async () => (await totals('a'))?.held === 200, 'all waits for the handler')
    await fill(0.99)
    await until(() => workerStanding.includes('the fan-out waits'), 'the fan-out says that it waits')
    const jobs = new Queue('intermix-reports', { connection: admin, prefix: '{intermix-reports}' })
    const parcels = Array.from({ length: 3 }, () => parcelOf([batchTo('a', 1)]))
    for (const parcel of parcels) await jobs.add('reports', parcelToJob(parcel), jobOptions(parcel.id))
    handler.failWith = undefined
    await until(() => handler.total === 200, 'what waited is delivered', 20_000)
    // BullMQ was waiting for the next job when it was told to stop, and has taken it; it is not looked into.
    expect(await jobs.getWaitingCount()).toBeGreaterThanOrEqual(2)
    expect(await totals('a')).toMatchObject({ accepted: 200, delivered: 200 })
    await until(() => !queue.ready(), 'the node holds back')
    expect(nodeStanding).toMatch(/^degraded: Redis is nearly full.*held in this node until/)
    await expect(queue.add(parcelOf([batchTo('a', 1)]))).rejects.toMatchObject({ code: 'OVERLOADED' })
    await unfill()
    await until(() => handler.total === 203, 'the fan-out goes on', 20_000)
    await addAll([parcelOf([batchTo('a', 1)])])
    await until(() => handler.total === 204, 'so does the node')
    await until(() => workerStanding === 'ok' && nodeStanding === 'ok', 'both say so')
    await jobs.close()
    expect(await totals('a')).toMatchObject({ accepted: 204, held: 0, deadLetters: 0, dropped: {} })
  })

  it('may be full to the last byte: nothing becomes a dead letter, nothing spins, and all goes on', async () => {
    const handler = new CountingHandler()
    handler.failWith = () => new IntermixError('BACKEND_FAILED', 'not yet')
    start({ a: handler })
    await addAll(Array.from({ length: 20 }, () => parcelOf([batchTo('a', 10)])))
    await until(async () => (await totals('a'))?.held === 200, 'all waits for the handler')
    await fill(0.98)
    // One write may go beyond the limit, as far as it wants.
    await admin.setbit('foreign-last', (MAX_MEMORY / 10) * 8, 1)
    expect(await used()).toBeGreaterThan(MAX_MEMORY)
    handler.failWith = undefined
    await until(() => workerStanding.includes('Redis is full'), 'the worker says so')
    await admin.config('RESETSTAT')
    const calls = async (command: string) =>
      Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(await admin.info('commandstats'))?.[1] ?? 0)
    await until(async () => (await calls('llen')) > 60, 'it has been looked at for long')
    // Each look counts at least one list; what workers would try comes on top.
    expect(await calls('evalsha')).toBeLessThan(await calls('llen'))
    await unfill()
    await until(() => handler.total === 200, 'all is delivered', 20_000)
    await until(async () => (await totals('a'))?.held === 0, 'all is counted', 20_000)
    expect(await deadLetters()).toBe(0)
    await until(() => workerStanding === 'ok', 'the worker says that all is well')
  })

  it('keeps of dead letters what fits into their share, and drops the oldest', async () => {
    const handler = new CountingHandler()
    handler.failWith = () => new IntermixError('BACKEND_REFUSED', 'no')
    const meter = start({ a: handler })
    const parcels = Array.from({ length: 60 }, () => parcelOf([batchTo('a', 300)]))
    await addAll(parcels)
    await until(async () => (await totals('a'))?.accepted === 18_000, 'all is evaluated', PATIENCE_MS)
    const isDead = async () => {
      const { deadLetters: dead = 0, dropped = {} } = (await totals('a')) ?? {}
      return dead + (dropped['dead-letters-full'] ?? 0) === 18_000
    }
    await until(isDead, 'all is dead or dropped', PATIENCE_MS)
    const fits = async () => ((await totals('a'))?.deadBytes ?? 0) <= 0.08 * MAX_MEMORY
    await until(fits, 'they fit')
    // One that is dropped is out of the ledger before it is out of the queue.
    const agrees = async () => (await deadLetters()) === ((await totals('a'))?.deadLetters ?? 0) / 300
    await until(agrees, 'the queue holds as many as the ledger')
    const { deadBytes = 0, deadLetters: dead = 0 } = (await totals('a')) ?? {}
    expect(deadBytes).toBeGreaterThan(0.04 * MAX_MEMORY)
    await until(() => meter.value('report_dead_letter_bytes') === deadBytes, 'the gauge shows their bytes')
    await until(() => meter.value('report_dead_letters') === dead / 300, 'the gauge shows their number')
  })

  it('is warned about when it would throw reports away', async () => {
    await admin.config('SET', 'maxmemory-policy', 'allkeys-lru')
    await until(
      () => nodeStanding.includes('set maxmemory-policy to noeviction, not allkeys-lru'),
      'the node says so',
      PATIENCE_MS,
    )
    await admin.config('SET', 'maxmemory-policy', 'noeviction')
    // A node that nobody reports to looks at its queue now and then only.
    await until(() => nodeStanding === 'ok', 'it is well', PATIENCE_MS)
  })
})
