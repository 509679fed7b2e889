// All nodes are killed at once, and started again after half a minute.

import type { Outcome } from '../driver.ts'
import type { Outage } from '../schedule.ts'
import type { Arm } from './arms.ts'

export const KILLED_SECONDS = 30
/** For the keys to become warm, and for the nodes to be there again. */
const BEFORE_SECONDS = 10
const AFTER_SECONDS = 30

/** @param run sends requests for so many seconds */
export async function runWithoutNodes(
  arm: Arm,
  run: (seconds: number) => Promise<readonly Outcome[]>,
): Promise<{ readonly outcomes: readonly Outcome[]; readonly outage: Outage }> {
  const startedAt = performance.now()
  const now = () => performance.now() - startedAt
  const traffic = run(BEFORE_SECONDS + KILLED_SECONDS + AFTER_SECONDS)
  const wait = (seconds: number) => new Promise((resolve) => setTimeout(resolve, 1_000 * seconds))
  await wait(BEFORE_SECONDS)
  const from = now()
  await arm.killNodes?.()
  await wait(KILLED_SECONDS)
  await arm.startNodes?.()
  const to = now()
  return { outcomes: await traffic, outage: { from, to } }
}
