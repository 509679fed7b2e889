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
const TOTAL = PARCELS * RECORDS

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

async function startWorker(url: string, leaseMs = 1000): Promise<{ child: Child; port: string }> {
  const child = await spawnChild(process.execPath, [PROCESS, url, String(leaseMs)])
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

/** Two workers, and parcels that are being added for them; `until` some of those are delivered. */
async function underLoad(leaseMs?: number) {
  redis = await startRedis()
  const opened = testLink(redis.url, 2000).link
  link = opened
  await untilUp(opened)
  const ledger = new RedisLedger(opened)
  const target = new ReportQueue({ link: opened, clock: realClock, log: new KeptLog(), meter: new ReadableMeter() })
  queue = target
  const url = redis.url
  const [first, second] = await Promise.all([startWorker(url, leaseMs), startWorker(url, leaseMs)])
  const adds = Array.from({ length: 8 }, () => addParcels(target, PARCELS / 8))
  const delivered = async () => (await ledger.read()).get('prom')?.delivered ?? 0
  await until(async () => (await delivered()) > TOTAL / 10, 'some is delivered', 20_000)
  // One that has counted nothing leaves no register behind that anybody could adopt.
  await until(async () => (await counted(first.port)).sum > 0, 'the first one has counted some')
  return {
    first,
    second,
    ledger,
    delivered,
    allDelivered: async () => {
      await Promise.all(adds)
      await until(async () => (await delivered()) === TOTAL, 'all is delivered', 30_000)
    },
  }
}

describe('a worker that is killed half-way', () => {
  it('leaves counters that equal the number of records to the unit', async () => {
    const { first: killed, second: survivor, ledger, delivered, allDelivered } = await underLoad()
    await killed.child.kill()
    const before = await delivered()
    await allDelivered()
    await until(async () => (await counted(survivor.port)).workers === 2, 'the register is adopted')
    expect(before).toBeLessThan(TOTAL)
    expect((await counted(survivor.port)).sum).toBe(TOTAL)
    expect((await ledger.read()).get('prom')).toMatchObject({ accepted: TOTAL, held: 0, dropped: {} })
  })
})

describe('a worker that stands still for longer than its lease', () => {
  it("writes nothing to what is another one's meanwhile", async () => {
    const { first: stopped, second: other, allDelivered } = await underLoad()
    stopped.child.signal('SIGSTOP')
    await until(async () => (await counted(other.port)).workers === 2, 'the register is adopted')
    stopped.child.signal('SIGCONT')
    await allDelivered()
    const sum = async () =>
      (await Promise.all([stopped, other].map(({ port }) => counted(port)))).map((each) => each.sum)
    await until(async () => (await sum()).reduce((a, b) => a + b) === TOTAL, 'each count is with one of them')
    await until(async () => (await counted(stopped.port)).workers === 1, 'it has a register again')
  })
})

describe('a worker that is ended', () => {
  it('gives its counts to another one long before its lease is over', async () => {
    const { first: ended, second: other, allDelivered } = await underLoad(40_000)
    ended.child.signal('SIGTERM')
    await ended.child.exited
    await until(async () => (await counted(other.port)).workers === 2, 'the register is adopted', 15_000)
    await allDelivered()
    expect((await counted(other.port)).sum).toBe(TOTAL)
  })
})
