// What Intermix makes of backends at 99.9 %: `node load/availability.ts [--quick] [--seed N] [--calm SECONDS]`. Real
// processes, times scaled down by 60: verdicts are valid for 1 s and may be served for 60 s more; all backends fail
// together.

import { directArm, PLANS, STALE_MS, startArm, VALIDITY_MS, type Arm } from './availability/arms.ts'
import { runWithOutages } from './availability/outage-run.ts'
import { type ArmFigures, estimate, printArms, printAvailability } from './availability/report.ts'
import { recoveryFigures } from './availability/recovery.ts'
import { classify, type SampleFigures } from './availability/sample.ts'
import { startBackend } from './backend-control.ts'
import { drive, type Outcome } from './driver.ts'
import { printTable, runScenario, saveResults, say, scenarioOptions } from './output.ts'
import { seededRandom } from './random.ts'
import { startRedis } from './redis-process.ts'
import { arrivals } from './schedule.ts'
import { ZipfSampler } from './zipf.ts'

const { quick, seed, calm: calmSeconds } = scenarioOptions()
const BACKENDS = 3
const KEYS = 1_000
const PER_SECOND = 100
const WARM_UP_MS = 8_000
/** The arm that the goal is about gets most of the time. */
const SECONDS: Readonly<Record<string, number>> = quick
  ? { 'ttl-only': 20, stale: 20, 'stale-refresh': 30 }
  : { 'ttl-only': 50, stale: 50, 'stale-refresh': 180 }
/** The rule of three wants 3·10⁵ requests without a failure for five nines: ten minutes of this. */
const CALM = { seconds: calmSeconds ?? (quick ? 10 : 120), perSecond: quick ? 200 : 500 }

/** Many requests without an outage, to bound how often a check fails then. */
async function runCalm(arm: Arm): Promise<readonly Outcome[]> {
  const random = seededRandom(seed + 2)
  const keys = new ZipfSampler(KEYS, 1, random)
  const outcomes: Outcome[] = []
  await drive({
    arrivals: arrivals(CALM.perSecond, CALM.seconds * 1_000, random),
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
  const direct = directArm(backends)
  defer(() => direct.stop())
  say(
    `${KEYS} keys by Zipf 1.0, ${PER_SECOND} checks/s to each arm, the direct one beside each other one, seed ${seed}`,
  )
  const figures: ArmFigures[] = []
  let calm: SampleFigures | undefined
  for (const plan of PLANS) {
    const arm = await startArm(plan, backends, redis.url)
    defer(() => arm.stop())
    for (const backend of backends) await backend.forget()
    const durationMs = (SECONDS[plan.name] ?? 0) * 1_000
    const run = { backends, keys: KEYS, perSecond: PER_SECOND, durationMs, warmUpMs: WARM_UP_MS, seed }
    const { outcomes, outages, startedAt } = await runWithOutages({ ...run, arms: [direct, arm] })
    const downMs = outages.reduce((sum, { from, to }) => sum + to - from, 0)
    say(
      `${arm.name}: ${outages.length} outages of all backends at once, ${(downMs / 1_000).toFixed(1)} of ${durationMs / 1_000} s`,
    )
    const calls = (await Promise.all(backends.map((backend) => backend.calls()))).flat()
    const isLast = plan === PLANS.at(-1)
    for (const { name, maxAgeMs } of isLast ? [direct, arm] : [arm]) {
      const options = { outages, warmUpMs: WARM_UP_MS, warmMs: STALE_MS, validityMs: VALIDITY_MS, maxAgeMs }
      const own = calls.filter(([caller]) => caller === name).map(([, , at]) => at - startedAt)
      figures.push({ name, ...classify(outcomes.get(name) ?? [], options), recovery: recoveryFigures(own, outages) })
    }
    if (isLast) {
      say(`${CALM.perSecond} checks/s to ${arm.name} for ${CALM.seconds} s without an outage`)
      const bounds = { validityMs: VALIDITY_MS, maxAgeMs: arm.maxAgeMs }
      calm = classify(await runCalm(arm), { outages: [], warmUpMs: 0, warmMs: STALE_MS, ...bounds })
    }
    await arm.stop()
  }
  const random = seededRandom(seed + 3)
  const last = PLANS.at(-1)?.name
  const rows = figures.flatMap((arm) =>
    (['all', 'warm', 'cold'] as const).map((keys) => ({
      arm: arm.name,
      keys,
      estimate: estimate(arm[keys], arm.name === last ? calm?.[keys].up : undefined, random),
    })),
  )
  printAvailability(rows)
  printArms(figures)
  if (calm !== undefined) {
    const { up } = calm.all
    printTable([
      {
        'without outages': up.requests,
        failures: up.failures,
        wrong: calm.wrong,
        'beyond age': calm.beyondAge,
        'p99 ms': calm.latency.p99.toFixed(1),
        'driver late p99': calm.lateP99.toFixed(1),
      },
    ])
  }
  say(
    'goals: direct about 99.9 %, lower bound of stale-refresh for warm keys at least 99.999 %, peak/steady at most 1.2',
  )
  await saveResults(quick ? 'availability-quick' : 'availability', { seed, quick, rows, arms: figures, calm })
})
