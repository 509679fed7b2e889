// Asks a server to wait until replicas have all that it was written so far. WAIT blocks its connection and covers only what
// was written on it before: so it has connections of its own, and writes a small key first, which is later than all that
// is to be covered. While one WAIT is under way others gather, and share the next.

import { Cluster, type Redis } from 'ioredis'
import { within } from '../kernel/deadline.ts'
import { IntermixError } from '../kernel/errors.ts'
import { GroupCommit } from '../kernel/group-commit.ts'
import type { Clock, Random } from '../kernel/ports.ts'
import { createRedisClient, type RedisClient } from './create-client.ts'
import type { RedisAccess } from './redis-access.ts'
import { readStanding, type ServerLine, type ServerStanding } from './server-line.ts'

export interface ReplicaBarrierOptions {
  readonly access: RedisAccess
  /** How many replicas must have it. */
  readonly replicas: number
  readonly clock: Clock
  readonly random: Random
  /** Hears how many replicas a server has, whenever one was asked. */
  readonly onStanding?: (standing: ServerStanding) => void
}

/** What a WAIT showed: `replicated`, or that too few replicas have it, in words. */
export type Passage = 'replicated' | { readonly tooFew: string }

/** How long replicas may take; those of a server in good order take a round trip. */
const WAIT_MS = 1_000
/** Beyond the wait, what its answer may take. */
const ANSWER_MS = 1_000
const ASK_MS = 500
const CONNECT_MS = 1_000
const SOCKET_TIMEOUT_MS = 5_000
const KEY_LIFE_MS = 10_000
/** Servers, and the lines that they had: as many as one may meet between two restarts. */
const MAX_LINES = 64

export class ReplicaBarrier {
  readonly #options: ReplicaBarrierOptions
  readonly #groups = new Map<ServerLine, GroupCommit<string, Passage>>()
  readonly #servers = new Map<ServerLine, Redis>()
  #client: RedisClient | undefined

  constructor(options: ReplicaBarrierOptions) {
    this.#options = options
  }

  /**
   * Resolves when enough replicas have all that the server of this line had been written when it was called.
   * @param key of what was written: a key beside it, in its slot, is written
   * @throws IntermixError REDIS_UNAVAILABLE where no server of that line was found: what became of it is not known.
   */
  pass(line: ServerLine, key: string): Promise<Passage> {
    const known = this.#groups.get(line)
    if (known !== undefined) return known.add(key)
    const commit = async (keys: readonly string[]) => {
      const passage = await this.#wait(line, keys[0] ?? '')
      return keys.map(() => passage)
    }
    const group = new GroupCommit<string, Passage>(commit, { maxWeight: Number.POSITIVE_INFINITY, weigh: () => 1 })
    remember(this.#groups, line, group)
    return group.add(key)
  }

  close(): void {
    this.#client?.disconnect()
  }

  async #wait(line: ServerLine, key: string): Promise<Passage> {
    const { clock, replicas, onStanding } = this.#options
    const server = await this.#serverOf(line)
    const barrier = `${tagOf(key)}:replicated`
    // In one turn, and so on one connection.
    const asked = Promise.all([
      server.set(barrier, line, 'PX', KEY_LIFE_MS),
      server.wait(replicas, WAIT_MS),
      server.info('server'),
      server.info('replication'),
    ])
    const [, count, ...info] = await within(clock, WAIT_MS + ANSWER_MS, asked, () => {
      server.disconnect(true)
      throw unavailable('Redis did not answer a WAIT for its replicas in time')
    })
    const standing = readStanding(...info)
    if (standing.line !== line) {
      this.#forget(line, server)
      throw unavailable('another server has taken over meanwhile')
    }
    onStanding?.(standing)
    if (count >= replicas) return 'replicated'
    const followers = standing.replicas < replicas ? `it has ${standing.replicas}` : `${count} did within ${WAIT_MS} ms`
    return {
      tooFew: `${replicas} replica${replicas === 1 ? '' : 's'} of Redis must take what it is written: ${followers}`,
    }
  }

  async #serverOf(line: ServerLine): Promise<Redis> {
    this.#client ??= this.#connect()
    const client = this.#client
    await this.#connected(client)
    if (!(client instanceof Cluster)) return client
    const masters = client.nodes('master')
    const known = this.#servers.get(line)
    if (known !== undefined && masters.includes(known)) return known
    await Promise.all(masters.map((each) => this.#ask(each)))
    const found = this.#servers.get(line)
    if (found !== undefined) return found
    // Where roles have changed, the cluster tells so only to those who ask.
    client.refreshSlotsCache()
    throw unavailable('the server that was written is not among the masters of the cluster')
  }

  /** It connects when it is first needed, and anew after a failover: what waits then is not refused for that. */
  async #connected(client: RedisClient): Promise<void> {
    if (client.status === 'ready') return
    const { promise, resolve } = Promise.withResolvers<void>()
    client.once('ready', resolve)
    await within(this.#options.clock, CONNECT_MS, promise, () => {
      client.off('ready', resolve)
      throw unavailable('no connection could be made on which to wait for replicas')
    })
  }

  async #ask(server: Redis): Promise<void> {
    const asked = Promise.all([server.info('server'), server.info('replication')])
    const info = await within(this.#options.clock, ASK_MS, asked, () => undefined).catch(() => undefined)
    if (info !== undefined) remember(this.#servers, readStanding(...info).line, server)
  }

  #connect(): RedisClient {
    const { access, random } = this.#options
    const client = createRedisClient(access, { socketTimeout: SOCKET_TIMEOUT_MS }, random)
    // The link to the same Redis tells what is wrong with it.
    client.on('error', () => undefined)
    return client
  }

  #forget(line: ServerLine, server: Redis): void {
    this.#servers.delete(line)
    this.#groups.delete(line)
    // Sentinel or a name may lead to another server by now.
    if (server === this.#client) server.disconnect(true)
  }
}

/** What decides on which server of a cluster a key is. */
export function tagOf(key: string): string {
  return /\{[^}]+\}/.exec(key)?.[0] ?? `{${key}}`
}

function remember<T>(map: Map<ServerLine, T>, line: ServerLine, value: T): void {
  map.set(line, value)
  for (const oldest of map.keys()) {
    if (map.size <= MAX_LINES) return
    map.delete(oldest)
  }
}

function unavailable(message: string): IntermixError {
  return new IntermixError('REDIS_UNAVAILABLE', message)
}
