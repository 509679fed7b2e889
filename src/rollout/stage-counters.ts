// What a process counts while a rollout is under way. It begins at zero with each stage, so that figures of all processes are
// of the same time, and with each version, so that none counts for another.

import type { Clock } from '../kernel/ports.ts'
import { bucketOf, quantile } from './latency-buckets.ts'
import { type Counters, OBSERVATION_BOUNDS } from './observation.ts'

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
/** A median of fewer checks says nothing. */
const LEAST_OF_WINDOW = 10
/** Rules that are counted by themselves; the most frequent of them are told. */
const MAX_RULES = 500

export class StageCounters {
  readonly #clock: Clock
  #stage = ''
  #version: string | undefined
  #tally = { checks: 0, errors: 0, unknowns: 0, denials: 0 }
  #denials = new Map<string, number>()
  #latency: number[] = []
  #window: number[] = []
  #windowAt = 0
  #medians: number[] = []

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** The process is in this stage, and answers by this version. Another one of either begins at zero. */
  enter(stage: string, version: string | undefined): void {
    if (stage === this.#stage && version === this.#version) return
    this.#stage = stage
    this.#version = version
    this.#tally = { checks: 0, errors: 0, unknowns: 0, denials: 0 }
    this.#denials = new Map()
    this.#latency = []
    this.#window = []
    this.#medians = []
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
    add(this.#latency, bucket)
    add(this.#window, bucket)
  }

  /** What was counted so far. */
  counters(): Counters {
    this.#endWindow()
    const frequent = [...this.#denials].toSorted((a, b) => b[1] - a[1]).slice(0, OBSERVATION_BOUNDS.rules)
    return {
      ...this.#tally,
      denialsBy: Object.fromEntries(frequent),
      latency: Array.from(this.#latency, (count: number | undefined) => count ?? 0),
      medians: [...this.#medians],
    }
  }

  #endWindow(): void {
    const now = this.#clock.monotonic()
    if (now - this.#windowAt < WINDOW_MS) return
    this.#windowAt = now
    const counts = Array.from(this.#window, (count: number | undefined) => count ?? 0)
    this.#window = []
    if (counts.reduce((sum, count) => sum + count, 0) < LEAST_OF_WINDOW) return
    this.#medians.push(quantile(counts, 0.5) ?? 0)
    if (this.#medians.length > OBSERVATION_BOUNDS.medians) this.#medians.shift()
  }
}

function add(counts: number[], bucket: number): void {
  counts[bucket] = (counts[bucket] ?? 0) + 1
}
