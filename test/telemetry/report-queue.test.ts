import { Queue } from 'bullmq'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { RedisLink } from '../../src/redis/connection.ts'
import { type Parcel, parcelFromJob } from '../../src/telemetry/parcel.ts'
import { ReportIntake } from '../../src/telemetry/report-intake.ts'
import { ReportQueue } from '../../src/telemetry/report-queue.ts'
import { REPORT_FORMATS } from '../../src/wire/report-formats.ts'
import { startFlakyProxy } from '../helpers/flaky-proxy.ts'
import { type RedisServer, startRedis } from '../helpers/redis.ts'
import { fixedRandom, KeptLog, ReadableMeter, realClock, testLink, until, untilUp } from '../redis/support.ts'
import { batchTo } from '../workers/support.ts'

let redis: RedisServer
let link: RedisLink
let queue: ReportQueue
let intake: ReportIntake
let meter: ReadableMeter

beforeEach(async () => {
  redis = await startRedis()
})

afterEach(async () => {
  await queue.close()
  link.close()
  await redis.stop()
})

interface OpenOptions {
  readonly url?: string
  readonly timeoutMs?: number
  readonly highWater?: number
}

function open({ url = redis.url, timeoutMs = 50, ...options }: OpenOptions = {}) {
  link = testLink(url, timeoutMs).link
  meter = new ReadableMeter()
  const ports = { clock: realClock, log: new KeptLog(), meter }
  queue = new ReportQueue({ link, ...ports, ...options })
  // Each batch of 100 is a job.
  const coalesce = { maxRecords: 100, maxWaitMs: 200 }
  intake = new ReportIntake({ sink: queue, formats: REPORT_FORMATS, ...ports, random: fixedRandom, coalesce })
}

/** Accepts batches and tells how long the longest took, in milliseconds. */
function accept(count: number): number {
  let longest = 0
  for (let i = 0; i < count; i++) {
    const batch = batchTo('a', 100)
    const started = performance.now()
    intake.accept(batch)
    longest = Math.max(longest, performance.now() - started)
  }
  return longest
}

async function queued(): Promise<Parcel[]> {
  await untilUp(link)
  const reader = testLink(redis.url, 5000).link
  await untilUp(reader)
  const jobs = new Queue('intermix-reports', { connection: reader.client, prefix: '{intermix-reports}' })
  const parcels = (await jobs.getJobs(['waiting'])).map((job) => parcelFromJob(job.data))
  await jobs.close()
  reader.close()
  return parcels
}

function balance() {
  const { accepted, delivered, held, dropped } = intake.totals()
  return accepted - delivered - held - Object.values(dropped).reduce((sum, count) => sum + count, 0)
}

async function drained() {
  await until(() => intake.totals().held === 0, 'all is handed on')
}

describe('reports on their way into Redis', () => {
  it('reach one that is 80 ms away, where a call may take that long', async () => {
    const far = await startFlakyProxy({ host: '127.0.0.1', port: redis.port })
    try {
      far.setLatency(40)
      open({ url: `redis://127.0.0.1:${far.port}`, timeoutMs: 500 })
      await untilUp(link)
      accept(20)
      await drained()
      expect(intake.totals()).toMatchObject({ accepted: 2000, delivered: 2000, dropped: {} })
      expect(meter.value('redis_calls_total', 'queue', 'timeout')).toBe(0)
      expect((await queued()).reduce((sum, parcel) => sum + parcel.count, 0)).toBe(2000)
    } finally {
      await far.close()
    }
  })

  it('are held while there is no Redis at the start, and queued once there is', async () => {
    await redis.kill()
    open()
    expect(accept(50)).toBeLessThan(1_000)
    expect(intake.totals()).toMatchObject({ accepted: 5000, held: 5000 })
    await redis.restart()
    await drained()
    expect(intake.totals()).toMatchObject({ accepted: 5000, delivered: 5000, dropped: {} })
    expect((await queued()).reduce((sum, parcel) => sum + parcel.count, 0)).toBe(5000)
  })

  it('are neither lost nor doubled when Redis is paused while they come in', async () => {
    open()
    await untilUp(link)
    accept(20)
    redis.pause()
    expect(accept(50)).toBeLessThan(1_000)
    await until(() => link.state() === 'down', 'the link sees it')
    expect(balance()).toBe(0)
    expect(intake.totals().held).toBeGreaterThan(0)
    redis.resume()
    await drained()
    expect(balance()).toBe(0)
    const ids = (await queued()).map((parcel) => parcel.id)
    expect(ids).toHaveLength(70)
    expect(new Set(ids).size).toBe(70)
  })

  it('are accounted for when Redis is killed and starts again while they come in', async () => {
    open()
    await untilUp(link)
    accept(20)
    await drained()
    await redis.kill()
    accept(30)
    expect(balance()).toBe(0)
    await redis.restart()
    accept(10)
    await drained()
    expect(intake.totals()).toMatchObject({ accepted: 6000, delivered: 6000, held: 0, dropped: {} })
    expect((await queued()).length).toBe(40)
  })

  it('are held back while the queue is full', async () => {
    open({ highWater: 10 })
    await untilUp(link)
    accept(20)
    await drained()
    await until(() => meter.value('reports_backpressure') === 1, 'the node holds back')
    accept(5)
    expect(intake.totals().held).toBe(500)
    const client = testLink(redis.url, 1000).link
    await untilUp(client)
    await client.run((to) => to.ltrim('{intermix-reports}:intermix-reports:wait', 0, 1))
    client.close()
    await drained()
    expect(balance()).toBe(0)
  })
})
