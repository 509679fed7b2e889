// Where answers come from, each as a server of its own that gives all of its answers from there.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startBackend } from '../backend-control.ts'
import { startCluster } from '../cluster.ts'
import { type Address, addressOf } from '../kit/connection.ts'
import { policyText } from '../kit/policy.ts'
import { startRedis } from '../redis-process.ts'
import { startSidecar } from '../sidecar-process.ts'
import { startSlowProxy } from '../slow-proxy.ts'

export interface Place {
  readonly name: string
  readonly address: Address
  /** Whose processor time an answer takes, by what they are. */
  readonly pids: Readonly<Record<string, number>>
}

export interface Places {
  readonly places: readonly Place[]
  /** Of the node that has all answers. */
  readonly nodeAddress: string
}

/** Verdicts outlive the run. */
const VALIDITY_SECONDS = 36_000

type Defer = (end: () => Promise<unknown>) => void

/** @param networkMs between a proxy and the remote node, for a request and its answer together */
export async function startPlaces(networkMs: number, defer: Defer): Promise<Places> {
  const redis = await startRedis()
  defer(() => redis.stop())
  const backend = await startBackend({ validitySeconds: VALIDITY_SECONDS })
  defer(() => backend.stop())
  const startNode = async (flags: readonly string[]) => {
    const cluster = await startCluster({
      nodes: 1,
      backends: [backend.url],
      redis: redis.url,
      name: 'costs',
      flags,
      config: policyText({ backend: backend.url }),
    })
    defer(() => cluster.stop())
    const [node] = cluster.nodes
    if (node === undefined) throw new Error('the cluster has no node')
    return { address: addressOf(node.grpcAddress), grpcAddress: node.grpcAddress, pid: node.child.pid }
  }
  const node = await startNode([])
  const meshOnly = await startNode(['--cache-local', 'off'])
  const bare = await startNode(['--cache-local', 'off', '--cache-mesh', 'off'])
  const folder = await mkdtemp(join(tmpdir(), 'intermix-load-sockets-'))
  defer(() => rm(folder, { recursive: true, force: true }))
  const path = join(folder, 'sidecar')
  const atSocket = await startSidecar({ nodes: [node.grpcAddress], grpcAddress: `unix:${path}` })
  defer(() => atSocket.child.stop())
  const atLoopback = await startSidecar({ nodes: [node.grpcAddress] })
  defer(() => atLoopback.child.stop())
  const far = await startSlowProxy(node.address.port)
  defer(() => far.close())
  far.delay(networkMs, 0)
  return {
    nodeAddress: node.grpcAddress,
    places: [
      {
        name: 'sidecar, Unix socket',
        address: { host: 'localhost', port: 0, path },
        pids: { sidecar: atSocket.child.pid },
      },
      {
        name: 'sidecar, loopback',
        address: addressOf(atLoopback.grpcAddress),
        pids: { sidecar: atLoopback.child.pid },
      },
      { name: 'node, loopback', address: node.address, pids: { node: node.pid } },
      { name: REMOTE, address: { host: '127.0.0.1', port: far.port }, pids: { node: node.pid } },
      { name: 'mesh (Redis)', address: meshOnly.address, pids: { node: meshOnly.pid, Redis: redis.pid() } },
      { name: 'backend', address: bare.address, pids: { node: bare.pid, backend: backend.pid } },
    ],
  }
}

export const REMOTE = 'node, far away'
