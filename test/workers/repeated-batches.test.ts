// How often a backend gets a batch twice: workers are stopped beyond their locks, killed and ended, and Redis stands still,
// all under load. Each batch that comes again bears the same id.

import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, it } from 'vitest'
import type { RedisLink } from '../../src/redis/connection.ts'
import { parcelOf } from '../../src/telemetry/parcel.ts'
import { RedisLedger } from '../../src/telemetry/redis-ledger.ts'
import { ReportQueue } from '../../src/telemetry/report-queue.ts'
import { type HttpBackend, startHttpBackend } from '../helpers/http-backend.ts'
import { type Child, spawnChild } from '../helpers/process.ts'
import { type RedisServer, startRedis } from '../helpers/redis.ts'
import { KeptLog, ReadableMeter, realClock, testLink, until, untilUp } from '../redis/support.ts'
import { batchTo } from './support.ts'

const PROCESS = fileURLToPath(new URL('./posting-process.ts', import.meta.url))
const RECORDS = 20
const CONCURRENCY = 4
/** How long a stopped process stands still: its locks end after 1.5 s and are found within half a second. */
const STILL_MS = 3000

let redis: RedisServer | undefined
let link: RedisLink | undefined
let queue: ReportQueue | undefined
let backend: HttpBackend | undefined
const workers: Child[] = []

afterEach(async () => {
  await Promise.all(workers.splice(0).map((worker) => worker.kill()))
  await queue?.close()
  link?.close()
  await redis?.stop()
  await backend?.close()
})

const pause = (ms: number) => new Promise<void>((resolve) => void realClock.after(ms, resolve))

describe('batches that a backend gets again', () => {
  it('are only those that were under way when a process stood still or died', async () => {
    const server = await startRedis()
    redis = server
    const opened = testLink(server.url, 2000).link
    link = opened
    await untilUp(opened)
    const ledger = new RedisLedger(opened)
    const reports = new ReportQueue({ link: opened, clock: realClock, log: new KeptLog(), meter: new ReadableMeter() })
    queue = reports
    /** Calls by batch. */
    const calls = new Map<string, number>()
    const posts = await startHttpBackend(async ({ body }) => {
      const { batchId } = JSON.parse(body) as { batchId: string }
      calls.set(batchId, (calls.get(batchId) ?? 0) + 1)
      await pause(10)
      return { status: 204 }
    })
    backend = posts
    const start = async () => {
      const child = await spawnChild(process.execPath, [PROCESS, server.url, posts.url])
      workers.push(child)
      await child.waitForOutput(/started/)
      return child
    }
    const [stopped, killed, ended] = await Promise.all([start(), start(), start()])
    let accepted = 0
    const over = new AbortController()
    const load = (async () => {
      while (!over.signal.aborted) {
        const parcel = parcelOf([batchTo('http', RECORDS)])
        const add = () =>
          reports.add(parcel).then(
            () => true,
            () => false,
          )
        await until(add, 'the parcel is added', 30_000)
        accepted += RECORDS
      }
    })()
    const more = async () => {
      const now = calls.size
      await until(() => calls.size > now + 20, 'batches arrive', 30_000)
    }
    await more()
    stopped.signal('SIGSTOP')
    await pause(STILL_MS)
    await more()
    stopped.signal('SIGCONT')
    await more()
    server.pause()
    await pause(STILL_MS)
    server.resume()
    await more()
    await killed.kill()
    await more()
    stopped.signal('SIGSTOP')
    await ended.stop(10_000)
    await start()
    await pause(STILL_MS)
    await more()
    stopped.signal('SIGCONT')
    await more()
    over.abort()
    await load
    await until(async () => (await ledger.read()).get('http')?.delivered === accepted, 'all is delivered', 60_000)
    const repeated = [...calls.values()].reduce((sum, count) => sum + count - 1, 0)
    const share = ((100 * repeated) / calls.size).toFixed(2)
    process.stderr.write(`${repeated} of ${calls.size} batches came again (${share} %)\n`)
    expect(calls.size * RECORDS).toBe(accepted)
    expect((await ledger.read()).get('http')).toMatchObject({ accepted, held: 0, deadLetters: 0, dropped: {} })
    // Two stops, a kill, and Redis that stood still beyond the locks of three workers; one that is ended repeats nothing.
    expect(repeated).toBeLessThanOrEqual(6 * CONCURRENCY)
  })
})
