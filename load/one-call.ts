// One call per verdict and lifetime, whatever the number of nodes: `node load/one-call.ts [--quick] [--seed N]`.
// 16 nodes (8 in each of two processes) share one Redis; the same traffic then meets 16 nodes that share nothing, as
// Mixer's did.

import { startBackend } from './backend-control.ts'
import { callFigures } from './backend-calls.ts'
import { startCluster } from './cluster.ts'
import { drive } from './driver.ts'
import { decisionOn, pathOf } from './oracle.ts'
import { printTable, runScenario, saveResults, say, scenarioOptions } from './output.ts'
import { seededRandom } from './random.ts'
import { startRedis } from './redis-process.ts'
import { arrivals } from './schedule.ts'
import { intermixTarget } from './targets.ts'
import { warmUp } from './warm-up.ts'
import { ZipfSampler } from './zipf.ts'

const NODES = 16
const NODES_PER_PROCESS = 8
const BACKEND_MS = 20
const KEYS = 300
const PER_SECOND = 300

const { quick, seed } = scenarioOptions()
// Verdicts are refreshed a fifth of a second before they end, which would weigh too much in a shorter life.
const VALIDITY_SECONDS = quick ? 10 : 20
const lifetimes = quick ? 4 : 6
// Half a lifetime more, so that no key's last refresh depends on how exactly the run ends.
const durationMs = (lifetimes + 0.5) * VALIDITY_SECONDS * 1_000

// What is measured is sharing, and not how often this machine is too busy to answer within the usual 50 ms.
const PATIENT = ['--redis-timeout', '1s'] as const

/** Counters of the nodes that explain the figures. */
const COUNTERS = [
  ['refreshed', 'intermix_cache_refreshed_total', ''],
  ['waited for a lease', 'intermix_cache_lease_waits_total', ''],
  ['coalesced', 'intermix_cache_coalesced_total', ''],
  ['Redis timeouts', 'intermix_redis_calls_total', 'role="cache",outcome="timeout"'],
  ['Redis refused', 'intermix_redis_calls_total', 'role="cache",outcome="refused"'],
] as const

async function measure(name: string, redisUrl: string, flags: readonly string[]) {
  let figures: ReturnType<typeof callFigures> | undefined
  const counts = { requests: 0, wrong: 0, none: 0 }
  const tiers: Record<string, number> = {}
  const counters: Record<string, number> = {}
  await runScenario(async (defer) => {
    const backend = await startBackend({ validitySeconds: VALIDITY_SECONDS, latencyMs: BACKEND_MS })
    defer(() => backend.stop())
    const cluster = await startCluster({
      nodes: NODES,
      nodesPerProcess: NODES_PER_PROCESS,
      backends: [backend.url],
      redis: redisUrl,
      name,
      flags,
    })
    defer(() => cluster.stop())
    const target = intermixTarget(cluster.urls, 1, { deadlineMs: 1_000, connections: 8 })
    defer(() => target.close())
    await warmUp(target, 250 * NODES)
    await backend.forget()
    const before = await Promise.all(COUNTERS.map(([, counter, labels]) => cluster.counter(counter, labels)))
    const random = seededRandom(seed)
    const keys = new ZipfSampler(KEYS, 1, random)
    const times = new Map<string, number[]>()
    await drive({
      arrivals: arrivals(PER_SECOND, durationMs, random),
      nextKey: () => keys.next(),
      ask: (key) => target.ask(key),
      onOutcome({ key, at, decision, tier = 'none' }) {
        const path = pathOf(key)
        counts.requests++
        tiers[tier] = (tiers[tier] ?? 0) + 1
        if (decision === 'none') counts.none++
        else if (decision !== decisionOn(path)) counts.wrong++
        const list = times.get(path)
        if (list === undefined) times.set(path, [at])
        else list.push(at)
      },
    })
    for (const list of times.values()) list.sort((a, b) => a - b)
    figures = callFigures(await backend.calls(), times, VALIDITY_SECONDS * 1_000)
    for (const [index, [label, counter, labels]] of COUNTERS.entries()) {
      counters[label] = (await cluster.counter(counter, labels)) - (before[index] ?? 0)
    }
  })
  if (figures === undefined) throw new Error('the run has no figures')
  return { name, ...figures, ...counts, tiers, counters }
}

await runScenario(async (defer) => {
  const redis = await startRedis()
  defer(() => redis.stop())
  say(
    `${NODES} nodes, ${NODES_PER_PROCESS} in each process, one Redis, verdicts valid ${VALIDITY_SECONDS} s, ${KEYS} keys by Zipf 1.0, ` +
      `${PER_SECOND} checks/s, ${durationMs / 1_000} s for each arm, backend ${BACKEND_MS} ms`,
  )
  const arms = [
    await measure('shared', redis.url, [...PATIENT]),
    await measure('alone', redis.url, ['--cache-mesh', 'off', ...PATIENT]),
  ]
  printTable(
    arms.map((arm) => ({
      arm: arm.name === 'shared' ? 'shared cache' : '--cache-mesh off',
      requests: arm.requests,
      'backend calls': arm.calls,
      'perfect cache': arm.ideal,
      'calls/perfect': arm.callsPerIdeal.toFixed(3),
      'hot keys': arm.hotKeys,
      'calls/hot key/lifetime': arm.hotCallsPerLifetime.toFixed(3),
      duplicates: arm.duplicates,
      'no decision': arm.none,
      wrong: arm.wrong,
    })),
  )
  for (const { name, counters } of arms) say(`${name}: ${JSON.stringify(counters)}`)
  say('goal: calls per key and lifetime at most 1.05 with the shared cache')
  await saveResults('one-call', { quick, seed, nodes: NODES, validitySeconds: VALIDITY_SECONDS, arms })
})
