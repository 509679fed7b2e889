// Writes that count only once replicas have them: what is promised as replicated outlives the server that took it. It is
// proved that the server whose replicas were asked is the one that took the write, and has been the master ever since.

import { pause } from '../kernel/deadline.ts'
import { IntermixError, messageOf } from '../kernel/errors.ts'
import { GroupCommit } from '../kernel/group-commit.ts'
import { REDIS_REPLICAS, REDIS_REPLICATED_TOTAL } from '../kernel/metrics/process.ts'
import type { Clock, Counter, Meter, Random } from '../kernel/ports.ts'
import { Cluster } from 'ioredis'
import type { RedisLink } from './connection.ts'
import type { RedisAccess } from './redis-access.ts'
import { type Passage, ReplicaBarrier, tagOf } from './replica-barrier.ts'
import { SERVER_LINE, type ServerLine } from './server-line.ts'

export interface ReplicationOptions {
  /** What is written goes over this link. */
  readonly link: RedisLink
  /** Of the same Redis: waiting takes connections of its own. */
  readonly access: RedisAccess
  /** What that Redis is, in metrics. */
  readonly role: 'queue' | 'revocations'
  /** How many replicas must have a write, each time. */
  readonly replicas: number
  readonly clock: Clock
  readonly random: Random
  readonly meter: Meter
}

/** What was written, and a way to know that it is safe. */
export interface Written<T> {
  readonly value: T
  /**
   * Resolves once enough replicas have it. Where another server took over meanwhile, it is written again there, and the
   * value is that of the last time. Ask soon: the proof is from the write to the answer.
   * @throws IntermixError REDIS_UNAVAILABLE where too few replicas have it, or nobody can tell; it may be there all the same.
   */
  replicated(): Promise<T>
}

/** How long it is tried to prove a write, with what has to be written again. */
const PATIENCE_MS = 4_000
const RETRY_MS = 50
const PROBE_MS = 1_000
const LINE_TIMEOUT_MS = 500
/** Keys whose servers are remembered; of others they are asked for anew. */
const MAX_KEYS = 256
const RETRY_AFTER = { retryAfterMs: 1_000 }

/** Which server holds a key, as asked on which of the link's connections, one after the other. */
interface Seen {
  readonly line: ServerLine
  readonly connection: number
}

/** Of the server of a key. */
interface Trouble {
  readonly key: string
  readonly reason: string
}

interface KeyLine {
  /** Asks for the line; all who ask while it is under way share the next. */
  readonly asking: GroupCommit<undefined, Seen>
  last: Seen | undefined
}

export class Replication {
  readonly #options: ReplicationOptions
  readonly #barrier: ReplicaBarrier
  readonly #keys = new Map<string, KeyLine>()
  /** By hash tag: what has one is on one server. */
  readonly #troubles = new Map<string, Trouble>()
  readonly #listeners = new Set<() => void>()
  readonly #counts: Record<'replicated' | 'too-few' | 'failed', Counter>
  readonly #onClose = () => {
    this.#connection++
  }
  /** Changes with each connection of the link, which may lead to another server. */
  #connection = 0
  #cancelProbe: (() => void) | undefined
  #closed = false

  constructor(options: ReplicationOptions) {
    const { meter, link, role } = options
    this.#options = options
    const counter = meter.counter(REDIS_REPLICATED_TOTAL)
    this.#counts = {
      replicated: counter({ role, outcome: 'replicated' }),
      'too-few': counter({ role, outcome: 'too-few' }),
      failed: counter({ role, outcome: 'failed' }),
    }
    const gauge = meter.gauge(REDIS_REPLICAS)({ role })
    this.#barrier = new ReplicaBarrier({ ...options, onStanding: ({ replicas }) => gauge.set(replicas) })
    link.client.on('close', this.#onClose)
  }

  /** Whether keys of different slots may be on different servers, which do not fail together. */
  get spansServers(): boolean {
    return this.#options.link.client instanceof Cluster
  }

  /** Why nothing can be promised now of what is written beside a key; `undefined` where the last proof succeeded. */
  troubleOf(key: string): string | undefined {
    return this.#troubles.get(tagOf(key))?.reason
  }

  /** Calls back whenever that has changed of any key. */
  onTrouble(listener: () => void): void {
    this.#listeners.add(listener)
  }

  /**
   * Writes over the link. The write must do no harm when it is done twice.
   * @param key one that the write leaves there, so that it is on the server that took it
   * @throws what the write throws
   */
  async write<T>(key: string, write: () => Promise<T>): Promise<Written<T>> {
    const before = await this.#lineBefore(key)
    const value = await write()
    return { value, replicated: () => this.#prove(key, before, value, write) }
  }

  /** Looks whether what is written to the server of a key would be replicated, and goes on looking while it would not. */
  async probe(key: string): Promise<void> {
    if (this.#closed || this.#options.link.state() === 'down') return
    try {
      const { line } = await this.#lineNow(key)
      this.#judge(key, await this.#barrier.pass(line, key))
    } catch (error) {
      this.#fail(key, error)
    }
  }

  close(): void {
    this.#closed = true
    this.#cancelProbe?.()
    this.#options.link.client.off('close', this.#onClose)
    this.#barrier.close()
  }

  async #prove<T>(key: string, before: Seen | undefined, value: T, write: () => Promise<T>): Promise<T> {
    const { clock } = this.#options
    const endAt = clock.monotonic() + PATIENCE_MS
    let seen = before
    let result = value
    for (;;) {
      try {
        const now = await this.#lineNow(key)
        if (seen?.line === now.line && seen.connection === now.connection) {
          const refusal = this.#judge(key, await this.#barrier.pass(now.line, key))
          if (refusal === undefined) return result
          throw refusal
        }
        // Another server has it now, or nobody knows which one took the write.
        seen = now
        result = await write()
      } catch (error) {
        if (error instanceof TooFew) throw error
        if (this.#closed || isForGood(error) || clock.monotonic() >= endAt) throw this.#fail(key, error)
        await pause(clock, RETRY_MS)
      }
    }
  }

  /** As it is known from before on this connection, or asked for. */
  async #lineBefore(key: string): Promise<Seen | undefined> {
    const { last } = this.#of(key)
    return last?.connection === this.#connection ? last : await this.#lineNow(key).catch(() => undefined)
  }

  /** Asked for after the call. */
  async #lineNow(key: string): Promise<Seen> {
    const known = this.#of(key)
    known.last = await known.asking.add(undefined)
    return known.last
  }

  #of(key: string): KeyLine {
    const known = this.#keys.get(key)
    if (known !== undefined) return known
    const { link } = this.#options
    const ask = async (all: readonly undefined[]) => {
      const connection = this.#connection
      const line = await link.run((client) => SERVER_LINE.run(client, [key], []), LINE_TIMEOUT_MS)
      return all.map(() => ({ line, connection }))
    }
    const asking = new GroupCommit<undefined, Seen>(ask, { maxWeight: Number.POSITIVE_INFINITY, weigh: () => 1 })
    const fresh = { asking, last: undefined }
    this.#keys.set(key, fresh)
    for (const oldest of this.#keys.keys()) {
      if (this.#keys.size <= MAX_KEYS) break
      this.#keys.delete(oldest)
    }
    return fresh
  }

  #judge(key: string, passage: Passage): TooFew | undefined {
    if (passage === 'replicated') {
      this.#counts.replicated.add()
      this.#tell(key, undefined)
      return undefined
    }
    this.#counts['too-few'].add()
    this.#tell(key, passage.tooFew)
    return new TooFew('REDIS_UNAVAILABLE', passage.tooFew, RETRY_AFTER)
  }

  #fail(key: string, error: unknown): IntermixError {
    this.#counts.failed.add()
    const reason = messageOf(error)
    // A link that is down says so itself.
    if (this.#options.link.state() === 'up') this.#tell(key, `whether replicas have it cannot be told: ${reason}`)
    return new IntermixError('REDIS_UNAVAILABLE', `whether replicas of Redis have it is not known: ${reason}`, {
      cause: error,
      ...RETRY_AFTER,
    })
  }

  #tell(key: string, reason: string | undefined): void {
    const tag = tagOf(key)
    const before = this.#troubles.get(tag)?.reason
    if (reason === undefined) this.#troubles.delete(tag)
    else if (before !== undefined || this.#troubles.size < MAX_KEYS) this.#troubles.set(tag, { key, reason })
    if (reason !== before) for (const listener of this.#listeners) listener()
    if (this.#troubles.size > 0) this.#probeLater()
  }

  #probeLater(): void {
    if (this.#closed) return
    this.#cancelProbe ??= this.#options.clock.after(PROBE_MS, () => {
      this.#cancelProbe = undefined
      const probes = Promise.all([...this.#troubles.values()].map(({ key }) => this.probe(key)))
      void probes.then(() => {
        if (this.#troubles.size > 0) this.#probeLater()
      })
    })
  }
}

/** Known for certain: it is not worth another try. */
class TooFew extends IntermixError {}

/** What a server answers that has understood, and will answer again. */
function isForGood(error: unknown): boolean {
  return error instanceof Error && error.name === 'ReplyError' && /^(NOPERM|ERR unknown command)/.test(error.message)
}
