// What checks feel of a Redis in trouble: `node load/redis-faults.ts [--quick] [--seed N]`. Two nodes, one row for each
// state of Redis; verdicts must never change, and no check may fail.

import { Redis } from 'ioredis'
import { startBackend } from './backend-control.ts'
import { startCluster } from './cluster.ts'
import { drive } from './driver.ts'
import { decisionOn, pathOf } from './oracle.ts'
import { printTable, runScenario, saveResults, say, scenarioOptions } from './output.ts'
import { seededRandom } from './random.ts'
import { startRedis } from './redis-process.ts'
import { arrivals } from './schedule.ts'
import { startSlowProxy } from './slow-proxy.ts'
import { quantiles } from './statistics.ts'
import { intermixTarget, type Target } from './targets.ts'
import { warmUp } from './warm-up.ts'
import { ZipfSampler } from './zipf.ts'

const KEYS = 300
const PER_SECOND = 60
/** Long, so that what fails failed because of Redis, and not because this machine was busy with something else. */
const TIMEOUT_MS = 3_000
const SLOW_MS = 200

const { quick, seed } = scenarioOptions()
const durationMs = quick ? 6_000 : 30_000

interface Row {
  readonly state: string
  readonly requests: number
  readonly p50: number
  readonly p99: number
  readonly max: number
  readonly none: number
  readonly wrong: number
  readonly lateP99: number
  readonly tiers: Readonly<Record<string, number>>
  readonly errors: readonly string[]
}

async function measure(state: string, target: Target): Promise<Row> {
  const random = seededRandom(seed)
  const keys = new ZipfSampler(KEYS, 1, random)
  const latencies: number[] = []
  const lates: number[] = []
  const tiers: Record<string, number> = {}
  const errors = new Set<string>()
  let none = 0
  let wrong = 0
  await drive({
    arrivals: arrivals(PER_SECOND, durationMs, random),
    nextKey: () => keys.next(),
    ask: (key) => target.ask(key),
    onOutcome({ key, decision, latencyMs, lateMs, tier = 'none', error }) {
      latencies.push(latencyMs)
      lates.push(lateMs)
      tiers[tier] = (tiers[tier] ?? 0) + 1
      if (decision === 'none') none++
      else if (decision !== decisionOn(pathOf(key))) wrong++
      if (error !== undefined && errors.size < 5) errors.add(error.slice(0, 160))
    },
  })
  const [p50, p99, max] = quantiles(Float64Array.from(latencies), 0.5, 0.99, 1)
  const [lateP99] = quantiles(Float64Array.from(lates), 0.99)
  return { state, requests: latencies.length, p50, p99, max, none, wrong, lateP99, tiers, errors: [...errors] }
}

/** Writes over entries and leases what nobody would write. */
async function spoil(client: Redis, random: () => number): Promise<void> {
  let cursor = '0'
  do {
    const [next, keys] = await client.scan(cursor, 'MATCH', 'load-*', 'COUNT', 500)
    cursor = next
    for (const key of keys) {
      const kind = Math.floor(random() * 4)
      if (kind === 0) await client.set(key, 'garbage')
      else if ((await client.type(key)) !== 'hash') continue
      else if (kind === 1) await client.hset(key, 'b', '{"version":1,"kind":"allow"}')
      else if (kind === 2) await client.hset(key, { f: 'soon', c: 'never', u: '-5' })
      else {
        // Another key's verdict under this key.
        const other = keys[Math.floor(random() * keys.length)]
        if (other !== undefined && other !== key) await client.copy(other, key, 'REPLACE')
      }
    }
  } while (cursor !== '0')
}

/** Does something again and again until the returned function is called. */
function repeatedly(everyMs: number, task: () => Promise<unknown>): () => Promise<void> {
  const stop = new AbortController()
  const loop = async () => {
    while (!stop.signal.aborted) {
      await task()
      await new Promise((resolve) => setTimeout(resolve, everyMs))
    }
  }
  const ended = loop()
  return async () => {
    stop.abort()
    await ended
  }
}

await runScenario(async (defer) => {
  const redis = await startRedis()
  defer(() => redis.stop())
  const proxy = await startSlowProxy(redis.port)
  defer(() => proxy.close())
  const backend = await startBackend({ validitySeconds: 1, latencyMs: 5 })
  defer(() => backend.stop())
  const url = `redis://127.0.0.1:${proxy.port}`
  const cluster = await startCluster({
    nodes: 2,
    backends: [backend.url],
    redis: url,
    name: 'faults',
    handler: { timeout: `${TIMEOUT_MS}ms` },
  })
  defer(() => cluster.stop())
  const target = intermixTarget(cluster.urls, 1, { deadlineMs: 2 * TIMEOUT_MS })
  defer(() => target.close())
  const client = new Redis(redis.url, { maxRetriesPerRequest: 1 })
  client.on('error', () => undefined)
  defer(async () => client.disconnect())
  say(
    `two nodes, backend 5 ms, validity 1 s, ${KEYS} keys by Zipf 1.0, ${PER_SECOND} checks/s, ${durationMs / 1_000} s a row`,
  )
  await warmUp(target, 3_000)
  const random = seededRandom(seed + 1)
  const rows: Row[] = []
  const row = async (state: string, begin: () => unknown, end: () => unknown) => {
    await begin()
    rows.push(await measure(state, target))
    await end()
  }
  const nothing = () => undefined
  await row('healthy', nothing, nothing)
  await row(
    'paused (SIGSTOP)',
    () => redis.pause(),
    () => redis.resume(),
  )
  await row('killed', () => redis.kill(), nothing)
  await row('restarted, empty', () => redis.restart(), nothing)
  await row(
    `slow (${SLOW_MS} ms each way)`,
    () => proxy.delay(SLOW_MS),
    () => proxy.delay(0),
  )
  await row(
    'full (noeviction)',
    () => client.config('SET', 'maxmemory', '1mb'),
    () => client.config('SET', 'maxmemory', '0'),
  )
  let stop = async () => {}
  await row(
    'flushed every 100 ms',
    () => (stop = repeatedly(100, () => client.flushall())),
    () => stop(),
  )
  await row(
    'garbage in its keys',
    () => (stop = repeatedly(50, () => spoil(client, random))),
    () => stop(),
  )
  await row('healthy again', () => client.flushall(), nothing)
  printTable(
    rows.map((each) => ({
      Redis: each.state,
      requests: each.requests,
      'p50 ms': each.p50.toFixed(2),
      'p99 ms': each.p99.toFixed(2),
      'max ms': each.max.toFixed(0),
      'no decision': each.none,
      wrong: each.wrong,
      tiers: Object.entries(each.tiers)
        .map(([tier, count]) => `${tier} ${count}`)
        .join(', '),
      'driver late p99': each.lateP99.toFixed(1),
    })),
  )
  for (const { state, errors } of rows) for (const error of errors) say(`${state}: ${error}`)
  say('goal: no wrong decision, no check without a decision')
  await saveResults('redis-faults', { quick, seed, rows })
})
