// How many shards the queues of a mesh have. Processes may disagree while a setting is changed: each says how many it uses
// before it adds to them, and whoever takes from queues serves as many as anybody has said, until those are empty.

import type { Clock } from '../kernel/ports.ts'
import type { RedisLink } from '../redis/connection.ts'
import { keySlot } from '../redis/key-slot.ts'
import { type QueueNames, queueNames } from './queue-names.ts'

/** Of one queue; each costs a worker a connection. */
const MAX_QUEUE_SHARDS = 24
/** On a cluster, which has three masters at least, and where nothing is gained by more than it has. */
const ON_A_CLUSTER = 3

export interface QueueShardsOptions {
  readonly link: RedisLink
  readonly clock: Clock
  /** Of the mesh. */
  readonly prefix?: string | undefined
  /** Shards that this process adds to; three on a cluster and one elsewhere unless set. */
  readonly own?: number | undefined
}

/** What is said is said again, in the background. */
const SAY_EVERY_MS = 60_000
/** After so long it is said again before anything is added, and may be forgotten after twice that. */
const HOLDS_MS = 300_000
const TIMEOUT_MS = 2_000

/** The shard to which something with this id belongs. */
export function shardOf(id: string, shards: number): number {
  return shards === 1 ? 0 : keySlot(id) % shards
}

/** How many shards anybody has said that the queues of a mesh have. @throws IntermixError REDIS_UNAVAILABLE */
export async function shardsSaid(link: RedisLink, names: Pick<QueueNames, 'shards'>): Promise<number> {
  const said = await saidIn(link, names.shards)
  return Math.max(1, ...said.map(({ shards }) => shards))
}

interface Said {
  readonly shards: number
  /** Milliseconds since the epoch. */
  readonly at: number
}

async function saidIn(link: RedisLink, key: string): Promise<readonly Said[]> {
  const raw = await link.run((client) => client.zrange(key, 0, '-1', 'WITHSCORES'), TIMEOUT_MS)
  const said: Said[] = []
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const shards = Number(raw[i])
    if (Number.isSafeInteger(shards) && shards >= 1 && shards <= MAX_QUEUE_SHARDS)
      said.push({ shards, at: Number(raw[i + 1]) })
  }
  return said
}

export class QueueShards {
  /** Shards that this process adds to. */
  readonly own: number
  readonly #link: RedisLink
  readonly #clock: Clock
  readonly #key: string
  readonly #listeners = new Set<() => void>()
  #known: number
  #saidAt = Number.NEGATIVE_INFINITY
  #saying: Promise<void> | undefined

  constructor({ link, clock, prefix, own = link.client.isCluster ? ON_A_CLUSTER : 1 }: QueueShardsOptions) {
    this.own = own
    this.#link = link
    this.#clock = clock
    this.#key = queueNames(prefix).shards
    this.#known = own
    // A Redis that comes back may have forgotten it.
    link.onDown(() => {
      this.#saidAt = Number.NEGATIVE_INFINITY
    })
  }

  /** Shards in which something may lie, as of the latest look: `own` at least. */
  get known(): number {
    return this.#known
  }

  /** Calls back when `known` has changed; the returned function ends that. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /**
   * To be awaited before something is added to a shard; `undefined` where others know already.
   * @throws IntermixError REDIS_UNAVAILABLE
   */
  say(): Promise<void> | undefined {
    const ageMs = this.#clock.monotonic() - this.#saidAt
    if (this.own === 1 || ageMs < SAY_EVERY_MS) return undefined
    this.#saying ??= this.#say().finally(() => {
      this.#saying = undefined
    })
    if (ageMs >= HOLDS_MS) return this.#saying
    this.#saying.catch(() => undefined)
    return undefined
  }

  /**
   * Asks what others have said.
   * @param areEmpty whether nothing lies in the shards from one on, up to another: then they may be forgotten, where nobody
   *   has spoken of them for long
   * @throws IntermixError REDIS_UNAVAILABLE
   */
  async look(areEmpty?: (from: number, to: number) => Promise<boolean>): Promise<void> {
    const said = await saidIn(this.#link, this.#key)
    const since = this.#clock.now() - 2 * HOLDS_MS
    const used = Math.max(this.own, ...said.filter(({ at }) => at >= since).map(({ shards }) => shards))
    const old = said.filter(({ at }) => at < since).map(({ shards }) => shards)
    let known = Math.max(used, ...old)
    if (areEmpty !== undefined && old.length > 0 && (await areEmpty(used, known))) {
      await this.#link.run((client) => client.zrem(this.#key, ...old.map(String)), TIMEOUT_MS)
      known = used
    }
    if (known === this.#known) return
    this.#known = known
    for (const listener of this.#listeners) listener()
  }

  async #say(): Promise<void> {
    const { own } = this
    await this.#link.run((client) => client.zadd(this.#key, String(this.#clock.now()), String(own)), TIMEOUT_MS)
    this.#saidAt = this.#clock.monotonic()
  }
}
