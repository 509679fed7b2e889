// The mesh-wide tier: verdicts in Redis, shared by all nodes. Every call is bounded by the link's deadline, and
// whatever goes wrong is a miss: the mesh tier can make a check cheaper, never slower than its deadline or wrong.

import type { MeshSeal } from '../kernel/mesh-signatures.ts'
import { CACHE_MESH_GARBAGE_TOTAL } from '../kernel/metrics/cache.ts'
import type { Clock, Counter, Meter } from '../kernel/ports.ts'
import { MAX_VALID_FOR_MS, type Verdict } from '../kernel/verdict.ts'
import type { RedisLink } from '../redis/connection.ts'
import { defineScript } from '../redis/scripts.ts'
import { createRefusals } from './cache-metrics.ts'
import { entryOf, type MeshQuestion, type RawLookup, readLookup, signedText, signedTimes } from './mesh-entry.ts'
import { encodeBlob } from './verdict-blob.ts'
import { isUseBound, type VerdictEntry } from './verdict-entry.ts'

/** What the mesh tier knows of a key. `lease`: this node fetches it; `wait`: another node does, or ask again. */
export type MeshLookup =
  | { readonly state: 'fresh'; readonly entry: VerdictEntry; readonly seen: ServerTime }
  | { readonly state: 'lease' | 'wait'; readonly stale: VerdictEntry | undefined; readonly seen: ServerTime }
  | { readonly state: 'unavailable'; readonly seen?: ServerTime }

/**
 * A reading of the Redis server's clock, and when it arrived on this process's monotonic one. The server's clock was at
 * `serverMs` or later by then, so that nothing that is told by it is ever taken for younger than it is.
 */
export interface ServerTime {
  readonly serverMs: number
  readonly arrivedAt: number
}

const GET = defineScript<RawLookup>({ name: 'verdict-get', keys: 2, reply: readLookup })
const FILL = defineScript<unknown>({ name: 'verdict-fill', keys: 2, reply: (raw) => raw })
const DROP = defineScript<unknown>({ name: 'verdict-drop', keys: 1, reply: (raw) => raw })

/** No node takes a lease for longer. */
export const MAX_LEASE_MS = 5_000
/** What is larger costs every node more to fetch from Redis than it saves: it is neither shared nor read. */
const MAX_BLOB_BYTES = 256 * 1024

export interface MeshTierOptions {
  readonly link: RedisLink
  readonly clock: Clock
  readonly meter: Meter
  /** Prefix of all keys, without braces. */
  readonly prefix: string
  /** Names this node in leases. */
  readonly nodeId: string
  /** Signs what is stored, and is asked of what is found; `undefined`: whoever can write there is believed. */
  readonly seal?: MeshSeal | undefined
  /** A clock that all nodes share, for simulations; unless given, the Redis server's own. */
  readonly sharedNow?: () => number
}

export class MeshTier {
  readonly #options: MeshTierOptions
  readonly #wrong: (labels: { reason: string }) => Counter
  readonly #tooLarge: Counter
  #leases = 0

  constructor(options: MeshTierOptions) {
    this.#options = options
    this.#wrong = options.meter.counter(CACHE_MESH_GARBAGE_TOTAL)
    this.#tooLarge = createRefusals(options.meter, 'mesh').size
  }

  /** A token under which this node takes the lease of one fetch. */
  token(): string {
    return `${this.#options.nodeId}.${++this.#leases}`
  }

  /**
   * Whether a verdict may be shared. How many uses are left is counted in Redis and cannot be signed: where who writes there is not
   * believed, a verdict whose uses its backend meant to bound stays with the node that has fetched it.
   */
  shares(verdict: Verdict): boolean {
    return this.#options.seal === undefined || !isUseBound(verdict)
  }

  /** Looks a verdict up. What is found and cannot be a verdict of this key is removed, and counts as not there. */
  async lookup(key: string, question: MeshQuestion): Promise<MeshLookup> {
    const first = await this.#lookup(key, question)
    // Whoever asks again finds it gone, and gets the lease or waits for the node that has it.
    const found = first === 'removed' ? await this.#lookup(key, question) : first
    return found === 'removed' ? { state: 'unavailable' } : found
  }

  async #lookup(key: string, question: MeshQuestion): Promise<MeshLookup | 'removed'> {
    const { link, clock } = this.#options
    const { token, leaseMs, known, maxUses, maxStaleUses } = question
    const sentAt = clock.monotonic()
    // Ages are told to the millisecond on two clocks: what differs by less is the same entry.
    const knownAge = known === undefined ? -1 : Math.max(0, Math.floor(sentAt - known.createdAt) - 3)
    const args = [
      token,
      leaseMs,
      knownAge,
      this.#now(),
      MAX_VALID_FOR_MS,
      MAX_BLOB_BYTES,
      MAX_LEASE_MS,
      maxUses,
      maxStaleUses,
    ]
    let raw: RawLookup
    try {
      raw = await link.run((client) => GET.run(client, this.#keys(key), args))
    } catch {
      return { state: 'unavailable' }
    }
    if (raw.wrong !== '') this.#wrong({ reason: raw.wrong }).add()
    const seen: ServerTime = { serverMs: raw.now, arrivedAt: clock.monotonic() }
    const entry = raw.blob === '' ? undefined : entryOf(key, raw, sentAt, question, this.#options.seal)
    if (typeof entry === 'string') {
      this.#wrong({ reason: entry }).add()
      const isGone = await this.#drop(key, raw.blob)
      if (raw.state === 'F') return isGone ? 'removed' : { state: 'unavailable', seen }
      return { state: raw.state === 'L' ? 'lease' : 'wait', stale: undefined, seen }
    }
    if (raw.state !== 'F' || entry === undefined) {
      return { state: raw.state === 'L' ? 'lease' : 'wait', stale: entry, seen }
    }
    // A reply that was long on its way may bring what was fresh when Redis sent it and is no more.
    return clock.monotonic() < entry.freshUntil
      ? { state: 'fresh', entry, seen }
      : { state: 'wait', stale: entry, seen }
  }

  /**
   * Stores a fetched verdict for the other nodes (`uses` of its budget are theirs) and gives the lease back. One that is
   * too large is counted and not shared. Its times are told by the server's clock as it was `seen` at the lookup: a fill
   * may lie on its way for as long as Redis or this process stands still, and the verdict grows older meanwhile.
   */
  async fill(
    key: string,
    entry: VerdictEntry | undefined,
    request: { readonly token: string; readonly uses: number; readonly seen?: ServerTime | undefined },
  ): Promise<void> {
    const { link } = this.#options
    const { seen } = request
    const stored = entry === undefined || seen === undefined ? undefined : this.#stored(key, entry, seen)
    const fits = stored === undefined || Buffer.byteLength(stored.blob) <= MAX_BLOB_BYTES
    if (!fits) this.#tooLarge.add()
    const args =
      stored === undefined || !fits
        ? [request.token, 0, 0, 0, 0, '', '', '']
        : [
            request.token,
            stored.created,
            stored.freshUntil,
            stored.staleUntil,
            Math.max(0, request.uses),
            stored.blob,
            this.#now(),
            stored.signature,
          ]
    try {
      await link.run((client) => FILL.run(client, this.#keys(key), args))
    } catch {
      // The link counts its failures; the entry is simply not shared.
    }
  }

  /** A verdict as it is stored, with its times on the server's clock. */
  #stored(key: string, entry: VerdictEntry, seen: ServerTime) {
    const { seal } = this.#options
    const created = onServer(seen, entry.createdAt)
    const freshUntil = onServer(seen, entry.freshUntil)
    const staleUntil = onServer(seen, entry.staleUntil)
    const text = encodeBlob(key, entry)
    if (seal === undefined) return { created, freshUntil, staleUntil, blob: text, signature: '' }
    const times = signedTimes(key, String(created), String(freshUntil))
    const blob = seal.conceal(text, times)
    return { created, freshUntil, staleUntil, blob, signature: seal.sign('entry', signedText(times, blob)) }
  }

  #now(): number | '' {
    return this.#options.sharedNow?.() ?? ''
  }

  #keys(key: string): [entry: string, lease: string] {
    const tag = `${this.#options.prefix}:{${key}}`
    return [`${tag}:v`, `${tag}:l`]
  }

  async #drop(key: string, blob: string): Promise<boolean> {
    const [entry] = this.#keys(key)
    try {
      await this.#options.link.run((client) => DROP.run(client, [entry], [blob]))
      return true
    } catch {
      return false
    }
  }
}

function onServer({ serverMs, arrivedAt }: ServerTime, monotonic: number): number {
  return Math.floor(serverMs + (monotonic - arrivedAt))
}
