// Counts what becomes of calls.

import { Histogram } from './histogram.ts'
import type { Counted, LoadResult, Second } from './load.ts'

const MAX_REASONS = 20

/** Times are in milliseconds from the start of the run. */
export class Tally {
  readonly #counts: Record<Counted, number> = {
    allow: 0,
    deny: 0,
    wrong: 0,
    shed: 0,
    expired: 0,
    missing: 0,
    failed: 0,
    gone: 0,
    unsent: 0,
  }
  readonly #reasons: Record<string, number> = {}
  readonly #latency = new Histogram()
  readonly #shed = new Histogram()
  readonly #late = new Histogram()
  readonly #series: Second[] = []
  readonly #settleMs: number
  readonly #second = new Histogram()
  #due = 0

  constructor(settleMs: number) {
    this.#settleMs = settleMs
  }

  /** A call that was due at `at` is handed over to be sent `now`. */
  due(at: number, now: number): void {
    this.#turn(now)
    this.#due++
    if (at >= this.#settleMs) this.#late.record((now - at) * 1_000)
  }

  /** A call that was to be sent at `at` ended `now`. */
  ended(at: number, now: number, how: Counted, why?: string): void {
    this.#turn(now)
    const micros = (now - at) * 1_000
    const isAnswer = how === 'allow' || how === 'deny' || how === 'wrong'
    if (isAnswer) this.#second.record(micros)
    if (at < this.#settleMs) return
    this.#counts[how]++
    if (isAnswer) this.#latency.record(micros)
    else if (how === 'shed') this.#shed.record(micros)
    if (!isAnswer) this.#explain(`${how}: ${why ?? 'no answer in time'}`)
  }

  figures(): Pick<LoadResult, 'counts' | 'reasons' | 'latency' | 'shed' | 'late' | 'series'> {
    return {
      counts: this.#counts,
      reasons: this.#reasons,
      latency: this.#latency.toJSON(),
      shed: this.#shed.toJSON(),
      late: this.#late.toJSON(),
      series: this.#series,
    }
  }

  /** A connection ended. */
  lost(why: string): void {
    this.#explain(`connection: ${why}`)
  }

  #explain(reason: string): void {
    const known = this.#reasons[reason]
    if (known !== undefined) this.#reasons[reason] = known + 1
    else if (Object.keys(this.#reasons).length < MAX_REASONS) this.#reasons[reason] = 1
  }

  /** Closes the seconds that are over. */
  #turn(now: number): void {
    while (now >= (this.#series.length + 1) * 1_000) {
      this.#series.push({
        due: this.#due,
        answered: this.#second.count,
        p50: this.#second.quantile(0.5),
        p99: this.#second.quantile(0.99),
      })
      this.#second.clear()
      this.#due = 0
    }
  }
}
