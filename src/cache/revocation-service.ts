// Spreads revocations over the mesh: a numbered log in Redis that every node follows, and an acknowledgement that says
// which nodes have applied them. A node that cannot follow the log serves only verdicts younger than a bound.

import { randomUUID } from 'node:crypto'
import { pause } from '../kernel/deadline.ts'
import { IntermixError } from '../kernel/errors.ts'
import { REVOCATIONS_IN_TOUCH } from '../kernel/metrics/cache.ts'
import type { Clock, Gauge, Logger, Meter } from '../kernel/ports.ts'
import type { Siblings } from '../kernel/siblings.ts'
import type { RedisLink } from '../redis/connection.ts'
import { APPEND, type Appended, readRecord, readTarget, SYNC, type SyncReply } from './revocation-log.ts'
import type { Revocations, RevocationTarget } from './revocations.ts'

/** How a revocation was taken up. It holds on every node in `confirmed`; the others are named with how they lag. */
export interface RevocationReceipt {
  readonly sequence: number
  readonly confirmed: readonly string[]
  /** Nodes that have been alive within the last seconds and have not confirmed in time. */
  readonly unconfirmed: readonly string[]
  /** Nodes that were not heard for some seconds and not waited for: dead most likely, or out of touch with Redis. */
  readonly silent: readonly string[]
  /** After this many milliseconds no other node, silent ones included, can serve the revoked verdict either. */
  readonly boundMs: number
}

export interface RevocationServiceOptions {
  readonly revocations: Revocations
  /** `undefined`: this node is the whole mesh. */
  readonly link: RedisLink | undefined
  /** The other processes of this node; `undefined` where this is the only one. */
  readonly siblings?: Siblings | undefined
  readonly clock: Clock
  readonly log: Logger
  readonly meter: Meter
  readonly prefix: string
  readonly nodeId: string
  /** The oldest verdict, in ms, that is served while the node is out of touch with the log. */
  readonly partitionMaxAgeMs: number
}

/** What processes of one node ask of each other. */
const REVOKE = 'revoke'
const POLL_MS = 250
/** Without word from the log for this long, the node takes itself for out of touch. */
const OUT_OF_TOUCH_MS = 2_000
/** A node that was not heard for so long is not waited for; it is named, because it may live on out of touch. */
const SILENT_MS = 10_000
const FORGET_NODE_MS = 600_000
const KEPT_RECORDS = 20_000
const CONFIRM_PATIENCE_MS = 3_000
/** In a generation younger than this, nodes may be alive that have not found their way back to Redis yet. */
const REUNION_MS = 3_000
/** An operator's call is not a check: it may wait longer for Redis. */
const REVOKE_TIMEOUT_MS = 1_000

interface Uptake {
  readonly confirmed: string[]
  readonly unconfirmed: string[]
  readonly silent: string[]
}

export class RevocationService {
  readonly #options: RevocationServiceOptions
  readonly #keys: { sequence: string; generation: string; log: string; nodes: string; server: string }
  readonly #inTouchGauge: Gauge
  #lastSync = Number.NEGATIVE_INFINITY
  #cancel: (() => void) | undefined
  #stopped = false
  /** No clock and no name that others may have is part of tokens: they must never come twice. */
  readonly #run = randomUUID()
  #tokens = 0
  /** Mark of the last record that was applied: tells whether Redis still has the same one under its number. */
  #mark = ''
  /** The run of the Redis server that holds the log, as it was last heard. */
  #server: string | undefined

  constructor(options: RevocationServiceOptions) {
    this.#options = options
    const tag = `{${options.prefix}:revocations}`
    this.#keys = {
      sequence: `${tag}:s`,
      generation: `${tag}:g`,
      log: `${tag}:z`,
      nodes: `${tag}:n`,
      server: `${tag}:i`,
    }
    this.#inTouchGauge = options.meter.gauge(REVOCATIONS_IN_TOUCH)()
    this.#inTouchGauge.set(options.link === undefined ? 1 : 0)
    if (options.link === undefined) options.siblings?.answer(REVOKE, (target) => this.#revokeHere(readTarget(target)))
  }

  /** Follows the log in the background. */
  async start(): Promise<void> {
    if (this.#options.link !== undefined) await this.#poll()
  }

  /** Ends following, and leaves the mesh, so that no revocation waits for this node: call it when nothing is served. */
  stop(): void {
    if (this.#stopped) return
    this.#stopped = true
    this.#cancel?.()
    const { link, nodeId } = this.#options
    // Where this fails, the node is forgotten by its silence.
    void link?.run((client) => client.hdel(this.#keys.nodes, nodeId)).catch(() => undefined)
  }

  /** Whether every revocation that was acknowledged some seconds ago is known here. */
  inTouch(): boolean {
    const { link, clock } = this.#options
    return link === undefined || clock.monotonic() - this.#lastSync < OUT_OF_TOUCH_MS
  }

  /** The oldest verdict that may be served now, in milliseconds. */
  maxAgeMs(): number {
    return this.inTouch() ? Number.POSITIVE_INFINITY : this.#options.partitionMaxAgeMs
  }

  /**
   * Revokes, and waits until every live node has confirmed or a few seconds are over. To revoke twice does no harm.
   * @throws IntermixError REDIS_UNAVAILABLE where Redis failed, NOT_READY where the other processes of this node cannot be
   * asked: what they do then is not known, so revoke again.
   */
  async revoke(target: RevocationTarget): Promise<RevocationReceipt> {
    const { link, nodeId, partitionMaxAgeMs, siblings } = this.#options
    if (link === undefined) {
      const sequence = this.#revokeHere(target)
      // Each process counts its own: they share no verdicts.
      const others = await siblings?.ask(REVOKE, target)
      const confirmed = [nodeId, ...(others?.answers.keys() ?? [])]
      return { sequence, confirmed, unconfirmed: others?.silent ?? [], silent: [], boundMs: 0 }
    }
    const { sequence, generation, log } = this.#keys
    const args = [JSON.stringify(target), this.#token(), KEPT_RECORDS]
    const append = link.run((client) => APPEND.run(client, [sequence, generation, log], args), REVOKE_TIMEOUT_MS)
    const appended = await append.catch((error: unknown) => {
      throw unavailable('the revocation could not be recorded', error)
    })
    const nodes = await this.#awaitNodes(link, appended)
    return { sequence: appended.sequence, ...nodes, boundMs: OUT_OF_TOUCH_MS + partitionMaxAgeMs }
  }

  #revokeHere(target: RevocationTarget): number {
    const { revocations } = this.#options
    const sequence = revocations.epoch.sequence + 1
    revocations.apply({ sequence, target })
    return sequence
  }

  async #awaitNodes(link: RedisLink, wanted: Appended): Promise<Uptake> {
    const { clock } = this.#options
    const startedAt = clock.monotonic()
    const completeAt = startedAt + REUNION_MS - (wanted.recordedAt - wanted.generationAt)
    let synced = false
    for (;;) {
      const own = await this.#sync().then(
        () => true,
        () => false,
      )
      synced ||= own
      const { places, error } = await this.#places(link)
      const patient = clock.monotonic() < startedAt + CONFIRM_PATIENCE_MS
      if (places !== undefined) {
        const uptake: Uptake = { confirmed: [], unconfirmed: [], silent: [] }
        for (const [node, place] of places) {
          if (synced && this.#hasApplied(node, place, wanted)) uptake.confirmed.push(node)
          else uptake[this.#isSilent(node, place, wanted) ? 'silent' : 'unconfirmed'].push(node)
        }
        const complete = uptake.unconfirmed.length === 0 && clock.monotonic() >= completeAt
        if (complete || !patient) return uptake
      } else if (!patient) {
        throw unavailable('the revocation is recorded, but which nodes have applied it is not known', error)
      }
      await pause(clock, POLL_MS / 5)
    }
  }

  /** How far each live node was when it last asked, this one included. */
  async #places(link: RedisLink): Promise<{ places?: ReadonlyMap<string, string>; error?: unknown }> {
    try {
      const nodes = await link.run((client) => client.hgetall(this.#keys.nodes), REVOKE_TIMEOUT_MS)
      return { places: new Map([...Object.entries(nodes), [this.#options.nodeId, '']]) }
    } catch (error) {
      return { error }
    }
  }

  #isSilent(node: string, place: string, wanted: Appended): boolean {
    return node !== this.#options.nodeId && Number(place.split(' ', 1)[0]) < wanted.recordedAt - SILENT_MS
  }

  /** Whether a node has, from its `place` in the log, applied the record; asked once this node has read it itself. */
  #hasApplied(node: string, place: string, wanted: Appended): boolean {
    const { revocations, nodeId } = this.#options
    const { epoch } = revocations
    const [at, generation, sequence] =
      node === nodeId ? [Number.POSITIVE_INFINITY, epoch.generation, epoch.sequence] : place.split(' ')
    // What a node said before does not count: it may have known another record under this number.
    if (Number(at) <= wanted.recordedAt || generation !== epoch.generation) return false
    // A generation that took the place of the record's has voided everything.
    return generation !== wanted.generation || Number(sequence) >= wanted.sequence
  }

  async #poll(): Promise<void> {
    try {
      // Having applied something new, tell so at once: somebody may wait for it.
      if (await this.#sync()) await this.#sync()
    } catch {
      // The link counts and logs its failures; until it is back the age of what is served is bounded.
    }
    this.#inTouchGauge.set(this.inTouch() ? 1 : 0)
    if (this.#stopped) return
    this.#cancel = this.#options.clock.after(POLL_MS, () => void this.#poll())
  }

  /** One exchange with the log; true when it brought something. */
  async #sync(): Promise<boolean> {
    const { link, revocations, clock, nodeId } = this.#options
    if (link === undefined) return false
    const sentAt = clock.monotonic()
    const { sequence, generation, log, nodes, server } = this.#keys
    const known = revocations.epoch
    const place = [nodeId, known.generation, known.sequence, this.#mark]
    const args = [...place, this.#token(), FORGET_NODE_MS, OUT_OF_TOUCH_MS]
    const reply = await link.run((client) => SYNC.run(client, [sequence, generation, log, nodes, server], args))
    const changed = this.#apply(reply)
    this.#knowServer(reply.server)
    this.#lastSync = Math.max(this.#lastSync, sentAt)
    return changed
  }

  #apply(reply: SyncReply): boolean {
    const { revocations, log } = this.#options
    let known = revocations.epoch
    const anew = known.generation !== reply.generation
    if (anew) {
      revocations.restart(reply.generation, 0)
      this.#mark = ''
      known = revocations.epoch
    }
    // Records between what this node knows and what is kept are lost: it cannot know what they revoked.
    if (reply.firstKept > known.sequence + 1) revocations.revokeBelow(reply.firstKept - 1)
    for (const text of reply.records) {
      const record = readRecord(text, reply.sequence)
      const applied = revocations.epoch.sequence
      // Another exchange, under way at the same time, has brought it.
      if (record !== undefined && record.sequence <= applied) continue
      // Records are numbered without gaps: in a gap there was one, and nobody knows what it revoked.
      if (record?.sequence !== applied + 1) {
        log.warn({ record: text.slice(0, 200) }, 'revocation not understood, or one is missing: everything is revoked')
        revocations.revokeBelow(reply.sequence)
        this.#mark = ''
        break
      }
      revocations.apply(record)
      this.#mark = record.mark
    }
    if (revocations.epoch.sequence < reply.sequence) {
      revocations.revokeBelow(reply.sequence)
      this.#mark = ''
    }
    return anew || reply.records.length > 0
  }

  #knowServer(server: string): void {
    if (server === this.#server) return
    const { log } = this.#options
    if (server === '') {
      log.warn({}, 'Redis does not tell which run of it this is: one that comes back from an older copy is not noticed')
    } else if (this.#server !== undefined) {
      log.warn({}, 'another run of Redis holds the revocations now: all cached verdicts are void')
    }
    this.#server = server
  }

  #token(): string {
    return `${this.#run}-${++this.#tokens}`
  }
}

function unavailable(message: string, cause: unknown): IntermixError {
  const reason = cause instanceof Error ? `: ${cause.message}` : ''
  return new IntermixError('REDIS_UNAVAILABLE', `${message}${reason}; revoke again when Redis is back`, { cause })
}
