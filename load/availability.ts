// What Intermix makes of backends at 99.9 %: `node load/availability.ts --help`.

import { directArm, PLANS, STALE_MS, startArm, VALIDITY_MS } from './availability/arms.ts'
import { type CalmFigures, runCalm } from './availability/calm.ts'
import { KILLED_SECONDS, runWithoutNodes } from './availability/without-nodes.ts'
import { runWithOutages } from './availability/outage-run.ts'
import {
  type ArmFigures,
  estimate,
  printArms,
  printAvailability,
  printCalm,
  printKilled,
} from './availability/report.ts'
import { recoveryFigures } from './availability/recovery.ts'
import { classify, type SampleFigures } from './availability/sample.ts'
import { startBackend } from './backend-control.ts'
import { runCommand } from './kit/command.ts'
import { saveResults, say } from './output.ts'
import { seededRandom } from './random.ts'
import { startRedis } from './redis-process.ts'

const help = `node load/availability.ts [OPTIONS]: what backends at 99.9 % become, by arm, with bounds

  --quick            shorter runs
  --seed N           default 1
  --only ARM,…       of ${PLANS.map(({ name }) => name).join(', ')}
  --calm SECONDS     length of the part without outages, to the last arm; default 120, with --quick 10
  --calm-rate N      checks a second in it, over ext_authz; default 500, with --quick 200

Real processes: 3 nodes, 3 backends, Redis, and in the last arm a sidecar. Times are scaled down by 60: verdicts are valid for 1 s and may be
served for 60 s more. All backends fail together. At the end, all nodes of the last arm are killed for ${KILLED_SECONDS} s.`

const options = {
  quick: { type: 'boolean', default: false },
  seed: { type: 'string', default: '1' },
  only: { type: 'string', default: PLANS.map(({ name }) => name).join(',') },
  calm: { type: 'string' },
  'calm-rate': { type: 'string' },
} as const

const BACKENDS = 3
const KEYS = 1_000
/** So few that all stay warm, and that renewing them each second is not what the machine is busy with. */
const CALM_KEYS = 200
const PER_SECOND = 100
const WARM_UP_MS = 8_000

await runCommand({ options, help }, async ({ quick, only, ...values }, defer) => {
  const number = (name: 'seed' | 'calm' | 'calm-rate', otherwise: number) => {
    const text = values[name] ?? String(otherwise)
    if (!/^\d{1,6}$/.test(text)) throw new Error(`--${name} ${text}: a whole number is needed`)
    return Number(text)
  }
  const seed = number('seed', 1)
  // The rule of three wants 3·10⁵ requests without a failure for five nines.
  const calmPart = { seconds: number('calm', quick ? 10 : 120), perSecond: number('calm-rate', quick ? 200 : 500) }
  const plans = PLANS.filter(({ name }) => only.split(',').includes(name))
  const last = plans.at(-1)
  if (last === undefined) throw new Error(`--only ${only}: there is no such arm; see --help`)
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
  let calm: CalmFigures | undefined
  let killed: SampleFigures | undefined
  for (const plan of plans) {
    const arm = await startArm(plan, backends, redis.url)
    defer(() => arm.stop())
    for (const backend of backends) await backend.forget()
    const isLast = plan === last
    // The arm that the goal is about gets most of the time.
    const durationMs = 1_000 * (quick ? (isLast ? 30 : 20) : isLast ? 180 : 50)
    const run = { backends, keys: KEYS, perSecond: PER_SECOND, durationMs, warmUpMs: WARM_UP_MS, seed }
    const { outcomes, outages, startedAt } = await runWithOutages({ ...run, arms: [direct, arm] })
    const downMs = outages.reduce((sum, { from, to }) => sum + to - from, 0)
    say(
      `${arm.name}: ${outages.length} outages of all backends at once, ${(downMs / 1_000).toFixed(1)} of ${durationMs / 1_000} s`,
    )
    const calls = (await Promise.all(backends.map((backend) => backend.calls()))).flat()
    for (const { name, maxAgeMs } of isLast ? [direct, arm] : [arm]) {
      const isAgedByCaller = plan.hasSidecar === true && name === arm.name
      const ages = { validityMs: VALIDITY_MS, maxAgeMs, isAgedByCaller }
      const bounds = { outages, warmUpMs: WARM_UP_MS, warmMs: STALE_MS, ...ages }
      const own = calls.filter(([caller]) => caller === name).map(([, , at]) => at - startedAt)
      figures.push({ name, ...classify(outcomes.get(name) ?? [], bounds), recovery: recoveryFigures(own, outages) })
    }
    if (isLast) {
      const isAgedByCaller = plan.hasSidecar === true
      const bounds = { warmMs: STALE_MS, validityMs: VALIDITY_MS, maxAgeMs: arm.maxAgeMs, isAgedByCaller }
      say(`${calmPart.perSecond} checks/s to ${arm.name} for ${calmPart.seconds} s without an outage`)
      calm = await runCalm(arm, { ...calmPart, keys: CALM_KEYS, seed: seed + 2 })
      const without = await runWithoutNodes(arm, { keys: KEYS, perSecond: PER_SECOND, seed: seed + 4 })
      killed = classify(without.outcomes, { ...bounds, outages: [without.outage], warmUpMs: 0 })
    }
    await arm.stop()
  }
  const random = seededRandom(seed + 3)
  const rows = figures.flatMap((arm) =>
    (['all', 'warm', 'cold'] as const).map((keys) => ({
      arm: arm.name,
      keys,
      // All keys are warm in the calm part.
      estimate: estimate(arm[keys], arm.name === last.name && keys !== 'cold' ? calm : undefined, random),
    })),
  )
  printAvailability(rows)
  printArms(figures)
  if (calm !== undefined) printCalm(calm)
  if (killed !== undefined) printKilled(`all nodes killed for ${KILLED_SECONDS} s`, killed)
  say(
    'goals: direct about 99.9 %, lower bound of the last arm for warm keys at least 99.999 %, peak/steady at most 1.2',
  )
  const parts = { rows, arms: figures, calm, killed }
  await saveResults(quick ? 'availability-quick' : 'availability', { seed, quick, ...parts })
})
