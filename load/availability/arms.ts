// The arms of the availability experiment: the same traffic through ever more of what Intermix does.

import type { Backend } from '../backend-control.ts'
import { startCluster } from '../cluster.ts'
import { backendTarget, intermixTarget, type Target } from '../targets.ts'

export const VALIDITY_MS = 1_000
export const STALE_MS = 60_000
/** Who has no decision by then has failed. */
const DEADLINE_MS = 1_000
const NODES = 3

export interface Arm {
  readonly name: string
  readonly target: Target
  /** The oldest answer that is allowed. */
  readonly maxAgeMs: number
  stop(): Promise<void>
}

interface ArmPlan {
  readonly name: string
  readonly staleMs: number
  readonly refreshRate: number
}

const PLANS: readonly ArmPlan[] = [
  { name: 'ttl-only', staleMs: 0, refreshRate: 0 },
  { name: 'stale', staleMs: STALE_MS, refreshRate: 0 },
  { name: 'stale-refresh', staleMs: STALE_MS, refreshRate: 200 },
]

/** The arm whose figures the goal is about. */
export const FULL_ARM = 'stale-refresh'

/** Starts all arms; those of Intermix have three node processes each and share nothing with each other but Redis. */
export async function startArms(
  backends: readonly Backend[],
  redisUrl: string,
  defer: (end: () => Promise<unknown>) => void,
): Promise<readonly Arm[]> {
  const urls = backends.map(({ url }) => url)
  const direct = backendTarget(
    urls.map((url) => `${url}/direct`),
    { deadlineMs: DEADLINE_MS },
  )
  defer(() => direct.close())
  const arms: Arm[] = [{ name: 'direct', target: direct, maxAgeMs: 0, stop: () => direct.close() }]
  for (const { name, staleMs, refreshRate } of PLANS) {
    const cluster = await startCluster({
      nodes: NODES,
      backends: urls,
      redis: redisUrl,
      name,
      handler: { staleIfError: `${staleMs}ms` },
      flags: ['--cache-refresh-rate', String(refreshRate)],
    })
    defer(() => cluster.stop())
    const target = intermixTarget(cluster.urls, urls.length, { deadlineMs: DEADLINE_MS })
    defer(() => target.close())
    arms.push({ name, target, maxAgeMs: VALIDITY_MS + staleMs, stop: () => cluster.stop() })
  }
  return arms
}
