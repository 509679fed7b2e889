// What Intermix makes of backends at 99.9 %: `node load/availability.ts [--quick] [--seed N]`. Real processes, times
// scaled down by 60: verdicts are valid for 1 s and may be served for 60 s more; all backends fail together.

import { FULL_ARM, startArms, type Arm, STALE_MS, VALIDITY_MS } from './availability/arms.ts'
import { type ArmFigures, estimate, printArms, printAvailability } from './availability/report.ts'
import { recoveryFigures } from './availability/recovery.ts'
import { AFTERMATH_MS, classify } from './availability/sample.ts'
import { type Backend, type Fault, startBackend } from './backend-control.ts'
import { drive, type Outcome } from './driver.ts'
import { printTable, runScenario, saveResults, say, scenarioOptions } from './output.ts'
import { seededRandom } from './random.ts'
import { startRedis } from './redis-process.ts'
import { arrivals, type Outage, outages as planOutages } from './schedule.ts'
import { ZipfSampler } from './zipf.ts'

const { quick, seed } = scenarioOptions()
const BACKENDS = 3
const KEYS = 1_000
const PER_SECOND = 120
const WARM_UP_MS = 10_000
const OUTAGE_RUN_MS = quick ? 60_000 : 300_000
const CALM_RUN_MS = quick ? 10_000 : 150_000
const CALM_PER_SECOND = quick ? 1_000 : 2_200
const KINDS = ['error', 'refuse', 'hang'] as const

interface Run {
  readonly outcomes: ReadonlyMap<string, readonly Outcome[]>
  /** As they really were, in ms from the start. */
  readonly outages: readonly Outage[]
  readonly startedAt: number
}

/** Sends the same requests to every arm while all backends fail together again and again. */
async function runWithOutages(arms: readonly Arm[], backends: readonly Backend[]): Promise<Run> {
  const random = seededRandom(seed)
  const plan = planOutages(
    {
      durationMs: OUTAGE_RUN_MS,
      warmUpMs: WARM_UP_MS,
      meanDownMs: 1_600,
      minDownMs: 400,
      maxDownMs: 5_000,
      meanUpMs: AFTERMATH_MS + 1_500,
      minUpMs: AFTERMATH_MS + 1_000,
    },
    random,
  )
  const startAt = performance.now() + 200
  const startedAt = Date.now() + 200
  const outcomes = new Map<string, Outcome[]>(arms.map((arm) => [arm.name, []]))
  const traffic = arms.map(({ name, target }) => {
    const own = seededRandom(seed + 1)
    const keys = new ZipfSampler(KEYS, 1, own)
    return drive({
      arrivals: arrivals(PER_SECOND, OUTAGE_RUN_MS, own),
      nextKey: () => keys.next(),
      ask: (key) => target.ask(key),
      onOutcome: (outcome) => outcomes.get(name)?.push(outcome),
      startAt,
    })
  })
  const happened: Outage[] = []
  const failAll = (fault: Fault) => Promise.all(backends.map((backend) => backend.fail(fault)))
  const now = () => performance.now() - startAt
  for (const { from, to } of plan) {
    await new Promise((resolve) => setTimeout(resolve, from - now()))
    const began = now()
    await failAll({ kind: KINDS[Math.floor(random() * KINDS.length)] ?? 'error' })
    await new Promise((resolve) => setTimeout(resolve, to - now()))
    await failAll({ kind: 'none' })
    happened.push({ from: began, to: now() })
  }
  await Promise.all(traffic)
  return { outcomes, outages: happened, startedAt }
}

/** Many requests without an outage, to bound how often a check fails then. */
async function runCalm(arm: Arm): Promise<readonly Outcome[]> {
  const random = seededRandom(seed + 2)
  const keys = new ZipfSampler(KEYS, 1, random)
  const outcomes: Outcome[] = []
  await drive({
    arrivals: arrivals(CALM_PER_SECOND, CALM_RUN_MS, random),
    nextKey: () => keys.next(),
    ask: (key) => arm.target.ask(key),
    onOutcome: (outcome) => outcomes.push(outcome),
  })
  return outcomes
}

await runScenario(async (defer) => {
  const redis = await startRedis()
  defer(() => redis.stop())
  const backends = await Promise.all(
    Array.from({ length: BACKENDS }, () => startBackend({ validitySeconds: VALIDITY_MS / 1_000, latencyMs: 5 })),
  )
  for (const backend of backends) defer(() => backend.stop())
  const arms = await startArms(backends, redis.url, defer)
  say(`${KEYS} keys by Zipf 1.0, ${PER_SECOND} checks/s to each arm for ${OUTAGE_RUN_MS / 1_000} s, seed ${seed}`)
  const { outcomes, outages, startedAt } = await runWithOutages(arms, backends)
  const downMs = outages.reduce((sum, { from, to }) => sum + to - from, 0)
  say(
    `${outages.length} outages of all ${BACKENDS} backends (errors, refused, hanging), ${(downMs / 1_000).toFixed(1)} s in all`,
  )
  const calls = (await Promise.all(backends.map((backend) => backend.calls()))).flat()
  const figures = arms.map(({ name, maxAgeMs }): ArmFigures => {
    const options = { outages, warmUpMs: WARM_UP_MS, warmMs: STALE_MS, validityMs: VALIDITY_MS, maxAgeMs }
    const own = calls.filter(([caller]) => caller === name).map(([, , at]) => at - startedAt)
    return { name, ...classify(outcomes.get(name) ?? [], options), recovery: recoveryFigures(own, outages) }
  })
  const full = arms.find(({ name }) => name === FULL_ARM)
  if (full === undefined) throw new Error(`there is no arm ${FULL_ARM}`)
  for (const arm of arms) if (arm !== full) await arm.stop()
  say(`${CALM_PER_SECOND} checks/s to ${FULL_ARM} for ${CALM_RUN_MS / 1_000} s without an outage`)
  const calm = classify(await runCalm(full), {
    outages: [],
    warmUpMs: 0,
    warmMs: STALE_MS,
    validityMs: VALIDITY_MS,
    maxAgeMs: full.maxAgeMs,
  })
  const random = seededRandom(seed + 3)
  const rows = figures.flatMap((arm) => {
    const quiet = arm.name === FULL_ARM ? calm : undefined
    return (['all', 'warm', 'cold'] as const).map((keys) => ({
      arm: arm.name,
      keys,
      estimate: estimate(arm[keys], quiet?.[keys].up, random),
    }))
  })
  printAvailability(rows)
  printArms(figures)
  printTable([
    {
      'without outages': calm.all.up.requests,
      failures: calm.all.up.failures,
      wrong: calm.wrong,
      'beyond age': calm.beyondAge,
    },
  ])
  for (const [error, count] of Object.entries(calm.upErrors))
    say(`without outages, ${count} times: ${error.slice(0, 160)}`)
  say(
    'goals: direct about 99.9 %, lower bound of stale-refresh for warm keys at least 99.999 %, peak/steady at most 1.2',
  )
  const verdict = { seed, quick, outages, rows, arms: figures, calm }
  await saveResults(quick ? 'availability-quick' : 'availability', verdict)
})
