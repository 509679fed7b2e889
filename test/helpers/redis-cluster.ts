// A real Redis cluster on this machine: masters with replicas, which fail over within about two seconds.
import { until } from '../redis/support.ts'
import { type FlakyProxy, startFlakyProxy } from './flaky-proxy.ts'
import { freePorts } from './ports.ts'
import { fleetFolder, RedisFleet, type RedisProcesses } from './redis-fleet.ts'

export interface RedisCluster extends RedisProcesses {
  /** `redis+cluster://`, which names all of them. */
  readonly url: string
  /** Of all processes; masters at the start come first. */
  readonly ports: readonly number[]
  /** Ports of those that are masters now and serve slots, as a process that answers sees it. */
  masters(): Promise<readonly number[]>
  /** Port of the master that serves this key's slot. */
  ownerOf(key: string): Promise<number>
  /** Ports of the replicas that follow the master at this port. */
  replicasOf(port: number): Promise<readonly number[]>
  /** A replica takes over from the master at this port, by hand and in order. @returns its port, once all know of it */
  failover(port: number): Promise<number>
  /** Moves so many slots with their keys from one master to another, as a resharding does. */
  moveSlots(from: number, to: number, count: number): Promise<void>
  /** Nobody but the bus of the cluster reaches the process at this port: bytes wait, connections stay. Of a proxied cluster. */
  cut(port: number): void
  /** Ends a cut; what has waited arrives. */
  mend(port: number): void
  /** Resolves once all that answer know all slots to be served, and the replicas follow their masters. */
  untilOk(timeoutMs?: number): Promise<void>
}

export interface ClusterOptions {
  readonly masters?: number
  /** Of each master; 1 unless told. */
  readonly replicas?: number
  /** Further arguments of every process, such as `['--maxmemory', '64mb']`. */
  readonly args?: readonly string[]
  /** Of the default user, if it needs one. */
  readonly password?: string
  /** Whether clients and replicas come through proxies, which `cut` needs. */
  readonly isProxied?: boolean
}

/** After so long without an answer a node counts as failed, and its replica stands for election. */
const NODE_TIMEOUT_MS = 1_000
const SLOTS = 16_384
const MIGRATE_TIMEOUT_MS = 5_000

/** Starts the processes, joins them and waits until all slots are served and all replicas follow. */
export async function startCluster(options: ClusterOptions = {}): Promise<RedisCluster> {
  const { masters = 3, replicas = 1, args = [], password, isProxied = false } = options
  const count = masters * (1 + replicas)
  const all = await freePorts(2 * count)
  const [ports, buses] = [all.slice(0, count), all.slice(count)]
  const cluster = new LocalCluster(await fleetFolder(), ports, password)
  try {
    if (isProxied) await cluster.startProxies()
    await Promise.all(
      ports.map((port, i) => {
        const addresses = { port, bus: buses[i] ?? 0, announced: cluster.announced(port) }
        return cluster.add(member(addresses, args, password))
      }),
    )
    await cluster.join(masters, buses)
  } catch (error) {
    await cluster.stop()
    throw error
  }
  return cluster
}

interface Addresses {
  readonly port: number
  readonly bus: number
  readonly announced: number
}

function member({ port, bus, announced }: Addresses, args: readonly string[], password: string | undefined) {
  const config = [
    'save ""',
    'appendonly yes',
    'cluster-enabled yes',
    `cluster-port ${bus}`,
    'cluster-announce-ip 127.0.0.1',
    // Of a cluster that speaks TLS, clients would be told of the port without it.
    ...(announced === port ? [] : [`cluster-announce-port ${announced}`, `cluster-announce-bus-port ${bus}`]),
    'cluster-config-file nodes.conf',
    `cluster-node-timeout ${NODE_TIMEOUT_MS}`,
    // A replica that has heard nothing of its master for long may take over all the same.
    'cluster-replica-validity-factor 0',
    'repl-diskless-sync-delay 0',
    ...(password === undefined ? [] : [`requirepass ${password}`, `masterauth ${password}`]),
  ]
  return { port, config, args, password }
}

interface NodeLine {
  readonly id: string
  readonly port: number
  readonly master: string
  readonly isMaster: boolean
  readonly isFailed: boolean
  readonly slots: readonly (readonly [first: number, last: number])[]
}

class LocalCluster extends RedisFleet implements RedisCluster {
  readonly ports: readonly number[]
  readonly #password: string | undefined
  readonly #proxies = new Map<number, FlakyProxy>()

  constructor(directory: string, ports: readonly number[], password: string | undefined) {
    super(directory)
    this.ports = ports
    this.#password = password
  }

  get url(): string {
    const credentials = this.#password === undefined ? '' : `:${encodeURIComponent(this.#password)}@`
    return `redis+cluster://${credentials}${this.ports.map((port) => `127.0.0.1:${this.announced(port)}`).join(',')}`
  }

  /** The port that clients are told of. */
  announced(port: number): number {
    return this.#proxies.get(port)?.port ?? port
  }

  async startProxies(): Promise<void> {
    for (const port of this.ports) this.#proxies.set(port, await startFlakyProxy({ host: '127.0.0.1', port }))
  }

  cut(port: number): void {
    this.#proxy(port).setBlackhole(true)
  }

  mend(port: number): void {
    this.#proxy(port).setBlackhole(false)
  }

  override async stop(): Promise<void> {
    for (const proxy of this.#proxies.values()) await proxy.close()
    await super.stop()
  }

  /** Makes one cluster of the processes: the first `masters` of them share the slots, the others follow them in turn. */
  async join(masters: number, buses: readonly number[]): Promise<void> {
    const [first = 0, ...others] = this.ports
    for (const [i, port] of this.ports.slice(0, masters).entries()) {
      const from = Math.ceil((i * SLOTS) / masters)
      const to = Math.ceil(((i + 1) * SLOTS) / masters) - 1
      await this.ask(port, 'CLUSTER', 'ADDSLOTSRANGE', from, to)
      // Each its own, so that none of them has to give way for another.
      await this.ask(port, 'CLUSTER', 'SET-CONFIG-EPOCH', i + 1)
    }
    for (const port of others) await this.ask(port, 'CLUSTER', 'MEET', '127.0.0.1', first, buses[0] ?? 0)
    const met = async (port: number) => (await this.#nodes(port)).length === this.ports.length
    for (const port of this.ports) await until(() => met(port), `${port} knows all others`, 30_000)
    for (const [i, port] of this.ports.slice(masters).entries()) {
      const master = String(await this.ask(this.ports[i % masters] ?? first, 'CLUSTER', 'MYID'))
      await this.ask(port, 'CLUSTER', 'REPLICATE', master)
    }
    await this.untilOk()
  }

  async masters(): Promise<readonly number[]> {
    const nodes = await this.#view()
    return nodes.filter(({ isMaster, isFailed, slots }) => isMaster && !isFailed && slots.length > 0).map(portOf)
  }

  async ownerOf(key: string): Promise<number> {
    const slot = Number(await this.ask(this.#anyone(), 'CLUSTER', 'KEYSLOT', key))
    const owner = (await this.#view()).find(({ slots }) => slots.some(([from, to]) => slot >= from && slot <= to))
    if (owner === undefined) throw new Error(`nobody serves slot ${slot} of ${key}`)
    return owner.port
  }

  async replicasOf(port: number): Promise<readonly number[]> {
    const nodes = await this.#view()
    const id = nodes.find((node) => node.port === port)?.id
    return nodes.filter(({ master, isFailed }) => master === id && !isFailed).map(portOf)
  }

  async failover(port: number): Promise<number> {
    const [replica] = await this.replicasOf(port)
    if (replica === undefined) throw new Error(`the master at ${port} has no replica`)
    await this.ask(replica, 'CLUSTER', 'FAILOVER')
    const taken = async (by: number) => {
      const nodes = await this.#nodes(by)
      const [before, after] = [port, replica].map((each) => nodes.find((node) => node.port === each))
      return after?.isMaster === true && after.slots.length > 0 && before?.master === after.id
    }
    for (const each of this.answering) await until(() => taken(each), `${each} knows of the failover`, 30_000)
    return replica
  }

  async moveSlots(from: number, to: number, count: number): Promise<void> {
    const ids = await Promise.all([from, to].map(async (port) => String(await this.ask(port, 'CLUSTER', 'MYID'))))
    const [source = '', target = ''] = ids
    const owned = (await this.#nodes(from)).find(({ id }) => id === source)?.slots ?? []
    const slots = owned.flatMap(([first, last]) => Array.from({ length: last - first + 1 }, (_, i) => first + i))
    const masters = await this.masters()
    for (const slot of slots.slice(0, count)) {
      await this.ask(to, 'CLUSTER', 'SETSLOT', slot, 'IMPORTING', source)
      await this.ask(from, 'CLUSTER', 'SETSLOT', slot, 'MIGRATING', target)
      await this.#moveKeys(from, to, slot)
      // The new owner first, so that at no time nobody owns it.
      for (const port of [to, from, ...masters.filter((each) => each !== to && each !== from)])
        await this.ask(port, 'CLUSTER', 'SETSLOT', slot, 'NODE', target)
    }
  }

  async untilOk(timeoutMs = 30_000): Promise<void> {
    const ok = async (port: number) => {
      // Not those of one that is gone, as the others may not know yet.
      const present = (await this.#nodes(port)).filter((node) => this.answering.includes(node.port))
      const served = present.flatMap(({ slots }) => slots).reduce((sum, [from, to]) => sum + to - from + 1, 0)
      if (served !== SLOTS || !String(await this.ask(port, 'CLUSTER', 'INFO')).includes('cluster_state:ok'))
        return false
      const replication = String(await this.ask(port, 'INFO', 'replication'))
      return replication.includes('role:master') || replication.includes('master_link_status:up')
    }
    for (const port of this.answering)
      await until(() => ok(port).catch(() => false), `${port} knows the cluster to be well`, timeoutMs)
  }

  async #moveKeys(from: number, to: number, slot: number): Promise<void> {
    for (;;) {
      const keys = (await this.ask(from, 'CLUSTER', 'GETKEYSINSLOT', slot, 100)) as string[]
      if (keys.length === 0) return
      const auth = this.#password === undefined ? [] : ['AUTH', this.#password]
      await this.ask(from, 'MIGRATE', '127.0.0.1', to, '', 0, MIGRATE_TIMEOUT_MS, 'REPLACE', ...auth, 'KEYS', ...keys)
    }
  }

  #proxy(port: number): FlakyProxy {
    const proxy = this.#proxies.get(port)
    if (proxy === undefined) throw new Error('only a cluster with proxies can be cut')
    return proxy
  }

  #anyone(): number {
    const [port] = this.answering
    if (port === undefined) throw new Error('no process of the cluster answers')
    return port
  }

  /** As the process sees it that has followed the most elections: one that has just come back may know old masters. */
  async #view(): Promise<readonly NodeLine[]> {
    const views = await Promise.all(
      this.answering.map(async (port) => {
        const info = String(await this.ask(port, 'CLUSTER', 'INFO'))
        return { port, epoch: Number(/cluster_current_epoch:(\d+)/.exec(info)?.[1]), ok: info.includes('state:ok') }
      }),
    )
    const [latest] = views.sort((a, b) => Number(b.ok) - Number(a.ok) || b.epoch - a.epoch)
    return await this.#nodes(latest?.port ?? this.#anyone())
  }

  async #nodes(port: number): Promise<readonly NodeLine[]> {
    const text = String(await this.ask(port, 'CLUSTER', 'NODES'))
    const ports = new Map(this.ports.map((each) => [this.announced(each), each]))
    const nodes = text.trim().split('\n').map(parseNode)
    return nodes.map((node) => ({ ...node, port: ports.get(node.port) ?? node.port }))
  }
}

const portOf = ({ port }: NodeLine) => port

/** `id ip:port@bus flags master ping pong epoch link slot slot-slot …`; slots that are on their way stand in brackets. */
function parseNode(line: string): NodeLine {
  const [id = '', address = '', flags = '', master = '', , , , , ...slots] = line.split(' ')
  const flag = flags.split(',')
  return {
    id,
    master,
    port: Number(/:(\d+)@/.exec(address)?.[1]),
    isMaster: flag.includes('master'),
    isFailed: flag.includes('fail'),
    slots: slots
      .filter((text) => /^\d/.test(text))
      .map((text) => {
        const [first, last = first] = text.split('-').map(Number)
        return [first ?? 0, last ?? 0] as const
      }),
  }
}
