// A node that stands still for a moment: `node load/stall.ts [--quick] [--seed N]`. Its backend and its Redis are well all
// the time; what it holds against them afterwards is its own fault.

import { startBackend } from './backend-control.ts'
import { startCluster } from './cluster.ts'
import { drive } from './driver.ts'
import { decisionOn, pathOf } from './oracle.ts'
import { printTable, runScenario, saveResults, say, scenarioOptions } from './output.ts'
import { seededRandom } from './random.ts'
import { startRedis } from './redis-process.ts'
import { arrivals } from './schedule.ts'
import { intermixTarget } from './targets.ts'
import { warmUp } from './warm-up.ts'

const PER_SECOND = 60
const TIMEOUT_MS = 200
const BACKEND_MS = 20
const EVERY_MS = 1_500

const { quick, seed } = scenarioOptions()
const durationMs = quick ? 15_000 : 60_000

const COUNTERS = [
  ['calls not made: backend "away"', 'intermix_handler_calls_total', 'outcome="open"'],
  ['calls not made: too many', 'intermix_handler_calls_total', 'outcome="overloaded"'],
  ['calls timed out', 'intermix_handler_calls_total', 'outcome="timeout"'],
  ['calls not listened to', 'intermix_handler_calls_total', 'outcome="stalled"'],
  ['Redis calls timed out', 'intermix_redis_calls_total', 'outcome="timeout"'],
  ['Redis calls not made: Redis "down"', 'intermix_redis_calls_total', 'outcome="refused"'],
] as const

async function measure(stallMs: number) {
  const counts = { requests: 0, none: 0, wrong: 0 }
  const counters: Record<string, number> = {}
  const errors = new Set<string>()
  await runScenario(async (defer) => {
    const redis = await startRedis()
    defer(() => redis.stop())
    const backend = await startBackend({ validitySeconds: 1, latencyMs: BACKEND_MS })
    defer(() => backend.stop())
    const cluster = await startCluster({
      nodes: 1,
      backends: [backend.url],
      redis: redis.url,
      name: 'stall',
      handler: { timeout: `${TIMEOUT_MS}ms`, staleIfError: '0s' },
    })
    defer(() => cluster.stop())
    // Long enough that a request which waits out the stall is answered.
    const target = intermixTarget(cluster.urls, 1, { deadlineMs: 2_000 })
    defer(() => target.close())
    await warmUp(target, 2_000)
    const before = await Promise.all(COUNTERS.map(([, name, labels]) => cluster.counter(name, labels)))
    const random = seededRandom(seed)
    const child = cluster.nodes[0]?.child
    const stalling = setInterval(() => {
      if (stallMs === 0) return
      child?.signal('SIGSTOP')
      setTimeout(() => child?.signal('SIGCONT'), stallMs)
    }, EVERY_MS)
    let next = 0
    try {
      await drive({
        arrivals: arrivals(PER_SECOND, durationMs, random),
        // Every request goes to the backend, by way of Redis.
        nextKey: () => next++,
        ask: (key) => target.ask(key),
        onOutcome({ key, decision, error }) {
          counts.requests++
          if (decision === 'none') counts.none++
          else if (decision !== decisionOn(pathOf(key))) counts.wrong++
          if (error !== undefined && errors.size < 4) errors.add(error.slice(0, 160))
        },
      })
    } finally {
      clearInterval(stalling)
      await new Promise((resolve) => setTimeout(resolve, stallMs))
      child?.signal('SIGCONT')
    }
    for (const [index, [label, name, labels]] of COUNTERS.entries()) {
      counters[label] = (await cluster.counter(name, labels)) - (before[index] ?? 0)
    }
  })
  return { stallMs, ...counts, counters, errors: [...errors] }
}

say(
  `one node, Redis, backend ${BACKEND_MS} ms, handler timeout ${TIMEOUT_MS} ms, ${PER_SECOND} checks/s of new keys; ` +
    `the node is stopped every ${EVERY_MS / 1_000} s, ${durationMs / 1_000} s a row`,
)
const rows = []
// The first row shows what a busy machine does by itself.
for (const stallMs of [0, 60, 300]) rows.push(await measure(stallMs))
printTable(
  rows.map(({ stallMs, requests, none, wrong, counters }) => ({
    'stopped for': `${stallMs} ms`,
    requests,
    'no decision': none,
    wrong,
    ...counters,
  })),
)
for (const { stallMs, errors } of rows) for (const error of errors) say(`${stallMs} ms: ${error}`)
say('goal: nothing is refused because a backend or Redis is taken for dead')
await saveResults('stall', { quick, seed, rows })
