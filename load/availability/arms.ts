// The arms of the availability experiment: the same traffic through ever more of what Intermix does.

import type { Backend } from '../backend-control.ts'
import { startCluster } from '../cluster.ts'
import { backendTarget, intermixTarget, type Target } from '../targets.ts'
import { warmUp } from '../warm-up.ts'

export const VALIDITY_MS = 1_000
export const STALE_MS = 60_000
/** Who has no decision by then has failed. */
const DEADLINE_MS = 1_000
const NODES = 3
const WARM_UP_REQUESTS = 3_000

export interface Arm {
  readonly name: string
  readonly target: Target
  /** The oldest answer that is allowed. */
  readonly maxAgeMs: number
  stop(): Promise<void>
}

export interface ArmPlan {
  readonly name: string
  readonly staleMs: number
  readonly refreshRate: number
}

export const PLANS: readonly ArmPlan[] = [
  { name: 'ttl-only', staleMs: 0, refreshRate: 0 },
  { name: 'stale', staleMs: STALE_MS, refreshRate: 0 },
  { name: 'stale-refresh', staleMs: STALE_MS, refreshRate: 200 },
]

/** Asks backends without Intermix. */
export function directArm(backends: readonly Backend[]): Arm {
  const target = backendTarget(
    backends.map(({ url }) => `${url}/direct`),
    { deadlineMs: DEADLINE_MS },
  )
  return { name: 'direct', target, maxAgeMs: 0, stop: () => target.close() }
}

/** Starts three node processes and runs them warm. */
export async function startArm(
  { name, staleMs, refreshRate }: ArmPlan,
  backends: readonly Backend[],
  redisUrl: string,
): Promise<Arm> {
  const cluster = await startCluster({
    nodes: NODES,
    backends: backends.map(({ url }) => url),
    redis: redisUrl,
    name,
    handler: { staleIfError: `${staleMs}ms` },
    flags: ['--cache-refresh-rate', String(refreshRate)],
  })
  const target = intermixTarget(cluster.urls, backends.length, { deadlineMs: DEADLINE_MS })
  const stop = async () => {
    await target.close()
    await cluster.stop()
  }
  await warmUp(target, WARM_UP_REQUESTS)
  return { name, target, maxAgeMs: VALIDITY_MS + staleMs, stop }
}
