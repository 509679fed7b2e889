import { Queue, UnrecoverableError, Worker } from 'bullmq'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Handler } from '../../src/adapter-kit/define-adapter.ts'
import type { ExportWishes } from '../../src/adapter-kit/exporter/limits.ts'
import { IntermixError } from '../../src/kernel/errors.ts'
import type { RedisLink } from '../../src/redis/connection.ts'
import { createRedisClient } from '../../src/redis/create-client.ts'
import { DeadLetters } from '../../src/telemetry/dead-letters.ts'
import { type Parcel, parcelOf } from '../../src/telemetry/parcel.ts'
import { queueNames } from '../../src/telemetry/queue-names.ts'
import { RedisLedger } from '../../src/telemetry/redis-ledger.ts'
import { ReportQueue } from '../../src/telemetry/report-queue.ts'
import type { WorkerTuning } from '../../workers/worker-context.ts'
import { WorkerRuntime } from '../../workers/worker-runtime.ts'
import { type RedisServer, startRedis } from '../helpers/redis.ts'
import { fixedRandom, KeptLog, ReadableMeter, realClock, testLink, until, untilUp } from '../redis/support.ts'
import { batchTo, CountingHandler, dispatchByName, jsonFormats, snapshotOf } from './support.ts'

let redis: RedisServer
let link: RedisLink
let queue: ReportQueue
let ledger: RedisLedger
let letters: DeadLetters
const runtimes: WorkerRuntime[] = []

beforeEach(async () => {
  redis = await startRedis()
  link = testLink(redis.url, 1000).link
  await untilUp(link)
  queue = new ReportQueue({ link, clock: realClock, log: new KeptLog(), meter: new ReadableMeter() })
  ledger = new RedisLedger(link)
  letters = new DeadLetters({ link, ledger })
})

afterEach(async () => {
  await Promise.all(runtimes.splice(0).map((runtime) => runtime.stop(1000)))
  await letters.close()
  await queue.close()
  link.close()
  await redis.stop()
})

function startRuntime(
  handlers: Record<string, Handler>,
  options: {
    tuning?: Partial<WorkerTuning>
    max?: number
    log?: KeptLog
    reportLimits?: ExportWishes
  } = {},
) {
  const runtime = new WorkerRuntime({
    redis: { url: redis.url },
    link,
    clock: realClock,
    random: fixedRandom,
    log: options.log ?? new KeptLog(),
    meter: new ReadableMeter(),
    formats: jsonFormats,
    dispatchFor: dispatchByName,
    ...(options.max === undefined ? {} : { maxDeadLetters: options.max }),
    tuning: { retries: { firstDelayMs: 10 }, maintenanceMs: 50, orphanGraceMs: 100, ...options.tuning },
  })
  runtimes.push(runtime)
  runtime.start(snapshotOf(Object.keys(handlers), 1000, options.reportLimits), new Map(Object.entries(handlers)))
  return runtime
}

/** Adds as the intake does: again when Redis was too slow. */
async function add(parcel: Parcel): Promise<void> {
  await until(
    () =>
      queue.add(parcel).then(
        () => true,
        () => false,
      ),
    'the parcel is added',
  )
}

async function totals(handler: string) {
  return (await ledger.read()).get(handler)
}

describe('workers', () => {
  it('deliver every record to its handler and count it', async () => {
    const [a, b] = [new CountingHandler(), new CountingHandler()]
    await add(parcelOf([batchTo('a', 2500), batchTo('b', 3)]))
    startRuntime({ a, b })
    await until(() => a.total === 2500 && b.total === 3, 'all is delivered')
    expect(a.batches.size).toBe(3)
    await until(async () => (await totals('a'))?.held === 0 && (await totals('b'))?.held === 0, 'all is counted')
    expect(await totals('a')).toMatchObject({ accepted: 2500, delivered: 2500, held: 0, deadLetters: 0, dropped: {} })
    expect(await totals('fan-out')).toMatchObject({ accepted: 2503, delivered: 2503, held: 0 })
  })

  it('take a parcel once, however often it is added', async () => {
    const handler = new CountingHandler()
    const parcel = parcelOf([batchTo('a', 5)])
    await Promise.all([add(parcel), add(parcel)])
    startRuntime({ a: handler })
    await until(() => handler.total === 5, 'it is delivered')
    await add(parcel)
    await add(parcelOf([batchTo('a', 1)]))
    await until(() => handler.total === 6, 'the next one is delivered')
    expect(handler.calls).toBe(2)
  })

  it('do nothing for a parcel that comes again after its batches have ended, and keep no key for any of them', async () => {
    const [good, bad] = [new CountingHandler(), new CountingHandler()]
    bad.failWith = () => new IntermixError('BACKEND_REFUSED', 'no')
    const parcel = parcelOf([batchTo('good', 5), batchTo('bad', 3)])
    await add(parcel)
    startRuntime({ good, bad })
    await until(async () => (await totals('bad'))?.deadLetters === 3, 'one is a dead letter')
    await until(async () => (await totals('good'))?.delivered === 5, 'the other one is delivered')
    const keys = () => link.run((client) => client.keys('*:de:*'))
    await until(async () => (await keys()).length === 0, 'no id is remembered in a key of its own')
    bad.failWith = undefined
    await add(parcel)
    await add(parcelOf([batchTo('good', 1)]))
    await until(() => good.total === 6, 'the next one is delivered')
    expect([good.calls, bad.calls, await letters.count()]).toEqual([2, 1, 1])
  })

  it('try again after a passing failure with the same batch id', async () => {
    const handler = new CountingHandler()
    const ids: string[] = []
    const flaky: Handler = {
      report: {
        metric: (instances, call) => {
          ids.push(call.batchId)
          if (ids.length < 3) throw new IntermixError('BACKEND_FAILED', 'away')
          handler.report.metric(instances, call)
        },
      },
    }
    await add(parcelOf([batchTo('a', 4)]))
    startRuntime({ a: flaky })
    await until(() => handler.total === 4, 'the third try delivers')
    expect(new Set(ids).size).toBe(1)
  })

  it('tell when a backend takes no reports, before anything is a dead letter, and when it does again', async () => {
    const log = new KeptLog()
    const handler = new CountingHandler()
    handler.failWith = () => {
      if (handler.calls === 4) handler.failWith = undefined
      return new IntermixError('BACKEND_FAILED', 'away')
    }
    await add(parcelOf([batchTo('a', 4)]))
    startRuntime({ a: handler }, { log, tuning: { retries: { firstDelayMs: 10 } } })
    await until(() => handler.total === 4, 'the fifth try delivers')
    await until(() => log.lines.length === 2, 'both lines are there')
    expect(log.lines).toEqual([
      expect.stringMatching(/^warn reports are not delivered.*away/),
      expect.stringMatching(/^warn reports are delivered again/),
    ])
  })

  it('make dead letters: at once for permanent errors, when a batch is too old otherwise', async () => {
    const permanent = new CountingHandler()
    permanent.failWith = () => new IntermixError('BACKEND_REFUSED', 'schema mismatch')
    const passing = new CountingHandler()
    passing.failWith = () => new Error('boom')
    await add(parcelOf([batchTo('permanent', 2), batchTo('passing', 3)]))
    startRuntime({ permanent, passing }, { tuning: { retries: { firstDelayMs: 10, maxAgeMs: 200 } } })
    await until(async () => (await letters.count()) === 2, 'both are dead letters')
    expect(permanent.calls).toBe(1)
    expect(passing.calls).toBeGreaterThan(1)
    const [letter] = await letters.list({ handler: 'passing', limit: 10 })
    expect(letter).toMatchObject({ target: 'backend:80' })
    expect(letter).toMatchObject({ template: 'metric', reason: 'boom', attempts: passing.calls, count: 3, replays: 0 })
    expect(letter?.lastFailureAt).toBeGreaterThan(letter?.firstFailureAt ?? 0)
    await until(async () => (await totals('passing'))?.deadLetters === 3, 'it is counted')
    expect(await totals('passing')).toMatchObject({ accepted: 3, delivered: 0, held: 3 })
  })

  it('wait as long as a backend asks for', async () => {
    const handler = new CountingHandler()
    handler.failWith = () => new IntermixError('OVERLOADED', 'too many requests', { retryAfterMs: 600_000 })
    await add(parcelOf([batchTo('a', 2)]))
    startRuntime({ a: handler })
    const name = queueNames().deliver('a')
    const connection = createRedisClient({ url: redis.url }, { maxRetriesPerRequest: null })
    const jobs = new Queue(name, { connection, prefix: queueNames().keyPrefix(name) })
    await until(async () => (await jobs.getDelayedCount()) === 1, 'the batch waits')
    const [job] = await jobs.getDelayed()
    expect(job).toMatchObject({ delay: 600_000, attemptsMade: 1, failedReason: 'too many requests' })
    await jobs.close()
    connection.disconnect()
    expect(handler.calls).toBe(1)
    expect(await totals('a')).toMatchObject({ accepted: 2, held: 2, deadLetters: 0 })
  })

  it('give an adapter no more instances and calls at once, and try no longer, than it wants', async () => {
    const handler = new CountingHandler()
    const sizes: number[] = []
    const load = { now: 0, most: 0 }
    let gate = Promise.resolve()
    const slow: Handler = {
      report: {
        metric: async (instances, call) => {
          load.most = Math.max(load.most, ++load.now)
          await gate
          load.now--
          sizes.push(instances.length)
          handler.report.metric(instances, call)
        },
      },
    }
    const retries = { firstDelayMs: 1, maxAgeMs: 100 }
    await add(parcelOf([batchTo('a', 100)]))
    const runtime = startRuntime({ a: slow }, { reportLimits: { maxInstances: 40, concurrency: 1, retries } })
    await until(() => handler.total === 100, 'all is delivered')
    expect(sizes.toSorted((a, b) => a - b)).toEqual([20, 40, 40])
    expect(load.most).toBe(1)
    handler.failWith = () => new Error('away')
    await add(parcelOf([batchTo('a', 1)]))
    await until(async () => (await letters.count()) === 1, 'it is a dead letter')
    handler.failWith = undefined
    const opened = Promise.withResolvers<void>()
    gate = opened.promise
    runtime.reload(snapshotOf(['a'], 60_000, { maxInstances: 10, concurrency: 4 }), new Map([['a', slow]]))
    await add(parcelOf([batchTo('a', 60)]))
    await until(() => load.most === 4, 'four are under way')
    opened.resolve()
    await until(() => handler.total === 160, 'all is delivered')
    expect(load.most).toBe(4)
  })

  it('deliver replayed dead letters under the same batch id, and count dropped ones', async () => {
    const handler = new CountingHandler()
    handler.failWith = () => new IntermixError('BACKEND_REFUSED', 'no')
    await add(parcelOf([batchTo('a', 2)]))
    await add(parcelOf([batchTo('a', 3)]))
    startRuntime({ a: handler })
    await until(async () => (await totals('a'))?.deadLetters === 5, 'both are dead letters')
    const [first, second] = await letters.list({ limit: 10 })
    handler.failWith = undefined
    await letters.replay(first?.id ?? '')
    await letters.drop(second?.id ?? '')
    const count = first?.count ?? 0
    await until(() => handler.batches.get(first?.id ?? '') === count, 'it is delivered')
    await until(async () => (await totals('a'))?.held === 0, 'it is counted')
    expect(await totals('a')).toMatchObject({
      accepted: 5,
      delivered: count,
      held: 0,
      deadLetters: 0,
      dropped: { operator: 5 - count },
    })
    await expect(letters.replay('nothing')).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it('bound the dead letters, dropping the oldest', async () => {
    const handler = new CountingHandler()
    handler.failWith = () => new IntermixError('BACKEND_REFUSED', 'no')
    startRuntime({ a: handler }, { max: 3, tuning: { concurrency: 1 } })
    for (let i = 0; i < 8; i++) await add(parcelOf([batchTo('a', 1)]))
    await until(async () => ((await totals('a'))?.dropped['dead-letters-full'] ?? 0) === 5, 'five are dropped')
    await until(async () => (await letters.count()) === 3, 'three are left')
    expect(await totals('a')).toMatchObject({ accepted: 8, held: 3, deadLetters: 3 })
  })

  it('make a dead letter of what cannot be decoded and go on; a replay reads it again', async () => {
    const handler = new CountingHandler()
    const bad = { ...batchTo('a', 7), payload: Buffer.from('no JSON') }
    await add(parcelOf([bad, batchTo('a', 2)]))
    startRuntime({ a: handler })
    await until(() => handler.total === 2, 'the good batch is delivered')
    await until(async () => (await letters.count()) === 1, 'the bad one is a dead letter')
    await until(async () => (await totals('fan-out'))?.delivered === 2, 'the other one is counted')
    await until(async () => (await totals('fan-out'))?.deadLetters === 7, 'it is counted')
    expect(await totals('fan-out')).toMatchObject({ accepted: 9, delivered: 2, held: 7, deadLetters: 7 })
    await letters.replay(bad.id)
    const again = `${bad.id}-r1`
    await until(async () => (await letters.get(again))?.replays === 1, 'it is dead again')
    await until(async () => (await totals('fan-out'))?.deadLetters === 7, 'it is counted again')
    expect(await letters.count()).toBe(1)
    expect(await totals('fan-out')).toMatchObject({ accepted: 9, delivered: 2, held: 7, deadLetters: 7 })
    expect((await letters.get(again))?.reason).toContain('not valid JSON')
  })

  it('bound a call that does not come back', async () => {
    const stuck: Handler = { report: { metric: () => new Promise(() => undefined) } }
    await add(parcelOf([batchTo('a', 1)]))
    const runtime = startRuntime({}, { tuning: { retries: { maxAgeMs: 0 }, orphanGraceMs: 60_000 } })
    runtime.reload(snapshotOf(['a'], 50), new Map([['a', stuck]]))
    await until(async () => (await letters.count()) === 1, 'it is a dead letter')
    expect((await letters.list({ limit: 1 }))[0]?.reason).toContain('longer than 50 ms')
  })

  it('make dead letters of jobs that BullMQ itself gave up', async () => {
    const handler = new CountingHandler()
    handler.failWith = () => new Error('away')
    const first = startRuntime({ a: handler }, { tuning: { retries: { firstDelayMs: 50 } } })
    await add(parcelOf([batchTo('a', 6)]))
    await until(() => handler.calls > 0, 'the first try has failed')
    await first.stop(1000)
    const name = queueNames().deliver('a')
    const connection = createRedisClient({ url: redis.url }, { maxRetriesPerRequest: null, enableOfflineQueue: true })
    const killer = new Worker(name, () => Promise.reject(new UnrecoverableError('stalled too often')), {
      connection,
      prefix: queueNames().keyPrefix(name),
    })
    await new Promise((resolve) => killer.on('failed', resolve))
    await killer.close()
    connection.disconnect()
    startRuntime({ a: new CountingHandler() })
    await until(async () => (await letters.count()) === 1, 'it is a dead letter')
    expect((await letters.list({ limit: 1 }))[0]).toMatchObject({ reason: 'stalled too often', count: 6 })
  })

  it('survive a Redis that is paused', async () => {
    const handler = new CountingHandler()
    startRuntime({ a: handler })
    await add(parcelOf([batchTo('a', 1)]))
    await until(() => handler.total === 1, 'it is delivered')
    redis.pause()
    await until(
      () =>
        link
          .run((client) => client.ping())
          .then(
            () => false,
            () => link.state() === 'down',
          ),
      'it is down',
    )
    redis.resume()
    await untilUp(link)
    await add(parcelOf([batchTo('a', 1)]))
    await until(() => handler.total === 2, 'the next one is delivered')
  })
})
