// What a process counts while a rollout is under way. It begins at zero with each stage, so that figures of all processes are
// of the same time, and with each version, so that none counts for another.

import type { Clock } from '../kernel/ports.ts'
import { bucketOf, quantile } from './latency-buckets.ts'
import { type Counters, OBSERVATION_BOUNDS } from './observation.ts'
import type { RolloutState } from './state.ts'

/** What became of a check. */
export interface CountedCheck {
  readonly outcome: 'allow' | 'deny' | 'error'
  /** Whether something could not be evaluated. */
  readonly isUnknown: boolean
  /** The rule that denied, as `name.namespace`. */
  readonly rule?: string | undefined
  readonly us: number
}

const WINDOW_MS = 10_000
/** A stage has so many windows at least, however short it is. */
const LEAST_WINDOWS = 12
/** Checks in a window of which one in a hundred can be told. */
const LEAST_FOR_TAIL = 100
/** Rules that are counted by themselves; the most frequent of them are told. */
const MAX_RULES = 500

/** How long the windows of a stage are, in ms. */
export function windowMsOf({ rollout }: RolloutState): number {
  return rollout === undefined ? WINDOW_MS : Math.min(WINDOW_MS, rollout.pace.stageMs / LEAST_WINDOWS)
}

export class StageCounters {
  readonly #clock: Clock
  #stage = ''
  #version: string | undefined
  #tally = { checks: 0, errors: 0, unknowns: 0, denials: 0 }
  #denials = new Map<string, number>()
  #window: number[] = []
  #windowAt = 0
  #windowMs = WINDOW_MS
  #medians: number[] = []
  #tails: number[] = []

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /**
   * The process is in this stage, and answers by this version. Another one of either begins at zero.
   * @param windowMs of the windows whose medians are kept, as `windowMsOf` has it
   */
  enter(stage: string, version: string | undefined, windowMs: number = WINDOW_MS): void {
    if (stage === this.#stage && version === this.#version) return
    this.#stage = stage
    this.#windowMs = windowMs
    this.#version = version
    this.#tally = { checks: 0, errors: 0, unknowns: 0, denials: 0 }
    this.#denials = new Map()
    this.#window = []
    this.#medians = []
    this.#tails = []
    this.#windowAt = this.#clock.monotonic()
  }

  count({ outcome, isUnknown, rule, us }: CountedCheck): void {
    this.#tally.checks++
    if (outcome === 'error') this.#tally.errors++
    if (isUnknown) this.#tally.unknowns++
    if (outcome === 'deny') {
      this.#tally.denials++
      if (rule !== undefined && (this.#denials.has(rule) || this.#denials.size < MAX_RULES))
        this.#denials.set(rule, (this.#denials.get(rule) ?? 0) + 1)
    }
    this.#endWindow()
    const bucket = bucketOf(us)
    this.#window[bucket] = (this.#window[bucket] ?? 0) + 1
  }

  /** What was counted so far. */
  counters(): Counters {
    this.#endWindow()
    const frequent = [...this.#denials].toSorted((a, b) => b[1] - a[1]).slice(0, OBSERVATION_BOUNDS.rules)
    return {
      ...this.#tally,
      denialsBy: Object.fromEntries(frequent),
      medians: [...this.#medians],
      tails: [...this.#tails],
    }
  }

  #endWindow(): void {
    const now = this.#clock.monotonic()
    if (now - this.#windowAt < this.#windowMs) return
    this.#windowAt = now
    const counts = Array.from(this.#window, (count: number | undefined) => count ?? 0)
    this.#window = []
    keep(this.#medians, quantile(counts, 0.5))
    const checks = counts.reduce((sum, count) => sum + count, 0)
    if (checks >= LEAST_FOR_TAIL) keep(this.#tails, quantile(counts, 0.99))
  }
}

function keep(times: number[], time: number | undefined): void {
  if (time === undefined) return
  times.push(time)
  if (times.length > OBSERVATION_BOUNDS.medians) times.shift()
}
