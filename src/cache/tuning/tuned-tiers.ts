// A tier of its own for the verdicts of each handler, of a size that is tuned.

import type { Clock } from '../../kernel/ports.ts'
import { LocalTier, type LocalTierOptions, type LocalTiers } from '../local-tier.ts'
import type { CacheTuner } from './cache-tuner.ts'
import type { MissCosts } from './miss-costs.ts'

/** Handlers with a tier of their own, where the memory is enough for them; further ones share one. */
const MAX_TIERS = 32
const SHARED = 'other handlers'
/** Names of those are remembered; with more, all begin anew. */
const MAX_SHARING = 10_000
/** A tier that was not asked for so long is given up: its handler is in no config any more. */
const IDLE_MS = 600_000
const LOOK_MS = 60_000

interface Tuned {
  readonly tier: LocalTier
  readonly costs: MissCosts
}

export interface TunedTiersOptions extends Omit<LocalTierOptions, 'maxEntries' | 'maxBytes' | 'watch'> {
  readonly clock: Clock
  readonly tuner: CacheTuner
}

export class TunedTiers implements LocalTiers {
  readonly #options: TunedTiersOptions
  readonly #byHandler = new Map<string, Tuned>()
  /**
   * Those whose verdicts may be in the tier that handlers share. They stay there as long as it does: who came back to it from a tier of
   * its own would find what was replaced there.
   */
  readonly #sharing = new Set<string>()
  #cancel: (() => void) | undefined

  constructor(options: TunedTiersOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#sum(({ tier }) => tier.size)
  }

  get bytes(): number {
    return this.#sum(({ tier }) => tier.bytes)
  }

  of(handler: string): LocalTier {
    return this.#tuned(handler).tier
  }

  known(handler: string): LocalTier | undefined {
    return (this.#byHandler.get(handler) ?? (this.#sharing.has(handler) ? this.#byHandler.get(SHARED) : undefined))
      ?.tier
  }

  missed(handler: string, ms: number, isCall: boolean): void {
    this.#tuned(handler).costs.record(ms, isCall)
  }

  clear(): void {
    for (const { tier } of this.#byHandler.values()) tier.clear()
  }

  /** Gives up tiers that nobody asks, from now on. */
  start(): void {
    const { clock, tuner } = this.#options
    this.#cancel = clock.after(LOOK_MS, () => {
      for (const id of tuner.idleSince(clock.monotonic() - IDLE_MS)) this.#giveUp(id)
      this.start()
    })
  }

  stop(): void {
    this.#cancel?.()
  }

  /** One for the handler, beside that for answers and the one that handlers share. */
  get #hasRoom(): boolean {
    return this.#byHandler.size < Math.min(MAX_TIERS, this.#options.tuner.mostParts - 2)
  }

  #tuned(handler: string): Tuned {
    const own = this.#byHandler.get(handler)
    if (own !== undefined) return own
    if (this.#sharing.has(handler)) return this.#create(SHARED)
    if (this.#hasRoom) return this.#create(handler)
    if (this.#sharing.size >= MAX_SHARING) {
      this.#byHandler.get(SHARED)?.tier.clear()
      this.#sharing.clear()
    }
    this.#sharing.add(handler)
    return this.#create(SHARED)
  }

  #create(id: string): Tuned {
    const known = this.#byHandler.get(id)
    if (known !== undefined) return known
    const { tuner, onEvict, refused } = this.#options
    const { cache: tier, costs } = tuner.join(id, 'verdicts', (maxBytes, watch) => {
      return new LocalTier({ maxEntries: Number.POSITIVE_INFINITY, maxBytes, onEvict, refused, watch })
    })
    const tuned = { tier, costs }
    this.#byHandler.set(id, tuned)
    return tuned
  }

  #giveUp(id: string): void {
    const tuned = this.#byHandler.get(id)
    if (tuned === undefined) return
    this.#byHandler.delete(id)
    if (id === SHARED) this.#sharing.clear()
    tuned.tier.clear()
    this.#options.tuner.leave(id)
  }

  #sum(of: (tuned: Tuned) => number): number {
    let total = 0
    for (const tuned of this.#byHandler.values()) total += of(tuned)
    return total
  }
}
