// Signs of life of the processes that accept reports, with their numbers: what a killed process had accepted is known as of
// its last sign, a second ago at most.

import type { Clock, Logger } from '../kernel/ports.ts'
import type { RedisLink } from '../redis/connection.ts'
import { defineScript } from '../redis/scripts.ts'
import type { IntakeTotals } from './intake-ledger.ts'
import { type Parcel, processOf } from './parcel.ts'
import { queueNames } from './queue-names.ts'
import type { ParcelSink } from './parcel-road.ts'

const sign = defineScript({ name: 'node-sign', keys: 2, reply: Number })

const EVERY_MS = 1_000
const TIMEOUT_MS = 1_000
/** Processes of the last day are kept, the newest of them. */
const KEEP_MS = 24 * 3_600_000
const MAX_PROCESSES = 500
/** More than these are not told apart: a process queues what it accepted, and what the one before it left on the disk. */
const MAX_ORIGINS = 20
const MAX_RULES = 20

/** What a process says of itself. */
export interface NodeNumbers {
  readonly node: string
  readonly intake: IntakeTotals
  /** What it has put on the queue, by the process that had accepted it: records and parcels. */
  readonly queued: Readonly<Record<string, readonly [records: number, parcels: number]>>
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

/** Says each second what this process has accepted and queued. */
export class NodeSigns {
  readonly #options: NodeSignsOptions
  readonly #queued = new Map<string, [number, number]>()
  readonly #rules = new Set<string>()
  #totals: (() => IntakeTotals) | undefined
  #isFirst = true
  #cancel: (() => void) | undefined

  constructor(options: NodeSignsOptions) {
    this.#options = options
  }

  /** The same sink; what it takes is counted here. */
  counting(sink: ParcelSink): ParcelSink {
    return {
      ready: () => sink.ready(),
      onReady: (callback) => sink.onReady(callback),
      add: async (parcel) => {
        await sink.add(parcel)
        this.#count(parcel)
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
    await this.say(true)
    this.#totals = undefined
  }

  #again(): void {
    void this.say().finally(() => {
      if (this.#totals !== undefined) this.#cancel = this.#options.clock.after(EVERY_MS, () => this.#again())
    })
  }

  /** One sign, now. Where Redis is away nobody hears it, and the next one says the same and more. */
  async say(hasEnded = false): Promise<void> {
    const totals = this.#totals
    if (totals === undefined) return
    const { link, log, process, prefix } = this.#options
    const { nodes, arrived } = queueNames(prefix).ledger
    const args = [
      process,
      JSON.stringify(this.#numbers(totals(), hasEnded)),
      this.#isFirst ? 1 : 0,
      MAX_PROCESSES,
      KEEP_MS,
    ]
    try {
      await link.run((client) => sign.run(client, [nodes, arrived], args), TIMEOUT_MS)
      this.#isFirst = false
    } catch (error) {
      log.debug({ err: error }, 'the ledger does not hear of this process')
    }
  }

  #numbers(intake: IntakeTotals, hasEnded: boolean): NodeNumbers {
    return {
      node: this.#options.node,
      intake,
      queued: Object.fromEntries(this.#queued),
      rules: [...this.#rules],
      ...(hasEnded ? { hasEnded } : {}),
    }
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
