// An oracle at length, over a real Redis: one seed after the other, until so many answers are judged.

import { connectRedis } from '../../src/redis/connection.ts'
import type { RedisLink } from '../../src/redis/connection.ts'
import { startRedis } from '../helpers/redis.ts'
import { fixedRandom, KeptLog, ReadableMeter, realClock } from '../redis/support.ts'
import { WrongAnswer } from './judge.ts'

/** What became of one seed. */
export interface SeedReport {
  readonly checks: number
  readonly configs: number
  readonly revocations: number
  readonly tiers: Readonly<Record<string, number>>
}

export interface LongRun<R extends SeedReport> {
  readonly checks: number
  readonly seed: number
  /** Seeds between two lines. */
  readonly every: number
  simulate(seed: number, checks: number, link: RedisLink): Promise<R>
  /** Takes in what a seed has come to, beside what is told of all. */
  readonly take?: (report: R) => void
  /** What a line says beside. */
  readonly says?: () => string
}

/** Each seed brings configs of its own. */
const PER_SEED = 1_000

/** Prints what it does; sets the exit code 1 at the first wrong answer, which it prints with its seed. */
export async function longRun<R extends SeedReport>(run: LongRun<R>): Promise<void> {
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
  const done = { checks: 0, configs: 0, revocations: 0 }
  const line = () => {
    const { checks, configs, revocations } = done
    return `${checks} checks, ${configs} configs, ${revocations} revocations, tiers ${JSON.stringify(tiers)}${run.says?.() ?? ''}`
  }
  try {
    for (let { seed } = run; done.checks < run.checks; seed++) {
      const report = await run.simulate(seed, Math.min(PER_SEED, run.checks - done.checks), link)
      done.checks += report.checks
      done.configs += report.configs
      done.revocations += report.revocations
      for (const [tier, count] of Object.entries(report.tiers)) tiers[tier] = (tiers[tier] ?? 0) + count
      run.take?.(report)
      if (seed % run.every === 0) {
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
}
