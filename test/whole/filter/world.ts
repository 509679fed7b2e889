// Three nodes, the filter in a real Envoy with two workers before them, and a policy that can be changed.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Envoy, ENVOY_WASM, startEnvoy } from '../../helpers/envoy.ts'
import { startHttpBackend } from '../../helpers/http-backend.ts'
import { freePorts } from '../../helpers/ports.ts'
import { startRedis } from '../../helpers/redis.ts'
import { type Intermix, startIntermix, startSidecar } from '../intermix.ts'
import { configOf, entitled, type Moment } from './policy.ts'

const NODES = 3

export interface World {
  readonly envoy: Envoy
  /** Those that run. */
  readonly nodes: ReadonlyMap<number, Intermix>
  readonly now: Moment
  kill(index: number): Promise<void>
  /** Starts a node again, where it was. */
  start(index: number): Promise<void>
  /** Has the backend change its mind about all users: nobody is told. */
  changeMind(): void
  /** Gives all nodes another config; resolves when they live by it. */
  reload(): Promise<void>
  stop(): Promise<void>
}

export interface WorldOptions {
  readonly binary: string
  /** How long the backend's verdicts are valid. */
  readonly validSeconds: number
  /** Of the filter; that of this checkout unless told. */
  readonly module?: string
  /** Whether the filter asks a sidecar, and that the nodes. */
  readonly sidecar?: boolean
}

/** Starts everything. */
export async function startWorld({ binary, validSeconds, module, sidecar = false }: WorldOptions): Promise<World> {
  const ends: (() => Promise<unknown>)[] = []
  const stop = async () => {
    for (const end of ends.splice(0).toReversed()) await end()
  }
  const nodes = new Map<number, Intermix>()
  let now: Moment = { version: 1, epoch: 0 }
  try {
    const redis = await startRedis()
    ends.push(() => redis.stop())
    const backend = await startHttpBackend(({ body }) => {
      const { fields } = JSON.parse(body) as { fields: { value: string } }
      const headers = { 'cache-control': `max-age=${validSeconds}` }
      return { status: entitled(fields.value, now.epoch) ? 200 : 403, headers }
    })
    ends.push(() => backend.close())
    const upstream = await startHttpBackend()
    ends.push(() => upstream.close())
    const config = await mkdtemp(join(tmpdir(), 'intermix-filter-'))
    ends.push(() => rm(config, { recursive: true, force: true }))
    const write = () => writeFile(join(config, 'policy.yaml'), configOf(now.version, backend.url))
    await write()
    const nodePorts = await freePorts(NODES)
    const start = async (index: number) => {
      const flags = ['--redis', redis.url, '--partition-max-age', '600s', '--grpc-address']
      const nodeId = `node-${index}`
      const address = `127.0.0.1:${nodePorts[index]}`
      nodes.set(index, await startIntermix({ role: 'node', config, nodeId, flags: [...flags, address] }))
    }
    ends.push(() => Promise.all([...nodes.values()].map(({ child }) => child.stop())))
    for (const index of nodePorts.keys()) await start(index)
    const beside = sidecar ? await startSidecar({ nodePorts, nodeId: 'side', folder: config }) : undefined
    if (beside !== undefined) ends.push(() => beside.child.stop())
    const envoy = await startEnvoy({
      binary,
      path: ENVOY_WASM,
      nodePorts: beside === undefined ? nodePorts : [beside.grpcPath],
      upstreamPort: upstream.port,
      workers: 2,
      ...(module === undefined ? {} : { module }),
    })
    ends.push(() => envoy.stop())
    return {
      envoy,
      nodes,
      get now() {
        return now
      },
      async kill(index) {
        await nodes.get(index)?.child.kill()
        nodes.delete(index)
      },
      start,
      changeMind() {
        now = { ...now, epoch: now.epoch + 1 }
      },
      async reload() {
        now = { ...now, version: now.version + 1 }
        const before = new Map<Intermix, string>()
        for (const node of nodes.values()) before.set(node, await snapshotOf(node))
        await write()
        for (const [node, snapshot] of before) await changed(node, snapshot)
      },
      stop,
    }
  } catch (error) {
    await stop()
    throw error
  }
}

async function snapshotOf({ adminUrl }: Intermix): Promise<string> {
  return ((await (await fetch(`${adminUrl}/debug/config`)).json()) as { snapshotId: string }).snapshotId
}

async function changed(node: Intermix, from: string): Promise<void> {
  const deadline = performance.now() + 60_000
  while ((await snapshotOf(node)) === from) {
    if (performance.now() > deadline) throw new Error(`a node did not take the new config:\n${node.child.output()}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
