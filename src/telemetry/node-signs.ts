// Signs of life of the processes that accept reports, with their numbers: what a killed process had accepted is known as of
// its last sign, a tenth of a second ago at most. Who has no news says so every few seconds.

import type { Clock, Logger } from '../kernel/ports.ts'
import { inCompany } from '../redis/company.ts'
import type { RedisLink } from '../redis/connection.ts'
import { defineScript } from '../redis/scripts.ts'
import type { IntakeTotals } from './intake-ledger.ts'
import { type Parcel, processOf } from './parcel.ts'
import { queueNames } from './queue-names.ts'
import type { ParcelSink } from './parcel-road.ts'

const sign = defineScript({
  name: 'node-sign',
  keys: 4,
  reply: (raw) => {
    const [isNew, records, parcels] = raw as [number, number, number]
    return { isUnknown: isNew === 1, arrived: [records, parcels] as const }
  },
})

const EVERY_MS = 10_000
/** Who holds something may be taken for gone soon, where its node has started again; and what has arrived is to be heard soon. */
const BUSY_EVERY_MS = 1_000
/** What has changed is told sooner: what is lost with a killed process is what it accepted since it last spoke. */
const NEWS_EVERY_MS = 100
/** After parcels have left, in a new turn, when they are held no more. */
const LEAST_MS = 20
const TIMEOUT_MS = 1_000
/** Processes of the last day are kept, the newest of them. */
const KEEP_MS = 24 * 3_600_000
const MAX_PROCESSES = 20_000
/** More than these are not told apart: a process queues what it accepted, and what the one before it left on the disk. */
const MAX_ORIGINS = 20
const MAX_RULES = 20

/** What a process says of itself. */
export interface NodeNumbers {
  readonly node: string
  readonly intake: IntakeTotals
  /** What it has put on the queue, by the process that had accepted it: records and parcels. */
  readonly queued: Readonly<Record<string, readonly [records: number, parcels: number]>>
  /** Of these, what had come to the fan-out by the time when Redis forgot everything: records and parcels. */
  readonly arrivedBefore?: readonly [records: number, parcels: number]
  /** Digests of the report rules that name the queues. */
  readonly rules: readonly string[]
  /** Set when it has ended in good order. */
  readonly hasEnded?: true
}

export interface NodeSignsOptions {
  readonly link: RedisLink
  readonly clock: Clock
  readonly log: Logger
  readonly prefix?: string
  /** Name of this process, as its batch ids have it, and of its node. */
  readonly process: string
  readonly node: string
}

/** Says every few seconds that this process is there, and sooner what it has accepted and queued. */
export class NodeSigns {
  readonly #options: NodeSignsOptions
  readonly #queued = new Map<string, [number, number]>()
  readonly #rules = new Set<string>()
  /** What of this process had come to the fan-out at its last sign, by the ledger that there is now, and by those before it. */
  #arrived: readonly [number, number] = [0, 0]
  #arrivedBefore: readonly [number, number] = [0, 0]
  #totals: (() => IntakeTotals) | undefined
  #isFirst = true
  #cancel: (() => void) | undefined
  #cancelTurn: (() => void) | undefined
  #cancelIdle: (() => void) | undefined
  #said = ''
  #saidAt = Number.NEGATIVE_INFINITY
  #isSaying = false

  constructor(options: NodeSignsOptions) {
    this.#options = options
  }

  /** The same sink; what it takes is counted here. */
  counting(sink: ParcelSink): ParcelSink {
    return {
      ready: () => sink.ready(),
      onReady: (callback) => sink.onReady(callback),
      get replication() {
        return sink.replication
      },
      add: async (parcel) => {
        await sink.add(parcel)
        this.#count(parcel)
        this.#cancelTurn ??= this.#options.clock.turn(() => {
          this.#cancelTurn = undefined
          void this.#sayNews(LEAST_MS)
        })
      },
    }
  }

  start(totals: () => IntakeTotals): void {
    this.#totals = totals
    this.#again()
  }

  /** The last sign: this process ends in good order. Redis may be away by now; then it looks as if it had been killed. */
  async end(): Promise<void> {
    this.#cancel?.()
    this.#cancelTurn?.()
    await this.say(true)
    this.#cancelIdle?.()
    this.#totals = undefined
  }

  #again(): void {
    void this.#sayNews(NEWS_EVERY_MS).finally(() => {
      if (this.#totals !== undefined) this.#cancel = this.#options.clock.after(NEWS_EVERY_MS, () => this.#again())
    })
  }

  /** Says what is new, or that nothing is while there is something under way; not more often than that, and not while the last word is on its way. */
  async #sayNews(leastMs: number): Promise<void> {
    const silentMs = this.#options.clock.monotonic() - this.#saidAt
    if (this.#totals === undefined || this.#isSaying || silentMs < leastMs) return
    const isBusy = silentMs >= BUSY_EVERY_MS && (this.#totals().held > 0 || this.#awaitsArrival())
    if (isBusy || this.#text() !== this.#said) await this.say()
  }

  #awaitsArrival(): boolean {
    const [, queued] = this.#queued.get(this.#options.process) ?? [0, 0]
    return queued > this.#arrived[1] + this.#arrivedBefore[1]
  }

  /** One sign, now. Where Redis is away nobody hears it, and the next one says the same and more. */
  async say(hasEnded = false): Promise<void> {
    if (this.#totals === undefined) return
    this.#said = this.#text(hasEnded)
    this.#saidAt = this.#options.clock.monotonic()
    this.#isSaying = true
    const { link, clock, log, process, prefix } = this.#options
    this.#cancelIdle?.()
    this.#cancelIdle = inCompany(link, clock, EVERY_MS, () => void this.say())
    const { nodes, arrived, signed, reached } = queueNames(prefix).ledger
    const args = [process, this.#said, this.#isFirst ? 1 : 0, MAX_PROCESSES, KEEP_MS]
    try {
      const heard = await link.run((client) => sign.run(client, [nodes, arrived, signed, reached], args), TIMEOUT_MS)
      if (heard.isUnknown && !this.#isFirst) this.#beginAnew()
      this.#arrived = heard.arrived
      this.#isFirst = false
    } catch (error) {
      log.debug({ err: error }, 'the ledger does not hear of this process')
      this.#said = ''
    } finally {
      this.#isSaying = false
    }
  }

  /** Redis has lost the ledger: what had come to the fan-out by then is not missing. */
  #beginAnew(): void {
    const [records, parcels] = this.#arrivedBefore
    this.#arrivedBefore = [records + this.#arrived[0], parcels + this.#arrived[1]]
  }

  #text(hasEnded = false): string {
    const numbers = {
      node: this.#options.node,
      intake: this.#totals?.(),
      queued: Object.fromEntries(this.#queued),
      rules: [...this.#rules],
      ...(this.#arrivedBefore[1] > 0 ? { arrivedBefore: this.#arrivedBefore } : {}),
      ...(hasEnded ? { hasEnded } : {}),
    }
    return JSON.stringify(numbers)
  }

  #count({ id, count, rules }: Parcel): void {
    const origin = processOf(id)
    let queued = this.#queued.get(origin)
    if (queued === undefined) {
      if (this.#queued.size >= MAX_ORIGINS) return
      this.#queued.set(origin, (queued = [0, 0]))
    }
    queued[0] += count
    queued[1] += 1
    if (rules === undefined) return
    this.#rules.delete(rules)
    this.#rules.add(rules)
    for (const oldest of this.#rules) {
      if (this.#rules.size <= MAX_RULES) break
      this.#rules.delete(oldest)
    }
  }
}
