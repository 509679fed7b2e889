// Announces what changes in config rollouts: the entries of the audit log, in their order, each until somebody has taken it. One
// node does it at a time, whichever has the right; another one goes on where that one ended.

import { ROLLOUT_ANNOUNCED_TOTAL } from '../kernel/metrics/rollout.ts'
import type { Clock, Counter, Logger, Meter, Random } from '../kernel/ports.ts'
import { RetryTimer } from '../kernel/retry-timer.ts'
import type { NamedEntry } from './log-entry.ts'
import type { RolloutStore } from './rollout-store.ts'

/** What became of an entry: `refused` is for good. What it rejects with is tried again. */
export type Announce = (entry: NamedEntry) => Promise<'taken' | 'refused'>

export interface RolloutAnnouncerOptions {
  readonly store: Pick<RolloutStore, 'unannounced'>
  readonly node: string
  readonly announce: Announce
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  readonly meter: Meter
}

const LOOK_MS = 2_000
/** How long one node has the right without asking again, and how long it announces before it does. */
const RIGHT_MS = 30_000
const AT_ONCE_MS = 10_000
const FIRST_RETRY_MS = 1_000
const MAX_RETRY_MS = 60_000

export class RolloutAnnouncer {
  readonly #options: RolloutAnnouncerOptions
  readonly #counters: Readonly<Record<'taken' | 'failed' | 'refused', Counter>>
  readonly #retry: RetryTimer
  #cancel = () => {}
  #isStopped = false
  /** The last entry that was announced and is not noted yet. */
  #done: string | undefined
  #looking: Promise<void> | undefined

  constructor(options: RolloutAnnouncerOptions) {
    this.#options = options
    const { clock, random, meter } = options
    const counter = meter.counter(ROLLOUT_ANNOUNCED_TOTAL)
    this.#counters = {
      taken: counter({ outcome: 'taken' }),
      failed: counter({ outcome: 'failed' }),
      refused: counter({ outcome: 'refused' }),
    }
    const retry = () => this.start()
    this.#retry = new RetryTimer({ clock, random, firstMs: FIRST_RETRY_MS, maxMs: MAX_RETRY_MS, retry })
  }

  /** Begins, and looks again and again. */
  start(): void {
    if (this.#isStopped) return
    void this.look().finally(() => {
      if (this.#isStopped || this.#retry.isWaiting) return
      this.#cancel = this.#options.clock.after(LOOK_MS, () => this.start())
    })
  }

  /** Announces nothing more, and lets another node do it at once. */
  async stop(): Promise<void> {
    this.#isStopped = true
    this.#cancel()
    this.#retry.cancel()
    await this.#looking
    await this.#options.store.unannounced(this.#options.node, this.#done, 0).catch(() => undefined)
  }

  /** Looks once, and announces what is to be announced. Never rejects. */
  async look(): Promise<void> {
    this.#looking ??= this.#look()
      .catch((error: unknown) => {
        // Redis is away, which others tell.
        this.#options.log.debug({ err: error }, 'changes of config rollouts cannot be announced now')
      })
      .finally(() => {
        this.#looking = undefined
      })
    await this.#looking
  }

  async #look(): Promise<void> {
    const { store, node, clock } = this.#options
    for (;;) {
      const entries = await store.unannounced(node, this.#done, RIGHT_MS)
      // It is noted, or another node announces: told again later, it would lead back.
      this.#done = undefined
      const until = clock.monotonic() + AT_ONCE_MS
      for (const entry of entries) {
        if (this.#isStopped || !(await this.#announce(entry))) return
        this.#done = entry.id
        if (clock.monotonic() > until) break
      }
      if (entries.length === 0) return
    }
  }

  /** @returns whether the next one may follow */
  async #announce(entry: NamedEntry): Promise<boolean> {
    const { announce, log } = this.#options
    try {
      const outcome = await announce(entry)
      this.#counters[outcome].add()
      if (outcome === 'refused') log.error({ rev: entry.rev }, `the webhook of config rollouts refused: ${entry.entry}`)
      this.#retry.worked()
      return true
    } catch (error) {
      this.#counters.failed.add()
      log.warn({ err: error, rev: entry.rev }, 'the webhook of config rollouts did not take a change: it is told again')
      this.#retry.failed()
      return false
    }
  }
}
