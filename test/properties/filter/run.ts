// `node test/properties/filter/run.ts [--checks N] [--seed N] [--show]`: the filter's oracle at length, over a real Redis.
// Prints what it did; ends with 1 and the seed at the first wrong answer, with `--show` with the configs, too.

import { parseArgs } from 'node:util'
import { connectRedis } from '../../../src/redis/connection.ts'
import { compiledFilter } from '../../filter/filter-bench.ts'
import { startRedis } from '../../helpers/redis.ts'
import { fixedRandom, KeptLog, ReadableMeter, realClock } from '../../redis/support.ts'
import { WrongAnswer } from '../judge.ts'
import { simulateFilter } from './filter-simulation.ts'

const { values } = parseArgs({
  options: {
    checks: { type: 'string', default: '1000000' },
    seed: { type: 'string', default: '1' },
    show: { type: 'boolean', default: false },
  },
})
/** Each seed brings configs of its own. */
const PER_SEED = 1_000
const total = Number(values.checks)
const module = await compiledFilter()
const redis = await startRedis()
const link = connectRedis({
  access: { url: redis.url },
  role: 'cache',
  // On a busy machine a reply may be late; a miss would be right, but this run wants the mesh tier used.
  commandTimeoutMs: 2_000,
  clock: realClock,
  random: fixedRandom,
  log: new KeptLog(),
  meter: new ReadableMeter(),
})
await new Promise<void>((resolve) => link.onUp(resolve))
const tiers: Record<string, number> = {}
let done = 0
let configs = 0
let revocations = 0
try {
  for (let seed = Number(values.seed); done < total; seed++) {
    const checks = Math.min(PER_SEED, total - done)
    // Nodes that share nothing serve what is stale more often.
    const shared = seed % 4 === 0 ? undefined : link
    const report = await simulateFilter({ module, seed, checks, link: shared, prefix: `f${seed}`, shows: values.show })
    done += checks
    configs += report.configs
    revocations += report.revocations
    for (const [tier, count] of Object.entries(report.tiers)) tiers[tier] = (tiers[tier] ?? 0) + count
    if (seed % 20 === 0) {
      await link.run((client) => client.flushall(), 5_000)
      console.log(line())
    }
  }
  console.log(`${line()}: no wrong answer`)
} catch (error) {
  console.log(error instanceof WrongAnswer ? error.message : error)
  process.exitCode = 1
} finally {
  link.close()
  await redis.stop()
}

function line(): string {
  return `${done} checks, ${configs} configs, ${revocations} revocations, tiers ${JSON.stringify(tiers)}`
}
