// Evaluates a candidate beside the version that answers, on the same requests: after the answer, within a share of the
// processor's time, and without effects.

import type { RuleSelector } from '../../config/rule-index.ts'
import type { AttributeBag } from '../../kernel/attribute-bag.ts'
import { ROLLOUT_SHADOWED_TOTAL } from '../../kernel/metrics/rollout.ts'
import type { Clock, Meter } from '../../kernel/ports.ts'
import type { Answer } from '../../kernel/verdict.ts'
import type { Masking } from '../masking.ts'
import { compare, SAME } from './compare.ts'
import type { DryHandlers } from './dry-handlers.ts'
import { type CountedFlip, Flips } from './flips.ts'

/** A request that has been answered. */
export interface Answered {
  readonly bag: AttributeBag
  readonly answer: Pick<Answer, 'status' | 'deniedBy'>
  /** The rules that it was answered by. */
  readonly rules: RuleSelector
}

export interface ShadowOptions {
  readonly clock: Clock
  readonly meter: Meter
  readonly masking: Masking
  readonly candidate: RuleSelector
  readonly handlers: DryHandlers
  /** Share of the processor's time that comparing may take. Default 0.05. */
  readonly share?: number
}

export interface ShadowFindings {
  /** Requests that both versions have judged. */
  readonly pairs: number
  /** Requests that could not be compared, since it is not known what a handler would have said. */
  readonly incomparable: number
  /** Requests for which there was no time. */
  readonly skipped: number
  /** Requests of which comparing failed. */
  readonly failed: number
  readonly flips: readonly CountedFlip[]
}

const SHARE = 0.05
/** Requests that wait to be compared. */
const MAX_WAITING = 64
/** Unused time that may be saved up, and what is done in one turn of the loop, in ms. */
const MAX_SAVED_MS = 10
const SLICE_MS = 2

export class Shadow {
  readonly #options: ShadowOptions
  readonly #share: number
  readonly #flips: Flips
  readonly #counters: ReturnType<typeof countersOf>
  readonly #waiting: Answered[] = []
  #savedMs = MAX_SAVED_MS
  #savedAt: number
  #cancel: (() => void) | undefined
  #closed = false
  #counts = { pairs: 0, incomparable: 0, skipped: 0, failed: 0 }

  constructor(options: ShadowOptions) {
    this.#options = options
    this.#share = options.share ?? SHARE
    this.#flips = new Flips(options.masking)
    this.#counters = countersOf(options.meter)
    this.#savedAt = options.clock.monotonic()
  }

  /** Takes a request that has been answered, if there is time for it. */
  offer(answered: Answered): void {
    if (this.#closed) return
    if (this.#waiting.length >= MAX_WAITING) {
      this.#counts.skipped++
      this.#counters.skipped.add()
      return
    }
    this.#waiting.push(answered)
    this.#cancel ??= this.#options.clock.turn(() => this.#compareSome())
  }

  findings(): ShadowFindings {
    return { ...this.#counts, flips: this.#flips.list() }
  }

  close(): void {
    this.#closed = true
    this.#cancel?.()
    this.#waiting.length = 0
  }

  #compareSome(): void {
    const { clock } = this.#options
    const startedAt = clock.monotonic()
    this.#savedMs = Math.min(MAX_SAVED_MS, this.#savedMs + (startedAt - this.#savedAt) * this.#share)
    const end = startedAt + Math.min(SLICE_MS, this.#savedMs)
    let now = startedAt
    while (now < end) {
      const answered = this.#waiting.shift()
      if (answered === undefined) break
      this.#compare(answered)
      now = clock.monotonic()
    }
    this.#savedMs -= now - startedAt
    this.#savedAt = now
    this.#cancel = undefined
    if (this.#waiting.length === 0) return
    const compareSome = () => this.#compareSome()
    // One that took long is paid for by a pause.
    this.#cancel =
      this.#savedMs > 0 ? clock.turn(compareSome) : clock.after((1 - this.#savedMs) / this.#share, compareSome)
  }

  #compare({ rules, ...request }: Answered): void {
    const { candidate, handlers } = this.#options
    try {
      const compared = compare(rules, candidate, request, handlers)
      if (compared === undefined) {
        this.#counts.incomparable++
        this.#counters.incomparable.add()
        return
      }
      this.#counts.pairs++
      if (compared === SAME || compared.stable.kind === compared.candidate.kind) {
        this.#counters.same.add()
        return
      }
      this.#counters.flipped.add()
      this.#flips.add(compared.stable, compared.candidate, request.bag)
    } catch {
      this.#counts.failed++
      this.#counters.failed.add()
    }
  }
}

function countersOf(meter: Meter) {
  const shadowed = meter.counter(ROLLOUT_SHADOWED_TOTAL)
  return {
    same: shadowed({ outcome: 'same' }),
    flipped: shadowed({ outcome: 'flipped' }),
    incomparable: shadowed({ outcome: 'incomparable' }),
    skipped: shadowed({ outcome: 'skipped' }),
    failed: shadowed({ outcome: 'failed' }),
  }
}
