// The arms of the availability experiment: the same traffic through ever more of what Intermix does.

import type { Backend } from '../backend-control.ts'
import { type Address, addressOf } from '../kit/connection.ts'
import { SERVICES } from '../kit/requests.ts'
import { type Cluster, type ClusterOptions, startCluster } from '../cluster.ts'
import { freePorts } from '../processes.ts'
import { startSidecar } from '../sidecar-process.ts'
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
  /** Where ext_authz is asked; of backends without Intermix there is none. */
  readonly doors: readonly Address[]
  /** The oldest answer that is allowed. */
  readonly maxAgeMs: number
  /** Kills all of its nodes, and starts them again. */
  killNodes?(): Promise<void>
  startNodes?(): Promise<void>
  stop(): Promise<void>
}

export interface ArmPlan {
  readonly name: string
  readonly staleMs: number
  readonly refreshRate: number
  /** Asked through a sidecar. */
  readonly hasSidecar?: boolean
}

export const PLANS: readonly ArmPlan[] = [
  { name: 'ttl-only', staleMs: 0, refreshRate: 0 },
  { name: 'stale', staleMs: STALE_MS, refreshRate: 0 },
  { name: 'stale-refresh', staleMs: STALE_MS, refreshRate: 200 },
  { name: 'stale-refresh-sidecar', staleMs: STALE_MS, refreshRate: 200, hasSidecar: true },
]

/** Asks backends without Intermix. */
export function directArm(backends: readonly Backend[]): Arm {
  const target = backendTarget(
    backends.map(({ url }) => `${url}/direct`),
    { deadlineMs: DEADLINE_MS },
  )
  return { name: 'direct', target, doors: [], maxAgeMs: 0, stop: () => target.close() }
}

/** Starts three node processes, and a sidecar before them where the plan has one, and runs them warm. */
export async function startArm(plan: ArmPlan, backends: readonly Backend[], redisUrl: string): Promise<Arm> {
  const { name, staleMs, refreshRate, hasSidecar = false } = plan
  const options: ClusterOptions = {
    nodes: NODES,
    // As many services as the load kit asks for.
    backends: Array.from({ length: SERVICES }, (_, service) => backends[service % backends.length]?.url ?? ''),
    redis: redisUrl,
    name,
    handler: { staleIfError: `${staleMs}ms` },
    // Who is cut off may go on for as long as verdicts may be stale.
    flags: ['--cache-refresh-rate', String(refreshRate), '--partition-max-age', `${VALIDITY_MS + staleMs}ms`],
    grpcPorts: await freePorts(NODES),
  }
  let cluster = await startCluster(options)
  const sidecar = hasSidecar ? await startSidecarOf(cluster, refreshRate) : undefined
  const urls = sidecar === undefined ? cluster.urls : [sidecar.httpUrl]
  const target = intermixTarget(urls, SERVICES, { deadlineMs: DEADLINE_MS })
  const stop = async () => {
    await target.close()
    await sidecar?.child.stop()
    await cluster.stop()
  }
  await warmUp(target, WARM_UP_REQUESTS)
  return {
    name,
    target,
    doors: (sidecar === undefined ? cluster.nodes : [sidecar]).map(({ grpcAddress }) => addressOf(grpcAddress)),
    maxAgeMs: VALIDITY_MS + staleMs,
    killNodes: async () => {
      await Promise.all(cluster.nodes.map(({ child }) => child.kill()))
    },
    startNodes: async () => {
      await cluster.stop()
      cluster = await startCluster(options)
    },
    stop,
  }
}

function startSidecarOf(cluster: Cluster, refreshRate: number) {
  return startSidecar({
    nodes: cluster.nodes.map(({ grpcAddress }) => grpcAddress),
    flags: ['--affinity', 'request.path', '--l1-refresh-rate', String(refreshRate)],
  })
}
