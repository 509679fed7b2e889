// What was sent, what was acknowledged and what arrived, record by record: the truth that a chaos run is judged by.

/** The doors that take reports, as `--report-ack` names them. */
export const DOORS = ['http', 'mixer', 'access_log'] as const
export type Door = (typeof DOORS)[number]

/** What a sender was told: nobody knows of a call without an answer, so its records may arrive or not. */
export type Answer = 'acknowledged' | 'refused' | 'unknown'

/** One call of a sender; its records are numbered from `first`. */
export interface Call {
  readonly door: Door
  /** That which was asked last. */
  node: string
  readonly first: number
  readonly count: number
  /** Milliseconds since the first call. */
  readonly at: number
  /** How often it was sent: what is sent again may have been taken before. */
  tries: number
  answer: Answer
  /** What was said where it was not taken. */
  why: string
}

export interface DoorCounts extends Record<Answer, number> {
  readonly sent: number
  /** Acknowledged, and not arrived. */
  readonly missing: number
  /** Refused, and arrived all the same. */
  readonly refusedYetDelivered: number
}

const GROWTH = 1 << 16
/** By then senders know what became of a call. */
const ANSWERED_MS = 30_000

/** Books of all records. Numbers are given once, so that each record can be told from all others. */
export class Books {
  readonly calls: Call[] = []
  #startedAt: number | undefined
  #arrivals = new Uint8Array(GROWTH)
  #next = 0
  /** Calls before this one are complete, or have not been acknowledged. */
  #settled = 0
  /** Arrivals of numbers that nobody sent. */
  invented = 0
  /** Records that arrived, each counted once. */
  delivered = 0
  /** Each counted as often as it arrived. */
  arrivals = 0

  open(door: Door, node: string, count: number): Call {
    const now = performance.now()
    this.#startedAt ??= now
    const at = now - this.#startedAt
    const call: Call = { door, node, first: this.#next, count, at, tries: 1, answer: 'unknown', why: '' }
    this.#next += count
    this.calls.push(call)
    return call
  }

  arrived(record: number): void {
    if (!Number.isSafeInteger(record) || record < 0 || record >= this.#next) {
      this.invented++
      return
    }
    if (record >= this.#arrivals.length) this.#grow(record)
    this.arrivals++
    const before = this.#arrivals[record] ?? 0
    if (before === 0) this.delivered++
    if (before < 255) this.#arrivals[record] = before + 1
  }

  /** How many records arrived more than once, of those that were sent once. */
  get doubled(): number {
    const once = this.calls.filter(({ tries }) => tries === 1)
    return once.reduce((sum, call) => sum + this.#recordsWith(call, (times) => times > 1), 0)
  }

  /** Acknowledged records that have not arrived. */
  get missing(): number {
    return this.calls.reduce((sum, call) => sum + (call.answer === 'acknowledged' ? this.#absent(call) : 0), 0)
  }

  /** Calls of which acknowledged records are missing, oldest first. */
  incomplete(): readonly Call[] {
    return this.calls.filter((call) => call.answer === 'acknowledged' && this.#absent(call) > 0)
  }

  /** Since when, in milliseconds, the acknowledged record is waited for that has waited longest; 0 where none is. */
  get behindMs(): number {
    const now = performance.now() - (this.#startedAt ?? 0)
    const isDue = (call: Call) => call.answer === 'acknowledged' && this.#absent(call) > 0
    for (let call = this.calls[this.#settled]; call !== undefined; call = this.calls[++this.#settled]) {
      // What has no answer yet may be acknowledged still.
      if (isDue(call) || (call.answer === 'unknown' && now - call.at < ANSWERED_MS)) break
    }
    const oldest = this.calls.slice(this.#settled).find(isDue)
    return oldest === undefined ? 0 : now - oldest.at
  }

  counts(door: Door): DoorCounts {
    const sums = { sent: 0, acknowledged: 0, refused: 0, unknown: 0, missing: 0, refusedYetDelivered: 0 }
    for (const call of this.calls) {
      if (call.door !== door) continue
      const absent = this.#absent(call)
      sums.sent += call.count
      sums[call.answer] += call.count
      if (call.answer === 'acknowledged') sums.missing += absent
      if (call.answer === 'refused') sums.refusedYetDelivered += call.count - absent
    }
    return sums
  }

  #absent(call: Call): number {
    return this.#recordsWith(call, (times) => times === 0)
  }

  #recordsWith({ first, count }: Call, holds: (times: number) => boolean): number {
    let found = 0
    for (let record = first; record < first + count; record++) if (holds(this.#arrivals[record] ?? 0)) found++
    return found
  }

  #grow(record: number): void {
    const larger = new Uint8Array(Math.max(record + 1, 2 * this.#arrivals.length))
    larger.set(this.#arrivals)
    this.#arrivals = larger
  }
}
