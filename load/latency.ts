// What waiting for a policy backend costs, and what is left of it: `node load/latency.ts [--quick] [--seed N]`. The same
// Zipf traffic to a backend that takes 20 ms, directly and through two Intermix nodes.

import { startBackend } from './backend-control.ts'
import { startCluster } from './cluster.ts'
import { drive } from './driver.ts'
import { decisionOn, pathOf } from './oracle.ts'
import { printTable, runScenario, saveResults, say, scenarioOptions } from './output.ts'
import { seededRandom } from './random.ts'
import { startRedis } from './redis-process.ts'
import { arrivals } from './schedule.ts'
import { mean, quantiles } from './statistics.ts'
import { backendTarget, intermixTarget, type Target } from './targets.ts'
import { warmUp } from './warm-up.ts'
import { ZipfSampler } from './zipf.ts'

const BACKEND_MS = 20
/** What Mixer and Intermix take where a backend says nothing. */
const VALIDITY_SECONDS = 60
const KEYS = 200
const PER_SECOND = 150

const { quick, seed } = scenarioOptions()
const durationMs = quick ? 25_000 : 120_000
/** The caches fill first: an empty one is worth nothing, and is so only once. */
const FILL_MS = 20_000

async function measure(name: string, target: Target) {
  const random = seededRandom(seed)
  const keys = new ZipfSampler(KEYS, 1, random)
  const latencies: number[] = []
  const lates: number[] = []
  let wrong = 0
  const tiers: Record<string, number> = {}
  let none = 0
  await drive({
    arrivals: arrivals(PER_SECOND, FILL_MS + durationMs, random),
    nextKey: () => keys.next(),
    ask: (key) => target.ask(key),
    onOutcome({ key, at, decision, latencyMs, lateMs, tier = 'none' }) {
      if (decision === 'none') none++
      else if (decision !== decisionOn(pathOf(key))) wrong++
      if (at < FILL_MS) return
      tiers[tier] = (tiers[tier] ?? 0) + 1
      latencies.push(latencyMs)
      lates.push(lateMs)
    },
  })
  const [p50, p99] = quantiles(Float64Array.from(latencies), 0.5, 0.99)
  const [lateP99] = quantiles(Float64Array.from(lates), 0.99)
  return { name, requests: latencies.length, mean: mean(latencies), p50, p99, none, wrong, lateP99, tiers }
}

await runScenario(async (defer) => {
  const redis = await startRedis()
  defer(() => redis.stop())
  const backend = await startBackend({ validitySeconds: VALIDITY_SECONDS, latencyMs: BACKEND_MS })
  defer(() => backend.stop())
  const cluster = await startCluster({ nodes: 2, backends: [backend.url], redis: redis.url, name: 'latency' })
  defer(() => cluster.stop())
  const through = intermixTarget(cluster.urls, 1, { deadlineMs: 1_000 })
  defer(() => through.close())
  const direct = backendTarget([`${backend.url}/direct`], { deadlineMs: 1_000 })
  defer(() => direct.close())
  say(`backend ${BACKEND_MS} ms, validity ${VALIDITY_SECONDS} s, ${KEYS} keys by Zipf 1.0, ${PER_SECOND} checks/s`)
  await warmUp(through, 3_000)
  const arms = [await measure('backend', direct), await measure('Intermix', through)]
  printTable(
    arms.map((arm) => ({
      asked: arm.name,
      requests: arm.requests,
      'mean ms': arm.mean.toFixed(2),
      'p50 ms': arm.p50.toFixed(2),
      'p99 ms': arm.p99.toFixed(2),
      local: arm.tiers['local'] ?? 0,
      'no decision': arm.none,
      wrong: arm.wrong,
      'driver late p99': arm.lateP99.toFixed(2),
    })),
  )
  const ratio = (arms[1]?.mean ?? 0) / (arms[0]?.mean ?? 1)
  say(`mean through Intermix: ${(ratio * 100).toFixed(1)} % of the backend's; goal: at most 10 %`)
  await saveResults('latency', { quick, seed, arms, ratio })
})
