// All nodes are killed at once, and started again after half a minute.

import { drive, type Outcome } from '../driver.ts'
import { seededRandom } from '../random.ts'
import { arrivals, type Outage } from '../schedule.ts'
import { ZipfSampler } from '../zipf.ts'
import type { Arm } from './arms.ts'
import type { CalmPart } from './calm.ts'

export const KILLED_SECONDS = 30
/** For the keys to become warm, and for the nodes to be there again. */
const BEFORE_SECONDS = 10
const AFTER_SECONDS = 30

/** Sends requests all the while. */
export async function runWithoutNodes(
  arm: Arm,
  { keys, perSecond, seed }: Omit<CalmPart, 'seconds'>,
): Promise<{ readonly outcomes: readonly Outcome[]; readonly outage: Outage }> {
  const random = seededRandom(seed)
  const sampler = new ZipfSampler(keys, 1, random)
  const outcomes: Outcome[] = []
  const startAt = performance.now()
  const now = () => performance.now() - startAt
  const traffic = drive({
    arrivals: arrivals(perSecond, (BEFORE_SECONDS + KILLED_SECONDS + AFTER_SECONDS) * 1_000, random),
    nextKey: () => sampler.next(),
    ask: (key) => arm.target.ask(key),
    onOutcome: (outcome) => outcomes.push(outcome),
    startAt,
  })
  const wait = (seconds: number) => new Promise((resolve) => setTimeout(resolve, 1_000 * seconds))
  await wait(BEFORE_SECONDS)
  const from = now()
  await arm.killNodes?.()
  await wait(KILLED_SECONDS)
  await arm.startNodes?.()
  const to = now()
  await traffic
  return { outcomes, outage: { from, to } }
}
