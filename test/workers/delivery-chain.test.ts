// What the chain asks of its queue, on real Redis: rests of a whole queue, batches in parts, order over several workers.

import { Queue } from 'bullmq'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Handler, ReportResult } from '../../src/adapter-kit/define-adapter.ts'
import type { ExportWishes } from '../../src/adapter-kit/exporter/limits.ts'
import type { Instance } from '../../src/adapter-kit/instance.ts'
import { IntermixError } from '../../src/kernel/errors.ts'
import type { RedisLink } from '../../src/redis/connection.ts'
import { createRedisClient } from '../../src/redis/create-client.ts'
import { DeadLetters } from '../../src/telemetry/dead-letters.ts'
import { batchToJob } from '../../src/telemetry/deliver-batch.ts'
import { parcelOf } from '../../src/telemetry/parcel.ts'
import { queueNames } from '../../src/telemetry/queue-names.ts'
import { RedisLedger } from '../../src/telemetry/redis-ledger.ts'
import { ReportQueue } from '../../src/telemetry/report-queue.ts'
import { WorkerRuntime } from '../../workers/worker-runtime.ts'
import { type RedisServer, startRedis } from '../helpers/redis.ts'
import { fixedRandom, KeptLog, ReadableMeter, realClock, testLink, until, untilUp } from '../redis/support.ts'
import { batchTo, CountingHandler, dispatchByName, jsonFormats, snapshotOf } from './support.ts'

let redis: RedisServer
let link: RedisLink
let ledger: RedisLedger
let letters: DeadLetters
const runtimes: WorkerRuntime[] = []

beforeEach(async () => {
  redis = await startRedis()
  link = testLink(redis.url, 1000).link
  await untilUp(link)
  ledger = new RedisLedger(link)
  letters = new DeadLetters({ link, ledger })
})

afterEach(async () => {
  await Promise.all(runtimes.splice(0).map((runtime) => runtime.stop(1000)))
  await letters.close()
  link.close()
  await redis.stop()
})

function startWorker(report: NonNullable<NonNullable<Handler['report']>['metric']>, reportLimits: ExportWishes = {}) {
  const handler: Handler = { report: { metric: report } }
  const runtime = new WorkerRuntime({
    redis: { url: redis.url },
    link,
    clock: realClock,
    random: fixedRandom,
    log: new KeptLog(),
    meter: new ReadableMeter(),
    formats: jsonFormats,
    dispatchFor: dispatchByName,
    tuning: { retries: { firstDelayMs: 10 }, maintenanceMs: 50 },
  })
  runtimes.push(runtime)
  runtime.start(snapshotOf(['a'], 1000, reportLimits), new Map([['a', handler]]))
}

async function addParcels(records: number, parcels = 1): Promise<void> {
  const queue = new ReportQueue({ link, clock: realClock, log: new KeptLog(), meter: new ReadableMeter() })
  for (let i = 0; i < parcels; i++) {
    const parcel = parcelOf([batchTo('a', records)])
    const add = () =>
      queue.add(parcel).then(
        () => true,
        () => false,
      )
    await until(add, 'the parcel is added')
  }
  await queue.close()
}

const totals = async () => (await ledger.read()).get('a')
const numbers = (instances: readonly Instance[]) =>
  instances.map(({ fields }) => Number((fields['dimensions'] as Record<string, string>)['n']))
const away = () => new IntermixError('BACKEND_FAILED', 'away')

describe('deliveries from Redis', () => {
  it('leave a backend in peace that is away, and deliver all when it is back', async () => {
    const handler = new CountingHandler()
    handler.failWith = away
    startWorker((instances, call) => handler.report.metric(instances, call))
    const since = realClock.monotonic()
    await addParcels(100, 100)
    // The tries of the fourth rest: 3 failures, then a probe after 0.75, 1.5 and 3 s.
    await until(() => handler.calls >= 6, 'it was probed', 20_000)
    const calls = handler.calls
    expect(realClock.monotonic() - since).toBeGreaterThan(2000)
    expect(calls).toBeLessThan(20)
    handler.failWith = undefined
    await until(async () => (await totals())?.delivered === 10_000, 'all is delivered', 30_000)
    expect(handler.total).toBe(10_000)
    expect(await totals()).toMatchObject({ accepted: 10_000, held: 0, deadLetters: 0 })
  })

  it('keep no more of a batch however often it fails, and with however long a text', async () => {
    const handler = new CountingHandler()
    handler.failWith = () => new IntermixError('BACKEND_FAILED', 'x'.repeat(50_000))
    startWorker((instances, call) => handler.report.metric(instances, call))
    await addParcels(1)
    await until(() => handler.calls >= 4, 'it has failed')
    const bytes = await link.run(async (client) => {
      const names = queueNames()
      const queue = names.deliver('a')
      const [job = ''] = await client.keys(`${names.keyPrefix(queue)}:${queue}:1`)
      return Object.values(await client.hgetall(job)).join('').length
    })
    expect(bytes).toBeGreaterThan(100)
    expect(bytes).toBeLessThan(5_000)
  })

  it('deliver, refuse and give again the parts of a batch, each under an id of its own, and count them once', async () => {
    const calls: { readonly id: string; readonly numbers: readonly number[] }[] = []
    startWorker((instances, { batchId }): ReportResult | undefined => {
      calls.push({ id: batchId, numbers: numbers(instances) })
      const part = calls.length < 3 ? numbers(instances) : []
      const failed = part.flatMap((n, index) =>
        n % 5 === 0 || n % 5 === 1 ? [{ index, reason: n % 5 === 0 ? 'no label' : 'busy', retry: n % 5 === 1 }] : [],
      )
      return failed.length === part.length ? undefined : { failed }
    })
    await addParcels(20)
    await until(async () => (await totals())?.delivered === 16, 'the rest is delivered')
    await until(async () => (await totals())?.deadLetters === 4, 'what was refused is a dead letter')
    expect(calls.map((call) => call.numbers)).toEqual([Array.from({ length: 20 }, (_, n) => n), [1, 6, 11, 16]])
    expect(calls[1]?.id).toBe(`${calls[0]?.id}-p1`)
    expect(await totals()).toMatchObject({ accepted: 20, delivered: 16, held: 4, deadLetters: 4 })
    const [letter] = await letters.list({ limit: 10 })
    expect(letter).toMatchObject({ id: `${calls[0]?.id}-x`, reason: 'no label', count: 4 })
    await letters.replay(letter?.id ?? '')
    await until(async () => (await totals())?.delivered === 20, 'the replay is delivered')
    expect(await totals()).toMatchObject({ accepted: 20, held: 0, deadLetters: 0 })
  })

  it('halve what is too large until the backend takes it, and bury what is too large alone', async () => {
    const taken: number[] = []
    const ids = new Set<string>()
    startWorker((instances, { batchId }) => {
      const list = numbers(instances)
      if (list.length > 3 || list.includes(7)) throw new IntermixError('TOO_LARGE', 'too large')
      ids.add(batchId)
      taken.push(...list)
    })
    await addParcels(20)
    await until(async () => (await totals())?.deadLetters === 1, 'one is a dead letter')
    await until(async () => (await totals())?.delivered === 19, 'the others are delivered')
    expect(taken.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, n) => n).filter((n) => n !== 7))
    expect([...ids].every((id) => /-[ab](-[ab])+$/.test(id))).toBe(true)
    expect(await totals()).toMatchObject({ accepted: 20, held: 1 })
  })

  it('keep the order where an adapter asks for it, over two workers and failures', async () => {
    const taken: number[] = []
    const load = { now: 0, most: 0 }
    let tries = 0
    const report = async (instances: readonly Instance[]) => {
      load.most = Math.max(load.most, ++load.now)
      await new Promise((resolve) => void realClock.after(2, () => resolve(undefined)))
      load.now--
      if (++tries % 3 === 0) throw away()
      taken.push(...numbers(instances))
    }
    const limits = { maxInstances: 5, ordered: true, concurrency: 8 }
    startWorker(report, limits)
    startWorker(report, limits)
    await addParcels(200)
    await until(() => taken.length === 200, 'all is delivered')
    expect(taken).toEqual(Array.from({ length: 200 }, (_, n) => n))
    expect(load.most).toBe(1)
  })

  it('do not deliver again what another worker has delivered and could not acknowledge', async () => {
    const first = new CountingHandler()
    startWorker((instances, call) => first.report.metric(instances, call))
    await addParcels(10)
    await until(async () => (await totals())?.delivered === 10, 'it is delivered')
    await Promise.all(runtimes.splice(0).map((runtime) => runtime.stop(1000)))
    // As if the acknowledgement had been lost: the job is there again, and was started before.
    const [id = ''] = first.batches.keys()
    const name = queueNames().deliver('a')
    const connection = createRedisClient({ url: redis.url }, { maxRetriesPerRequest: null, enableOfflineQueue: true })
    const queue = new Queue(name, { connection, prefix: queueNames().keyPrefix(name) })
    const instances = [{ name: 'requests', template: 'metric', fields: { value: 1n } }]
    const job = await queue.add(
      'deliver',
      batchToJob({ id, handler: 'a', template: 'metric', count: 1, replays: 0, instances }),
    )
    await connection.hset(`${queueNames().keyPrefix(name)}:${name}:${job.id}`, 'ats', 1)
    const second = new CountingHandler()
    startWorker((instances, call) => second.report.metric(instances, call))
    await until(async () => (await queue.getJobCounts('wait', 'active', 'completed'))['wait'] === 0, 'it is taken')
    await until(async () => (await queue.getActiveCount()) === 0, 'it is done with')
    expect(second.calls).toBe(0)
    expect(await totals()).toMatchObject({ accepted: 10, delivered: 10, held: 0 })
    await queue.close()
    connection.disconnect()
  })
})
