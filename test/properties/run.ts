// `node test/properties/run.ts [--checks N] [--seed N]`: the oracle at length, over a real Redis. Prints what it did;
// ends with 1 and the seed at the first wrong answer.

import { parseArgs } from 'node:util'
import { connectRedis } from '../../src/redis/connection.ts'
import { startRedis } from '../helpers/redis.ts'
import { fixedRandom, KeptLog, ReadableMeter, realClock } from '../redis/support.ts'
import { simulate, WrongAnswer } from './simulation.ts'

const { values } = parseArgs({
  options: { checks: { type: 'string', default: '1000000' }, seed: { type: 'string', default: '1' } },
})
/** Each seed brings configs of its own. */
const PER_SEED = 1_000
const total = Number(values.checks)
const firstSeed = Number(values.seed)
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
const bySidecars = { asked: 0, kept: 0, keptStale: 0, unanswered: 0, paidUses: 0, returnedUses: 0, leased: 0 }
try {
  for (let seed = firstSeed; done < total; seed++) {
    const checks = Math.min(PER_SEED, total - done)
    const report = await simulate({ seed, checks, link, prefix: `p${seed}` })
    done += report.checks
    configs += report.configs
    revocations += report.revocations
    for (const name of Object.keys(bySidecars) as (keyof typeof bySidecars)[]) bySidecars[name] += report[name]
    for (const [tier, count] of Object.entries(report.tiers)) tiers[tier] = (tiers[tier] ?? 0) + count
    if (seed % 50 === 0) {
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
  const told = `tiers ${JSON.stringify(tiers)}, sidecars ${JSON.stringify(bySidecars)}`
  return `${done} checks, ${configs} configs, ${revocations} revocations, ${told}`
}
