// The mesh-wide tier: verdicts in Redis, shared by all nodes. Every call is bounded by the link's deadline, and
// whatever goes wrong is a miss: the mesh tier can make a check cheaper, never slower than its deadline or wrong.

import { IntermixError } from '../kernel/errors.ts'
import type { Clock, Counter, Meter } from '../kernel/ports.ts'
import type { RedisLink } from '../redis/connection.ts'
import { defineScript } from '../redis/scripts.ts'
import { createRefusals } from './cache-metrics.ts'
import { decodeBlob, encodeBlob } from './verdict-blob.ts'
import type { VerdictEntry } from './verdict-entry.ts'

/** What the mesh tier knows of a key. `lease`: this node fetches it; `wait`: another node does, or ask again. */
export type MeshLookup =
  | { readonly state: 'fresh'; readonly entry: VerdictEntry }
  | { readonly state: 'lease' | 'wait'; readonly stale: VerdictEntry | undefined }
  | { readonly state: 'unavailable' }

interface RawLookup {
  readonly state: 'F' | 'L' | 'W'
  readonly ageMs: number
  readonly remainingMs: number
  readonly uses: number
  readonly blob: string
}

const GET = defineScript<RawLookup>({ name: 'verdict-get', keys: 2, reply: readLookup })
const FILL = defineScript<unknown>({ name: 'verdict-fill', keys: 2, reply: (raw) => raw })

/** Characters of an entry: what is larger costs every node more to fetch from Redis than it saves. */
const MAX_BLOB = 256 * 1024

export interface MeshTierOptions {
  readonly link: RedisLink
  readonly clock: Clock
  readonly meter: Meter
  /** Prefix of all keys, without braces. */
  readonly prefix: string
  /** Names this node in leases. */
  readonly nodeId: string
  /** A clock that all nodes share, for simulations; unless given, the Redis server's own. */
  readonly sharedNow?: () => number
}

export class MeshTier {
  readonly #options: MeshTierOptions
  readonly #garbage: Counter
  readonly #tooLarge: Counter
  #leases = 0

  constructor(options: MeshTierOptions) {
    this.#options = options
    this.#garbage = options.meter.counter({
      name: 'cache_mesh_garbage_total',
      help: 'Entries of the mesh tier that were not understood and taken for a miss.',
    })()
    this.#tooLarge = createRefusals(options.meter, 'mesh').size
  }

  /** A token under which this node takes the lease of one fetch. */
  token(): string {
    return `${this.#options.nodeId}.${++this.#leases}`
  }

  /**
   * Looks a verdict up. `known` is the entry that the node has: only a younger one is given. `staleForMs` is how long
   * past its freshness an entry of this handler may be served.
   */
  async lookup(
    key: string,
    request: {
      readonly token: string
      readonly leaseMs: number
      readonly known: VerdictEntry | undefined
      readonly staleForMs: number
    },
  ): Promise<MeshLookup> {
    const { link, clock } = this.#options
    const sentAt = clock.monotonic()
    // Ages are told to the millisecond on two clocks: what differs by less is the same entry.
    const knownAge = request.known === undefined ? -1 : Math.max(0, Math.floor(sentAt - request.known.createdAt) - 2)
    let raw: RawLookup
    try {
      raw = await link.run((client) =>
        GET.run(client, this.#keys(key), [request.token, request.leaseMs, knownAge, this.#now()]),
      )
    } catch {
      return { state: 'unavailable' }
    }
    const entry = this.#read(key, raw, sentAt, request.staleForMs)
    if (raw.state !== 'F') return { state: raw.state === 'L' ? 'lease' : 'wait', stale: entry }
    // Not understood: nobody holds the lease, so fetch without one and overwrite it.
    if (entry === undefined) return { state: 'unavailable' }
    // A reply that was long on its way may bring what was fresh when Redis sent it and is no more.
    return clock.monotonic() < entry.freshUntil ? { state: 'fresh', entry } : { state: 'wait', stale: entry }
  }

  /**
   * Stores a fetched verdict for the other nodes (`uses` of its budget are theirs) and gives the lease back. One that is
   * too large is counted and not shared.
   */
  async fill(
    key: string,
    entry: VerdictEntry | undefined,
    request: { readonly token: string; readonly uses: number },
  ): Promise<void> {
    const { link, clock } = this.#options
    const now = clock.monotonic()
    const blob = entry === undefined ? '' : encodeBlob(key, entry)
    if (blob.length > MAX_BLOB) this.#tooLarge.add()
    const args =
      entry === undefined || blob.length > MAX_BLOB
        ? [request.token, 0, 0, 0, 0, '', '']
        : [
            request.token,
            Math.max(0, Math.round(now - entry.createdAt)),
            Math.round(entry.freshUntil - now),
            Math.max(1, Math.round(entry.staleUntil - now)),
            Math.max(0, request.uses),
            blob,
            this.#now(),
          ]
    try {
      await link.run((client) => FILL.run(client, this.#keys(key), args))
    } catch {
      // The link counts its failures; the entry is simply not shared.
    }
  }

  #now(): number | '' {
    return this.#options.sharedNow?.() ?? ''
  }

  #keys(key: string): [entry: string, lease: string] {
    const tag = `${this.#options.prefix}:{${key}}`
    return [`${tag}:v`, `${tag}:l`]
  }

  #read(key: string, raw: RawLookup, sentAt: number, staleForMs: number): VerdictEntry | undefined {
    if (raw.ageMs < 0 && raw.state !== 'F') return undefined
    const blob = decodeBlob(key, raw.blob)
    if (blob === undefined) {
      this.#garbage.add()
      return undefined
    }
    // Counted from before the request was sent, the entry is never taken for younger than it is.
    const freshUntil = sentAt + raw.remainingMs
    return {
      ...blob,
      createdAt: sentAt - raw.ageMs,
      freshUntil,
      staleUntil: freshUntil + staleForMs,
      usesLeft: raw.uses,
      hits: 0,
      lastHitAt: sentAt,
    }
  }
}

function readLookup(raw: unknown): RawLookup {
  if (!Array.isArray(raw) || raw.length !== 5)
    throw new IntermixError('REDIS_UNAVAILABLE', 'unexpected reply of a script')
  const [state, ageMs, remainingMs, uses, blob] = raw as [RawLookup['state'], number, number, number, string]
  return { state, ageMs, remainingMs, uses, blob }
}
