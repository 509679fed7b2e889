// Fleets of all sizes: what they are asked, who answers, and what it takes.

import { type FleetFigures, type Group, modelFleet, zipfPopularity } from './model.ts'

export interface FleetShape {
  readonly sidecarsPerNode: number
  /** Requests a second of each sidecar. */
  readonly perSidecar: number
  /** On average: a few services have many, most have few, by Zipf's law. */
  readonly sidecarsPerService: number
  /** Of each service, by Zipf's law with exponent 1. */
  readonly keysPerService: number
  readonly nodeEntries: number
  readonly l1Entries: number
  readonly validitySeconds: number
  /** Nodes that one sidecar asks: its tenant's; 0: all. */
  readonly nodesPerTenant: number
}

export type Arm = 'no sidecars' | 'any node' | 'by key'
export const ARMS: readonly Arm[] = ['no sidecars', 'any node', 'by key']

export interface FleetCosts extends FleetFigures {
  readonly nodes: number
  readonly sidecars: number
  /** Cores that are busy. */
  readonly cores: Readonly<Record<'sidecars' | 'nodes' | 'redis', number>>
  /** GB. */
  readonly memory: Readonly<Record<'sidecars' | 'nodes' | 'redis', number>>
  /** Batch streams that end at one node. */
  readonly streams: number
}

/**
 * Processor time in microseconds on a machine with nothing else to do: what `load/answer-costs.ts` says of sidecars, Redis and
 * backends beside a node, of which load/README.md has the figures.
 */
const SIDECAR_ANSWER_US = 9
const NODE_ANSWER_US = 5.3
/** What a node takes beyond that where it has to ask Redis, and beyond both where it has to ask a backend; what Redis takes. */
const NODE_MESH_US = 75
const NODE_BACKEND_US = 125
const REDIS_US = 18
/** As docs/sidecar.md and docs/redis.md have them. */
const SIDECAR_BYTES = 80e6
const NODE_BYTES = 120e6
const NODE_ENTRY_BYTES = 1_000
const REDIS_ENTRY_BYTES = 800

/** One fleet. Without sidecars proxies ask any node for each request. */
export function fleetOf(shape: FleetShape, nodes: number, arm: Arm): FleetCosts {
  const sidecars = shape.sidecarsPerNode * nodes
  const hasSidecars = arm !== 'no sidecars'
  const figures = modelFleet({
    groups: servicesOf(shape, sidecars),
    nodes,
    entries: shape.nodeEntries,
    callerEntries: hasSidecars ? shape.l1Entries : 0,
    validitySeconds: shape.validitySeconds,
    route: arm === 'by key' ? 'key' : 'any',
  })
  const { requests, calls, redis, backend, meshEntries } = figures
  const cores = (perSecond: number, micros: number) => (perSecond * micros) / 1e6
  return {
    ...figures,
    nodes,
    sidecars,
    cores: {
      sidecars: hasSidecars ? cores(requests, SIDECAR_ANSWER_US) : 0,
      nodes: cores(calls, NODE_ANSWER_US) + cores(redis, NODE_MESH_US) + cores(backend, NODE_BACKEND_US),
      redis: cores(redis + backend, REDIS_US),
    },
    memory: {
      sidecars: hasSidecars ? (sidecars * SIDECAR_BYTES) / 1e9 : 0,
      nodes: (nodes * (NODE_BYTES + shape.nodeEntries * NODE_ENTRY_BYTES)) / 1e9,
      redis: (meshEntries * REDIS_ENTRY_BYTES) / 1e9,
    },
    // Who asks any node asks all of them.
    streams: arm === 'by key' ? (sidecars * Math.min(nodes, shape.nodesPerTenant || nodes)) / nodes : sidecars,
  }
}

/** Services of neighbouring ranks taken together. */
const STEP = 1.3

function servicesOf({ sidecarsPerService, perSidecar, keysPerService }: FleetShape, sidecars: number): Group[] {
  const services = Math.max(1, Math.round(sidecars / sidecarsPerService))
  const bins: { readonly count: number; readonly rank: number }[] = []
  for (let rank = 1; rank <= services; ) {
    const end = Math.min(services, Math.max(rank, Math.floor(rank * STEP)))
    bins.push({ count: end - rank + 1, rank: Math.sqrt(rank * end) })
    rank = end + 1
  }
  const atLeastOne = (scale: number) => bins.map(({ rank }) => Math.max(1, Math.round(scale / rank)))
  const total = (callers: readonly number[]) => bins.reduce((sum, { count }, i) => sum + count * (callers[i] ?? 0), 0)
  let scale = 1
  while (total(atLeastOne(scale * 1.01)) <= sidecars) scale *= 1.01
  return atLeastOne(scale).map((callers, i) => ({
    callers,
    count: bins[i]?.count ?? 0,
    popularity: zipfPopularity(keysPerService, 1, callers * perSidecar),
  }))
}
