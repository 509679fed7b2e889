// What befalls a queue that nobody looks at: a worker that has gone deaf, jobs that were deleted or garbled in Redis.

import { Queue, Worker } from 'bullmq'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { IntermixError } from '../../src/kernel/errors.ts'
import type { RedisLink } from '../../src/redis/connection.ts'
import { createRedisClient, type RedisClient } from '../../src/redis/create-client.ts'
import { DeadLetters } from '../../src/telemetry/dead-letters.ts'
import { parcelOf } from '../../src/telemetry/parcel.ts'
import { queueNames } from '../../src/telemetry/queue-names.ts'
import { RedisLedger } from '../../src/telemetry/redis-ledger.ts'
import { ReportQueue } from '../../src/telemetry/report-queue.ts'
import type { WorkerTuning } from '../../workers/worker-context.ts'
import { WorkerRuntime } from '../../workers/worker-runtime.ts'
import { type RedisServer, startRedis } from '../helpers/redis.ts'
import { fixedRandom, KeptLog, ReadableMeter, realClock, testLink, until, untilUp } from '../redis/support.ts'
import { batchTo, CountingHandler, dispatchByName, jsonFormats, snapshotOf } from './support.ts'

const DELIVER_A = queueNames().deliver('a')
const TUNING = { maintenanceMs: 50, deafMs: 300, lockDurationMs: 1000, stalledIntervalMs: 60_000 }

let redis: RedisServer
let link: RedisLink
let admin: RedisClient
let queue: ReportQueue
let ledger: RedisLedger
let letters: DeadLetters
let log: KeptLog
let meter: ReadableMeter
let runtime: WorkerRuntime | undefined

beforeEach(async () => {
  redis = await startRedis()
  link = testLink(redis.url, 1000).link
  admin = createRedisClient({ url: redis.url }, { maxRetriesPerRequest: null, enableOfflineQueue: true })
  await untilUp(link)
  queue = new ReportQueue({ link, clock: realClock, log: new KeptLog(), meter: new ReadableMeter() })
  ledger = new RedisLedger(link)
  letters = new DeadLetters({ link, ledger })
  log = new KeptLog()
  meter = new ReadableMeter()
})

afterEach(async () => {
  vi.restoreAllMocks()
  await runtime?.stop(1000)
  runtime = undefined
  await letters.close()
  await queue.close()
  link.close()
  admin.disconnect()
  await redis.stop()
})

function start(handlers: Record<string, CountingHandler>, tuning: Partial<WorkerTuning> = {}): void {
  runtime = new WorkerRuntime({
    redis: { url: redis.url },
    link,
    clock: realClock,
    random: fixedRandom,
    log,
    meter,
    formats: jsonFormats,
    dispatchFor: dispatchByName,
    tuning: { ...TUNING, retries: { firstDelayMs: 600_000, maxDelayMs: 600_000, maxAgeMs: 3_600_000 }, ...tuning },
  })
  runtime.start(snapshotOf(Object.keys(handlers), 60_000), new Map(Object.entries(handlers)))
}

/** Adds a batch of so many records for handler `a`. */
async function add(count: number): Promise<string> {
  const parcel = parcelOf([batchTo('a', count)])
  const isAdded = () =>
    queue.add(parcel).then(
      () => true,
      () => false,
    )
  await until(isAdded, 'it is added')
  return parcel.id
}

const keyOf = (name: string, queueName = DELIVER_A) => `{${queueName}}:${queueName}:${name}`

/** Has the first worker of the queue wait in its loop for an answer that never comes; the next one hears. */
function goDeaf(): void {
  const loop = Worker.prototype as unknown as { _getNextJob: (this: Worker, ...given: unknown[]) => Promise<unknown> }
  const original = loop._getNextJob
  const deaf = new Set<Worker>()
  vi.spyOn(loop, '_getNextJob').mockImplementation(function (this: Worker, ...given) {
    if (this.name === DELIVER_A && deaf.size === 0) deaf.add(this)
    return deaf.has(this) ? new Promise(() => undefined) : original.apply(this, given)
  })
}

describe('a worker that takes nothing while jobs wait', () => {
  it('is replaced, warned about and counted, and the jobs flow again', async () => {
    goDeaf()
    const handler = new CountingHandler()
    start({ a: handler })
    await add(3)
    await until(() => handler.total === 3, 'it is delivered')
    // The deaf one is cut off when the time for what it has in work is over; not what it shares with all others.
    const end = performance.now() + 1.5 * TUNING.lockDurationMs
    for (let total = 4; performance.now() < end; total++) {
      await add(1)
      await until(() => handler.total === total, 'the next one is delivered')
    }
    expect(meter.value('report_workers_replaced_total', 'a')).toBe(1)
    expect(log.lines).toContainEqual(expect.stringMatching(/^warn jobs wait and none is taken.*"queue":"a"/))
  })

  it('is not one that has as much in work as it may have, nor one whose queue waits by itself', async () => {
    const handler = new CountingHandler()
    const gate = Promise.withResolvers<void>()
    const slow = { report: { metric: () => gate.promise } } as unknown as CountingHandler
    start({ a: slow, b: handler })
    for (let i = 0; i < 10; i++) await add(1)
    await until(() => meter.value('report_queue_jobs', 'a', 'active') === 4, 'four are in work')
    handler.failWith = () => new IntermixError('OVERLOADED', 'later', { retryAfterMs: 600_000 })
    const parcel = parcelOf([batchTo('b', 1)])
    await queue.add(parcel)
    await until(() => handler.calls === 1, 'the backend has asked for patience')
    await queue.add(parcelOf([batchTo('b', 1)]))
    await until(() => meter.value('report_queue_jobs', 'b', 'waiting') === 1, 'one waits for it')
    const age = () => meter.value('report_queue_oldest_seconds', 'a') * 1000
    await until(() => age() > 4 * TUNING.deafMs, 'they have been looked at for long')
    expect(meter.value('report_workers_replaced_total', 'a')).toBe(0)
    expect(meter.value('report_workers_replaced_total', 'b')).toBe(0)
    expect(meter.value('report_queue_jobs', 'a', 'waiting')).toBe(6)
    gate.resolve()
  })
})

describe('a job that was damaged in Redis', () => {
  /** The only job in the queue of handler `a`, which waits for its second try. */
  async function delayedJob(): Promise<string> {
    await until(async () => (await admin.zcard(keyOf('delayed'))) === 1, 'it waits for its next try')
    const [id = ''] = await admin.zrange(keyOf('delayed'), '0', '0')
    return id
  }

  /** Has a job be taken next. */
  async function promote(id: string): Promise<void> {
    await admin.zadd(keyOf('delayed'), '1', id)
    await admin.zadd(keyOf('marker'), '1', '1')
  }

  async function expectLetter(count: number, reason: RegExp): Promise<void> {
    await until(async () => (await letters.count()) === 1, 'what is left of it is a dead letter')
    const [letter] = await letters.list({ limit: 1 })
    expect(letter).toMatchObject({ handler: 'a', reason: expect.stringMatching(reason) })
    await until(async () => (await ledger.read()).get('a')?.deadLetters === count, 'its instances are accounted for')
    expect((await ledger.read()).get('a')).toMatchObject({ accepted: 3, held: 3 })
    await until(() => meter.value('report_jobs_damaged_total', 'a') === 1, 'it is counted')
    expect(log.lines).toContainEqual(expect.stringMatching(/^warn a job in the report queue is damaged/))
    await until(async () => (await admin.llen(keyOf('active'))) === 0, 'nothing is left of it')
  }

  function failing(): CountingHandler {
    const handler = new CountingHandler()
    handler.failWith = () => new IntermixError('BACKEND_FAILED', 'away')
    return handler
  }

  it('so that it cannot be read is found when it is taken, and accounted for by its batch', async () => {
    start({ a: failing() })
    await add(3)
    const id = await delayedJob()
    await admin.hset(keyOf(id), 'data', '{"version":1,"id":"ga')
    await promote(id)
    await expectLetter(3, /damaged in Redis.*no valid JSON/)
  })

  it('so that its data is none of a batch is found when it is taken', async () => {
    start({ a: failing() })
    await add(3)
    const id = await delayedJob()
    await admin.hset(keyOf(id), 'data', 'null')
    await promote(id)
    await expectLetter(3, /damaged in Redis/)
  })

  it('by being deleted while it waited is told of', async () => {
    start({ a: failing() })
    await add(3)
    const id = await delayedJob()
    await admin.del(keyOf(id))
    await promote(id)
    await expectLetter(0, /damaged in Redis: its data is gone/)
  })

  it('by being deleted while it was in work is told of, and leaves the list', async () => {
    const gate = Promise.withResolvers<void>()
    start({ a: { report: { metric: () => gate.promise } } as unknown as CountingHandler })
    await add(3)
    await until(async () => (await admin.llen(keyOf('active'))) === 1, 'it is in work')
    const [id = ''] = await admin.lrange(keyOf('active'), 0, 0)
    await admin.del(keyOf(id))
    gate.resolve()
    await until(() => meter.value('report_jobs_damaged_total', 'a') === 1, 'it is counted')
    await until(async () => (await admin.llen(keyOf('active'))) === 0, 'nothing is left of it')
    expect((await ledger.read()).get('a')).toMatchObject({ accepted: 3, delivered: 3, held: 0 })
  })

  it('so that there is something else in its place is found among the active ones', async () => {
    start({ a: failing() })
    await add(3)
    const id = await delayedJob()
    await admin.del(keyOf(id))
    await admin.set(keyOf(id), 'a text')
    await admin.zrem(keyOf('delayed'), id)
    await admin.rpush(keyOf('wait'), id)
    await admin.zadd(keyOf('marker'), '0', '0')
    await expectLetter(0, /damaged in Redis: its data is gone/)
  })

  it('hinders no other one', async () => {
    const handler = failing()
    start({ a: handler })
    await add(3)
    const id = await delayedJob()
    await admin.hset(keyOf(id), 'data', 'garbage')
    await promote(id)
    handler.failWith = undefined
    await add(2)
    await until(() => handler.total === 2, 'the next one is delivered')
    const jobs = new Queue(DELIVER_A, { connection: admin, prefix: queueNames().keyPrefix(DELIVER_A) })
    await until(async () => (await jobs.getActiveCount()) === 0, 'nothing is left')
    await jobs.close()
  })
})
