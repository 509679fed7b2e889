// Spreads revocations over the mesh: a numbered log in Redis that every node follows, and an acknowledgement that says
// which nodes have applied them. A node that cannot follow the log serves only verdicts younger than a bound.

import { randomUUID } from 'node:crypto'
import { pause } from '../kernel/deadline.ts'
import { IntermixError } from '../kernel/errors.ts'
import type { MeshSignatures } from '../kernel/mesh-signatures.ts'
import { REVOCATIONS_IN_TOUCH } from '../kernel/metrics/cache.ts'
import type { Clock, Gauge, Logger, Meter } from '../kernel/ports.ts'
import type { Siblings } from '../kernel/siblings.ts'
import { departing, stretched } from '../redis/company.ts'
import type { RedisLink } from '../redis/connection.ts'
import { withReason } from '../redis/trouble.ts'
import type { RedisClient } from '../redis/create-client.ts'
import type { Replication } from '../redis/replication.ts'
import { type LateCallers, RevocationCallers } from './revocation-callers.ts'
import {
  APPEND,
  type Appended,
  callersAt,
  lateText,
  type LostReply,
  readRecord,
  readTarget,
  RECORDS_AT_ONCE,
  revocationKeys,
  SYNC,
  type SyncReply,
  UPTAKE,
  type Uptake,
} from './revocation-log.ts'
import type { Revocations } from './revocations.ts'
import { type LogPlace, SignedRevocations } from './signed-revocations.ts'
import { OUT_OF_TOUCH_MS, type RevocationTarget } from '../kernel/revocation.ts'

/** How a revocation was taken up. Of many nodes the first 100 of each kind are named; `counts` has them all. */
export interface RevocationReceipt extends Uptake {
  readonly sequence: number
  /** After this many milliseconds no other node, silent ones included, can serve the revoked verdict either. */
  readonly boundMs: number
}

export interface RevocationServiceOptions {
  readonly revocations: Revocations
  /** `undefined`: this node is the whole mesh. */
  readonly link: RedisLink | undefined
  /** Waits for replicas of that Redis, before a revocation is confirmed; unset where that is not promised. */
  readonly replication?: Replication | undefined
  /** Signs what this node writes there, and is asked of what others have written; `undefined`: who can write there is believed. */
  readonly signatures?: MeshSignatures | undefined
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

/** What one process says of its callers after a revocation. */
interface CallerWait {
  readonly late: LateCallers | undefined
  readonly hasBeen: boolean
}

/** What processes of one node ask of each other. */
const REVOKE = 'revoke'
/** Between two looks at the head of the log; with thousands of nodes they take it in turns, a millisecond for each ten. */
const POLL_MS = 500
const MAX_POLL_MS = 900
const NODES_PER_MS = 10
/** A node says so often where it is, although nothing has changed; then everything is looked at. */
const PLACE_EVERY_MS = 5_000
/** Places that are missing until a node counts as silent. */
const SILENT_PLACES = 3
/** Where no node at all was heard for so long, it was Redis that was away. */
const AWAY_MS = 8_000
const FORGET_NODE_MS = 600_000
const KEPT_RECORDS = 20_000
/** All that may be kept, that it was read, and some that came meanwhile. */
const MAX_PAGES = KEPT_RECORDS / RECORDS_AT_ONCE + 5
const CONFIRM_PATIENCE_MS = 3_000
const CONFIRM_LOOK_MS = 50
const NAMED_NODES = 100
/** In a generation younger than this, nodes may be alive that have not found their way back to Redis yet. */
const REUNION_MS = 3_000
/** Of nodes that do not know each other's keys, each would begin the log anew as often as it looks: none does more often than this. */
const RENEW_EVERY_MS = 5_000
/** Others revoke at the same time: whose record does not fit any more signs it again. */
const MAX_APPENDS = 50
/** An operator's call is not a check: it may wait longer for Redis. */
const REVOKE_TIMEOUT_MS = 1_000

export class RevocationService {
  /** Who keeps this node's answers and follows its revocations: they are waited for. */
  readonly callers: RevocationCallers
  readonly #options: RevocationServiceOptions
  readonly #keys: ReturnType<typeof revocationKeys>
  readonly #inTouchGauge: Gauge
  #inTouchSince = Number.NEGATIVE_INFINITY
  #placedAt = Number.NEGATIVE_INFINITY
  #cancel: (() => void) | undefined
  #stopped = false
  /** No clock and no name that others may have is part of tokens: they must never come twice. */
  readonly #run = randomUUID()
  #tokens = 0
  /** Mark of the last record that was applied: tells whether Redis still has the same one under its number. */
  #mark = ''
  /** The head of the log as of the last exchange; while Redis has the same there is nothing to ask for. */
  #head: string | undefined
  /** The run of the Redis server that holds the log, as it was last heard. */
  #server: string | undefined
  #pollMs = POLL_MS
  #placeEveryMs = PLACE_EVERY_MS
  #unlisten = () => {}
  /** What the log was told last of how far this node and its callers are. */
  #told = ''
  #isTelling = false
  readonly #signed: SignedRevocations | undefined
  #renewedAt = Number.NEGATIVE_INFINITY
  #appending: Promise<void> = Promise.resolve()

  constructor(options: RevocationServiceOptions) {
    this.#options = options
    this.callers = new RevocationCallers(options)
    this.#signed = options.signatures && new SignedRevocations(options.signatures)
    this.#keys = revocationKeys(options.prefix)
    this.#inTouchGauge = options.meter.gauge(REVOCATIONS_IN_TOUCH)()
    this.#inTouchGauge.set(options.link === undefined ? 1 : 0)
    // A mesh of its own: no other process has the same numbers.
    if (options.link === undefined) options.revocations.restart(`own-${this.#run}`, 0)
    if (options.link === undefined) {
      options.siblings?.answer(REVOKE, async (target) => {
        this.#revokeHere(readTarget(target))
        return await this.#awaitCallers()
      })
    }
  }

  /** Follows the log in the background. */
  async start(): Promise<void> {
    const { link } = this.#options
    if (link === undefined) return
    // Whatever is behind a new connection may be another server.
    const unlisten = link.onUp(() => {
      this.#head = undefined
    })
    const unsettle = this.callers.onSettled(() => void this.#tellPlace())
    this.#unlisten = () => {
      unlisten()
      unsettle()
    }
    await this.#poll()
  }

  /** Ends following, and leaves the mesh, so that no revocation waits for this node: call it when nothing is served. */
  stop(): void {
    if (this.#stopped) return
    this.#stopped = true
    this.#cancel?.()
    this.#unlisten()
    const { link, nodeId } = this.#options
    const { applied, heard, late } = this.#keys
    const leave = (client: RedisClient) =>
      Promise.all([client.zrem(heard, nodeId), client.zrem(applied, nodeId), client.hdel(late, nodeId)])
    // Where this fails, the node is forgotten by its silence.
    void link?.run(leave).catch(() => undefined)
  }

  /** Whether every revocation that was acknowledged some seconds ago is known here. */
  inTouch(): boolean {
    return this.outOfTouchMs() < OUT_OF_TOUCH_MS
  }

  /** How long ago, at most, every revocation that had been acknowledged was known here, in milliseconds. */
  outOfTouchMs(): number {
    const { link, clock } = this.#options
    return link === undefined ? 0 : clock.monotonic() - this.#inTouchSince
  }

  /** The oldest verdict that may be served now, in milliseconds. */
  maxAgeMs(): number {
    return this.inTouch() ? Number.POSITIVE_INFINITY : this.#options.partitionMaxAgeMs
  }

  /**
   * Revokes, and waits until every live node has confirmed, with who keeps its answers, or a few seconds are over. To revoke twice does no harm.
   * @throws IntermixError REDIS_UNAVAILABLE where Redis failed, NOT_READY where the other processes of this node cannot be
   * asked: what they do then is not known, so revoke again.
   */
  async revoke(target: RevocationTarget): Promise<RevocationReceipt> {
    const { link, partitionMaxAgeMs, replication } = this.#options
    if (link === undefined) return await this.#revokeAlone(target)
    const append = () => this.#append(link, target)
    const written = replication?.write(this.#keys.head, append) ?? append().then((value) => ({ value }))
    const recorded = await written.catch((error: unknown) => {
      throw unavailable('the revocation could not be recorded', withReason(error, link))
    })
    // Where another server took over, it was recorded there anew.
    const proved = 'replicated' in recorded ? recorded.replicated() : recorded.value
    const appended = await Promise.resolve(proved).catch((error: unknown) => {
      throw unavailable('the revocation is recorded, but may be lost with the server of Redis', withReason(error, link))
    })
    const uptake = await this.#awaitUptake(link, appended)
    return { sequence: appended.sequence, ...uptake, boundMs: OUT_OF_TOUCH_MS + partitionMaxAgeMs }
  }

  /** Writes a record. Who signs it does so one at a time: each is signed for its place behind the one before. */
  #append(link: RedisLink, target: RevocationTarget): Promise<Appended> {
    if (this.#signed === undefined) return this.#appendOnce(link, target)
    const appended = this.#appending.then(() => this.#appendSigned(link, target))
    this.#appending = appended.then(
      () => undefined,
      () => undefined,
    )
    return appended
  }

  async #appendSigned(link: RedisLink, target: RevocationTarget): Promise<Appended> {
    for (let tries = 0; tries < MAX_APPENDS; tries++) {
      await this.#follow()
      const place = this.#place()
      const mark = this.#signed?.mark(place, this.#token(), JSON.stringify(target))
      if (this.#head === undefined || mark === undefined) continue
      const appended = await this.#appendAt(link, target, { mark, generation: place.generation, head: this.#head })
      if (appended === undefined) continue
      // From now on nobody can take it out of the log unnoticed.
      const { generation, sequence } = this.#place()
      if (generation === appended.generation && sequence + 1 === appended.sequence) {
        this.#options.revocations.apply({ sequence: appended.sequence, target })
        this.#mark = mark
        this.#head = appended.head
      }
      return appended
    }
    throw new IntermixError('REDIS_UNAVAILABLE', 'other nodes write to the log of revocations all the time')
  }

  async #appendOnce(link: RedisLink, target: RevocationTarget): Promise<Appended> {
    const { generation } = this.#options.revocations.epoch
    const appended = await this.#appendAt(link, target, { mark: this.#token(), generation, head: '' })
    if (appended !== undefined) return appended
    throw new IntermixError('INTERNAL', 'a revocation that fits anywhere did not')
  }

  #appendAt(
    link: RedisLink,
    target: RevocationTarget,
    at: { readonly mark: string; readonly generation: string; readonly head: string },
  ): Promise<Appended | undefined> {
    const { head, log, applied, heard, late } = this.#keys
    const args = [JSON.stringify(target), at.mark, KEPT_RECORDS, at.generation, at.head]
    return link.run((client) => APPEND.run(client, [head, log, applied, heard, late], args), REVOKE_TIMEOUT_MS)
  }

  #place(): LogPlace {
    return { ...this.#options.revocations.epoch, mark: this.#mark }
  }

  /** Each process counts its own revocations: they share no verdicts. */
  async #revokeAlone(target: RevocationTarget): Promise<RevocationReceipt> {
    const { nodeId, siblings, partitionMaxAgeMs } = this.#options
    const sequence = this.#revokeHere(target)
    const [here, others] = await Promise.all([this.#awaitCallers(), siblings?.ask(REVOKE, target)])
    const confirmed = [nodeId, ...(others?.answers.keys() ?? [])]
    const unconfirmed = others?.silent ?? []
    const waits = [
      [nodeId, here] as const,
      ...((others?.answers ?? []) as Iterable<readonly [string, CallerWait | undefined]>),
    ]
    const callers = waits.flatMap(([node, wait]) => callersAt(node, wait?.late?.names ?? []))
    const late = waits.reduce((sum, [, wait]) => sum + (wait?.late?.count ?? 0), 0)
    const counts = { confirmed: confirmed.length, unconfirmed: unconfirmed.length, silent: 0, callers: late }
    // Callers that are out of touch find out by themselves.
    const isAlone = waits.every(([, wait]) => wait?.hasBeen !== true)
    const boundMs = isAlone ? 0 : OUT_OF_TOUCH_MS + partitionMaxAgeMs
    return { sequence, counts, confirmed, unconfirmed, silent: [], callers, boundMs }
  }

  async #awaitCallers(): Promise<CallerWait> {
    await this.callers.settled()
    return { late: this.callers.late(), hasBeen: this.callers.hasBeen }
  }

  #revokeHere(target: RevocationTarget): number {
    const { revocations } = this.#options
    const sequence = revocations.epoch.sequence + 1
    revocations.apply({ sequence, target })
    return sequence
  }

  async #awaitUptake(link: RedisLink, wanted: Appended): Promise<Uptake> {
    const { clock } = this.#options
    const startedAt = clock.monotonic()
    const completeAt = startedAt + REUNION_MS - (wanted.recordedAt - wanted.generationAt)
    let applied = false
    for (;;) {
      const isOver = clock.monotonic() >= startedAt + CONFIRM_PATIENCE_MS
      try {
        // This node counts by what it has told, as others do: so it tells at once.
        if (!applied) await this.#follow()
        applied = true
        const { counts } = await this.#uptake(link, wanted, 0)
        const isComplete = counts.unconfirmed === 0 && clock.monotonic() >= completeAt
        if (isOver || isComplete) {
          const uptake = await this.#uptake(link, wanted, NAMED_NODES)
          if (isOver || uptake.counts.unconfirmed === 0) return uptake
        }
      } catch (error) {
        const why = withReason(error, link)
        if (isOver) throw unavailable('the revocation is recorded, but which nodes have applied it is not known', why)
      }
      await pause(clock, CONFIRM_LOOK_MS)
    }
  }

  #uptake(link: RedisLink, { generation, sequence, recordedAt }: Appended, names: number): Promise<Uptake> {
    const { head, applied, heard, reunion, late } = this.#keys
    const args = [generation, sequence, recordedAt, SILENT_PLACES * this.#placeEveryMs, names]
    return link.run((client) => UPTAKE.run(client, [head, applied, heard, reunion, late], args), REVOKE_TIMEOUT_MS)
  }

  async #poll(): Promise<void> {
    const { link, clock } = this.#options
    if (link === undefined) return
    departing(link)
    try {
      const isDue = clock.monotonic() - this.#placedAt >= this.#placeEveryMs
      if (isDue || !(await this.#isUnchanged(link))) await this.#follow()
    } catch {
      // The link counts and logs its failures; until it is back the age of what is served is bounded.
    }
    this.#inTouchGauge.set(this.inTouch() ? 1 : 0)
    if (this.#stopped) return
    this.#cancel = clock.after(this.#pollMs, () => void this.#poll())
  }

  /** Whether the log's head is what it was. `GETEX` counts as a write: a server that has been demoted refuses it. */
  async #isUnchanged(link: RedisLink): Promise<boolean> {
    const { clock } = this.#options
    const { head } = this.#keys
    if (this.#head === undefined) return false
    const sentAt = clock.monotonic()
    if ((await link.run((client) => client.getex(head))) !== this.#head) return false
    this.#inTouchSince = Math.max(this.#inTouchSince, sentAt)
    return true
  }

  /** Applies what is new, and having applied something tells so at once: somebody may wait for it. */
  async #follow(): Promise<void> {
    for (let page = 0; page < MAX_PAGES && (await this.#sync()); page++);
  }

  /** One exchange with the log; true when it brought something. */
  async #sync(): Promise<boolean> {
    const { link, revocations, clock } = this.#options
    if (link === undefined) return false
    const sentAt = clock.monotonic()
    const known = this.#place()
    const standing = this.#standing()
    const token = this.#signed === undefined ? this.#token() : ''
    const reply = await this.#exchange(link, known, standing, [token])
    if ('isLost' in reply || this.#signed?.fault(reply, known) !== undefined) return await this.#renew(link, reply)
    this.#told = [known.generation, ...standing].join(' ')
    const changed = this.#apply(reply)
    this.#knowServer(reply.run)
    this.#pollMs = Math.min(Math.max(POLL_MS, reply.nodes / NODES_PER_MS), MAX_POLL_MS)
    this.#placeEveryMs = stretched(PLACE_EVERY_MS, reply.nodes)
    this.#placedAt = Math.max(this.#placedAt, sentAt)
    // More may be left to read.
    if (revocations.epoch.sequence < reply.sequence) return true
    this.#head = reply.head
    this.#inTouchSince = Math.max(this.#inTouchSince, sentAt)
    return changed
  }

  #exchange(
    link: RedisLink,
    { generation, sequence, mark }: LogPlace,
    standing: readonly [number, string],
    [token, name = '', head = '']: readonly [token: string, name?: string, head?: string],
  ): Promise<SyncReply | LostReply> {
    const { nodeId } = this.#options
    const { head: headKey, log, applied, heard, reunion, late } = this.#keys
    const place = [nodeId, generation, sequence, mark]
    const args = [...place, token, FORGET_NODE_MS, AWAY_MS, RECORDS_AT_ONCE, ...standing, name, head]
    return link.run((client) => SYNC.run(client, [headKey, log, applied, heard, reunion, late], args))
  }

  /** Begins the log anew in place of one that was lost, or that nobody has signed: true, since it is to be read. */
  async #renew(link: RedisLink, { now, head }: Pick<SyncReply, 'now' | 'head'>): Promise<boolean> {
    const { clock } = this.#options
    if (this.#signed === undefined) return true
    const at = clock.monotonic()
    if (at - this.#renewedAt < RENEW_EVERY_MS)
      throw new IntermixError(
        'REDIS_UNAVAILABLE',
        'what lies in Redis is no log of revocations that this mesh has signed',
      )
    const known = this.#place()
    const name = this.#signed.following(this.#token(), [known.generation, head.split(' ', 1)[0] ?? ''], now)
    const reply = await this.#exchange(link, known, this.#standing(), ['', name, head])
    // Another node may have been quicker.
    if ('isLost' in reply || reply.generation === name) this.#renewedAt = at
    return true
  }

  /** How far this node is with its callers, and which of them are not. */
  #standing(): [confirmed: number, late: string] {
    const late = this.callers.late()
    return [this.callers.confirmed(), late === undefined ? '' : lateText(late)]
  }

  /** Tells that callers have confirmed, or that they are late: somebody may wait for it. */
  async #tellPlace(): Promise<void> {
    if (this.#stopped || this.#isTelling) return
    this.#isTelling = true
    try {
      const { revocations } = this.#options
      const place = () => [revocations.epoch.generation, ...this.#standing()].join(' ')
      for (let tries = 0; tries < MAX_PAGES && place() !== this.#told; tries++) await this.#sync()
    } catch {
      // It is told with the next look at everything.
    } finally {
      this.#isTelling = false
    }
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
    const { sequence } = revocations.epoch
    const isLastPage = reply.records.length < RECORDS_AT_ONCE || sequence === known.sequence
    if (sequence < reply.sequence && isLastPage) {
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
