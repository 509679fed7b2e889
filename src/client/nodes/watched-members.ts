// Which nodes there are: as they were listed, as names lead to them, or as nodes tell. A list that cannot be had leaves the last
// one in force; whether a node is there its link finds out.

import { isIP } from 'node:net'
import type { ConnectionOptions } from 'node:tls'
import { within } from '../../kernel/deadline.ts'
import { IntermixError } from '../../kernel/errors.ts'
import { dns } from '../../kernel/late-modules.ts'
import type { Clock, Logger, Random } from '../../kernel/ports.ts'
import type { MeshMembers } from '../../wire/batch/news.ts'
import type { PoolMember } from './node-pool.ts'
import { addressText, type NodeSource, readAddress } from './node-sources.ts'

/** What is asked of DNS. */
export interface Resolver {
  addresses(name: string): Promise<readonly string[]>
  services(
    name: string,
  ): Promise<readonly { readonly name: string; readonly port: number; readonly priority: number }[]>
}

export interface WatchedMembersOptions {
  readonly sources: readonly NodeSource[]
  /** Whether nodes that are told of are asked before those that are listed. */
  readonly discover: boolean
  /** Of each node; the name in its certificate is that under which it is listed, unless `servername` says another one. */
  readonly tls?: ConnectionOptions | undefined
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  /** Unless given, that of the system. */
  readonly resolver?: Resolver
  /** Whether any node can be heard now: else those that were told of may be no more, and the list is all that is left. */
  readonly isHeard: () => boolean
  readonly onMembers: (members: readonly PoolMember[]) => void
}

interface Target {
  readonly members: readonly PoolMember[]
  readonly isFailing: boolean
}

const LOOK_MS = 10_000
/** Before there is any list. */
const FIRST_LOOK_MS = 1_000
const RESOLVE_TIMEOUT_MS = 5_000
const MAX_MEMBERS = 10_000

/** Of the system: names in /etc/hosts and search domains count, as for every program there. */
const SYSTEM: Resolver = {
  addresses: async (name) => (await dns().lookup(name, { all: true })).map(({ address }) => address),
  services: (name) => dns().resolveSrv(name),
}

export class WatchedMembers {
  readonly #options: WatchedMembersOptions
  readonly #resolver: Resolver
  /** What each source led to last. */
  readonly #found = new Map<NodeSource, readonly PoolMember[]>()
  readonly #failing = new Set<NodeSource>()
  /** What each service record named last. */
  readonly #targets = new Map<NodeSource, ReadonlyMap<string, Target>>()
  #told: readonly PoolMember[] | undefined
  #published = ''
  #cancel = () => {}
  #isStopped = false

  constructor(options: WatchedMembersOptions) {
    this.#options = options
    this.#resolver = options.resolver ?? SYSTEM
  }

  /** Resolves when all sources were looked at once. */
  start(): Promise<void> {
    return this.#look()
  }

  stop(): void {
    this.#isStopped = true
    this.#cancel()
  }

  /** Nodes have told who is there. */
  told({ nodes, leaving }: MeshMembers): void {
    if (!this.#options.discover) return
    const going = new Set(leaving)
    const members: PoolMember[] = []
    for (const id of nodes.slice(0, MAX_MEMBERS)) {
      const address = readAddress(id)
      if (address !== undefined) members.push({ ...this.#member(address.host, address.port), isLeaving: going.has(id) })
    }
    if (members.length === 0) return
    this.#told = members
    this.#publish()
  }

  async #look(): Promise<void> {
    const { sources, clock, random, isHeard, log } = this.#options
    await Promise.all(sources.map((source) => this.#resolve(source)))
    if (this.#isStopped) return
    if (this.#told !== undefined && !isHeard()) {
      log.warn(
        { nodes: this.#told.length },
        'none of the nodes that were told of can be heard: asking those on the list',
      )
      this.#told = undefined
    }
    this.#publish()
    const afterMs = this.#found.size < sources.length ? FIRST_LOOK_MS : LOOK_MS
    // Not all callers look at the same moment.
    this.#cancel = clock.after(afterMs * (0.9 + random() / 5), () => void this.#look())
  }

  async #resolve(source: NodeSource): Promise<void> {
    const { clock, log } = this.#options
    try {
      const found = await within(clock, RESOLVE_TIMEOUT_MS, this.#membersOf(source), () => {
        throw new IntermixError('DEADLINE_EXCEEDED', 'DNS gave no answer in time')
      })
      if (found.length === 0) throw new IntermixError('NOT_FOUND', 'it leads to no address')
      this.#found.set(source, found)
      this.#failing.delete(source)
    } catch (error) {
      if (this.#failing.has(source)) return
      this.#failing.add(source)
      log.warn({ err: error, source }, 'which nodes there are could not be looked up: going on with what is known')
    }
  }

  async #membersOf(source: NodeSource): Promise<readonly PoolMember[]> {
    switch (source.kind) {
      case 'socket':
        return [{ id: `unix:${source.path}`, address: { path: source.path } }]
      case 'address':
        return [this.#member(source.host, source.port)]
      case 'dns':
        return await this.#named(source.name, source.port)
      default: {
        const services = await this.#resolver.services(source.name)
        // Those behind them are for when none of these is there.
        const first = Math.min(...services.map(({ priority }) => priority))
        return await this.#served(
          source,
          services.filter(({ priority }) => priority === first),
        )
      }
    }
  }

  /** A target that cannot be looked up is where it was last, and keeps no other one away. */
  async #served(
    source: NodeSource,
    services: Awaited<ReturnType<Resolver['services']>>,
  ): Promise<readonly PoolMember[]> {
    const before = this.#targets.get(source)
    const targets = new Map<string, Target>()
    let failure: unknown
    const look = async ({ name, port }: (typeof services)[number]) => {
      const target = addressText(name, port)
      const known = before?.get(target)
      try {
        targets.set(target, { members: await this.#named(name, port), isFailing: false })
      } catch (error) {
        failure = error
        targets.set(target, { members: known?.members ?? [], isFailing: true })
        if (known?.isFailing !== true)
          this.#options.log.warn({ err: error, target }, 'a target of a service record could not be looked up')
      }
    }
    await Promise.all(services.map(look))
    this.#targets.set(source, targets)
    const members = Array.from(targets.values(), (target) => target.members).flat()
    if (members.length === 0 && failure !== undefined) throw failure
    return members
  }

  async #named(name: string, port: number): Promise<readonly PoolMember[]> {
    const addresses = await this.#resolver.addresses(name)
    return addresses.map((address) => this.#member(address, port, name))
  }

  #member(host: string, port: number, servername = host): PoolMember {
    const { tls } = this.#options
    const id = addressText(host, port)
    if (tls === undefined) return { id, address: { host, port } }
    // What is read anew each time, as from a file, still is: properties are not copied by their values.
    const own = Object.defineProperties({}, Object.getOwnPropertyDescriptors(tls)) as ConnectionOptions
    if (tls.servername === undefined && isIP(servername) === 0) Object.assign(own, { servername })
    return { id, address: { host, port, tls: own } }
  }

  #publish(): void {
    const listed = Array.from(this.#found.values()).flat()
    // Where those that were told of cannot be reached from here, the list is left.
    const lastResort = listed.map((member) => ({ ...member, isLeaving: true }))
    const all = this.#told === undefined ? listed : [...lastResort, ...this.#told]
    const members = Array.from(new Map(all.map((member) => [member.id, member])).values())
    const text = JSON.stringify(members.map(({ id, isLeaving = false }) => `${id} ${isLeaving}`).toSorted())
    if (members.length === 0 || text === this.#published) return
    this.#published = text
    this.#options.onMembers(members.slice(0, MAX_MEMBERS))
  }
}
