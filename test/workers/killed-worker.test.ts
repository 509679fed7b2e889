import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, it } from 'vitest'
import type { RedisLink } from '../../src/redis/connection.ts'
import { parcelOf } from '../../src/telemetry/parcel.ts'
import { RedisLedger } from '../../src/telemetry/redis-ledger.ts'
import { ReportQueue } from '../../src/telemetry/report-queue.ts'
import { type Child, spawnChild } from '../helpers/process.ts'
import { type RedisServer, startRedis } from '../helpers/redis.ts'
import { KeptLog, ReadableMeter, realClock, testLink, until, untilUp } from '../redis/support.ts'
import { batchTo } from './support.ts'

const PROCESS = fileURLToPath(new URL('./worker-process.ts', import.meta.url))
const PARCELS = 600
const RECORDS = 25

let redis: RedisServer | undefined
let link: RedisLink | undefined
let queue: ReportQueue | undefined
const workers: Child[] = []

afterEach(async () => {
  await Promise.all(workers.splice(0).map((worker) => worker.kill()))
  await queue?.close()
  link?.close()
  await redis?.stop()
})

async function startWorker(url: string): Promise<{ child: Child; port: string }> {
  const child = await spawnChild(process.execPath, [PROCESS, url, '1000'])
  workers.push(child)
  const [, port = ''] = await child.waitForOutput(/port (\d+)/)
  return { child, port }
}

/** The sum of the counter over all series of a process, and how many registers they come from. */
async function counted(port: string) {
  const text = await fetch(`http://127.0.0.1:${port}/metrics`).then((response) => response.text())
  const series = [...text.matchAll(/^istio_requests_total\{n="(\d+)",worker="([^"]+)"\} (\d+)$/gm)]
  return {
    sum: series.reduce((sum, match) => sum + Number(match[3]), 0),
    workers: new Set(series.map((match) => match[2])).size,
  }
}

/** Adds parcels one after the other, as the intake does: again when Redis was too slow. */
async function addParcels(target: ReportQueue, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const parcel = parcelOf([batchTo('prom', RECORDS)])
    const add = () =>
      target.add(parcel).then(
        () => true,
        () => false,
      )
    await until(add, 'the parcel is added')
  }
}

describe('a worker that is killed half-way', () => {
  it('leaves counters that equal the number of records to the unit', async () => {
    redis = await startRedis()
    const opened = testLink(redis.url, 2000).link
    link = opened
    await untilUp(opened)
    const reader = testLink(redis.url, 2000).link
    await untilUp(reader)
    const ledger = new RedisLedger(reader)
    const target = new ReportQueue({ link: opened, clock: realClock, log: new KeptLog(), meter: new ReadableMeter() })
    queue = target
    const [killed, survivor] = await Promise.all([startWorker(redis.url), startWorker(redis.url)])
    const adds = Array.from({ length: 8 }, () => addParcels(target, PARCELS / 8))
    const delivered = async () => (await ledger.read()).get('prom')?.delivered ?? 0
    await until(async () => (await delivered()) > (PARCELS * RECORDS) / 10, 'some is delivered', 20_000)
    await killed.child.kill()
    const before = await delivered()
    await Promise.all(adds)
    await until(async () => (await delivered()) === PARCELS * RECORDS, 'all is delivered', 30_000)
    await until(async () => (await counted(survivor.port)).workers === 2, 'the register is adopted')
    expect(before).toBeLessThan(PARCELS * RECORDS)
    expect((await counted(survivor.port)).sum).toBe(PARCELS * RECORDS)
    expect((await ledger.read()).get('prom')).toMatchObject({ accepted: PARCELS * RECORDS, held: 0, dropped: {} })
    reader.close()
  }, 60_000)
})
