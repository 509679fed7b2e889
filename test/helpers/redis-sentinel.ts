// A real master with replicas on this machine, watched by sentinels that fail over within about a second.
import { until } from '../redis/support.ts'
import { freePorts } from './ports.ts'
import { fleetFolder, type FleetMember, RedisFleet, type RedisProcesses } from './redis-fleet.ts'

export interface RedisSentinel extends RedisProcesses {
  /** `redis+sentinel://`, which names all sentinels, and the password of the servers if there is one. */
  readonly url: string
  readonly sentinels: readonly number[]
  /** Ports of the master at the start and its replicas. */
  readonly servers: readonly number[]
  /** Port of the master as most sentinels see it. */
  master(): Promise<number>
  /** Has the sentinels choose another master. @returns its port, once it is one and the sentinels know */
  failover(): Promise<number>
  /** Resolves once another one than that at `port` is the master; `meanwhile` runs again and again. @returns its port */
  untilPromoted(port: number, options?: { readonly meanwhile?: () => Promise<unknown> }): Promise<number>
  /** Resolves once every server that runs follows the master or is it, and every sentinel that runs knows all others. */
  untilOk(timeoutMs?: number): Promise<void>
}

export interface SentinelOptions {
  readonly replicas?: number
  readonly sentinels?: number
  /** Of the servers. */
  readonly password?: string
  /** Of the sentinels themselves; without it they ask for none. */
  readonly sentinelPassword?: string
  /** After so long without an answer a sentinel takes a server for down; 500 unless told. */
  readonly downAfterMs?: number
  /** Further arguments of the servers. */
  readonly args?: readonly string[]
}

const NAME = 'main'

/** Starts them, and waits until the replicas follow the master and the sentinels know each other. */
export async function startSentinel(options: SentinelOptions = {}): Promise<RedisSentinel> {
  const { replicas = 2, sentinels = 3, password, args = [] } = options
  const ports = await freePorts(1 + replicas + sentinels)
  const servers = ports.slice(0, 1 + replicas)
  const watchers = ports.slice(1 + replicas)
  const setup = new LocalSentinel(await fleetFolder(), servers, watchers, password)
  const [master = 0] = servers
  try {
    for (const port of servers) await setup.add(server(port, master, args, password))
    // Sentinels ask the master for its replicas at once, and then every 10 s.
    for (const port of servers) await until(() => setup.follows(port, master), `${port} follows ${master}`, 30_000)
    for (const port of watchers) await setup.add(sentinel(port, master, options))
    await setup.untilOk()
  } catch (error) {
    await setup.stop()
    throw error
  }
  return setup
}

function server(port: number, master: number, args: readonly string[], password: string | undefined): FleetMember {
  const config = [
    'save ""',
    'appendonly yes',
    'repl-diskless-sync-delay 0',
    // All may become masters, and sentinels rewrite who follows whom.
    ...(port === master ? [] : [`replicaof 127.0.0.1 ${master}`]),
    ...(password === undefined ? [] : [`requirepass ${password}`, `masterauth ${password}`]),
  ]
  return { port, config, args, password }
}

function sentinel(port: number, master: number, options: SentinelOptions): FleetMember {
  const { sentinels = 3, downAfterMs = 500, password, sentinelPassword } = options
  const own = [`requirepass ${sentinelPassword}`, `sentinel sentinel-pass ${sentinelPassword}`]
  const config = [
    `sentinel monitor ${NAME} 127.0.0.1 ${master} ${Math.floor(sentinels / 2) + 1}`,
    `sentinel down-after-milliseconds ${NAME} ${downAfterMs}`,
    `sentinel failover-timeout ${NAME} 1500`,
    `sentinel parallel-syncs ${NAME} 5`,
    ...(password === undefined ? [] : [`sentinel auth-pass ${NAME} ${password}`]),
    ...(sentinelPassword === undefined ? [] : own),
  ]
  return { port, config, args: ['--sentinel'], password: sentinelPassword }
}

class LocalSentinel extends RedisFleet implements RedisSentinel {
  readonly servers: readonly number[]
  readonly sentinels: readonly number[]
  readonly #password: string | undefined

  constructor(directory: string, servers: readonly number[], sentinels: readonly number[], password?: string) {
    super(directory)
    this.servers = servers
    this.sentinels = sentinels
    this.#password = password
  }

  get url(): string {
    const credentials = this.#password === undefined ? '' : `:${encodeURIComponent(this.#password)}@`
    return `redis+sentinel://${credentials}${this.sentinels.map((port) => `127.0.0.1:${port}`).join(',')}/${NAME}`
  }

  async master(): Promise<number> {
    const votes = new Map<number, number>()
    for (const port of this.#answering(this.sentinels)) {
      const [, told] = (await this.ask(port, 'SENTINEL', 'GET-MASTER-ADDR-BY-NAME', NAME)) as [string, string]
      votes.set(Number(told), (votes.get(Number(told)) ?? 0) + 1)
    }
    const [most] = [...votes].sort(([, a], [, b]) => b - a)
    if (most === undefined) throw new Error('no sentinel answers')
    return most[0]
  }

  async failover(): Promise<number> {
    const before = await this.master()
    const [any = 0] = this.#answering(this.sentinels)
    await this.ask(any, 'SENTINEL', 'FAILOVER', NAME)
    return await this.untilPromoted(before)
  }

  async untilPromoted(port: number, options: { readonly meanwhile?: () => Promise<unknown> } = {}): Promise<number> {
    let now = port
    const promoted = async () => {
      await options.meanwhile?.()
      now = await this.master().catch(() => port)
      return now !== port && (await this.#info(now)).includes('role:master')
    }
    await until(promoted, `another one than ${port} is the master`, 30_000)
    return now
  }

  /** Whether the server at `port` is the master or has its data from it. */
  async follows(port: number, master: number): Promise<boolean> {
    const info = await this.#info(port)
    if (port === master) return info.includes('role:master')
    return info.includes('master_link_status:up') && info.includes(`master_port:${master}`)
  }

  async untilOk(timeoutMs = 30_000): Promise<void> {
    const knows = async (port: number) => {
      const told = (await this.ask(port, 'SENTINEL', 'MASTER', NAME)) as string[]
      const valueOf = (name: string) => Number(told[told.indexOf(name) + 1])
      const isComplete = valueOf('num-slaves') >= this.servers.length - 1
      return isComplete && valueOf('num-other-sentinels') === this.sentinels.length - 1
    }
    const ok = async () => {
      const master = await this.master()
      const all = [
        ...this.#answering(this.servers).map((port) => this.follows(port, master)),
        ...this.#answering(this.sentinels).map((port) => knows(port)),
      ]
      return (await Promise.all(all)).every((each) => each)
    }
    await until(() => ok().catch(() => false), 'the replicas follow, and the sentinels know them', timeoutMs)
  }

  #answering(ports: readonly number[]): readonly number[] {
    return this.answering.filter((port) => ports.includes(port))
  }

  /** Empty where it does not answer: a sentinel cuts the connections of what it promotes. */
  async #info(port: number): Promise<string> {
    return String(await this.ask(port, 'INFO', 'replication').catch(() => ''))
  }
}
