// Who is let in when more comes than can be answered. Transport-neutral: hosts ask at the earliest moment they can.
//
// The queue is the sockets: what the event loop reads in one turn has waited there, and is worked through in that turn.
// The rule is CoDel's (Nichols and Jacobson, RFC 8289) as servers use it: turns may be long in a burst, but when each is
// longer than a target for a whole interval, a queue is standing, and from then on a turn takes in no more work than the
// target. What comes after that in the turn, the newest, is refused at once instead of late.

import { OVERLOADED, SHED_TOTAL } from '../kernel/metrics/doors.ts'
import type { Clock, Counter, Gauge, Logger, LoopLag, Meter } from '../kernel/ports.ts'
import { ArrivalRate } from './arrival-rate.ts'
import { ShedLog } from './shed-log.ts'
import { type EndOfTurn, TurnMeter } from './turn-meter.ts'

/** Work that a turn takes in while a queue stands, in ms: also what a call then waits, about. RFC 8289 says 5. */
export const TARGET_MS = 5
/** How long turns must be too long before a queue is standing, and the most that a turn takes in otherwise. RFC 8289 says 100. */
export const INTERVAL_MS = 100

/** So few calls are no queue, however long they take: something else is slow, and shedding them would not help it. */
export const FEW_CALLS = 16
/** Where calls are slow, a turn may still take in so many, as long as they take no longer than the interval. */
const SOME_CALLS = 64
/** The part of a long turn that is work, while a queue stands. More would let turns grow where refusing is dear. */
const OVERLOAD_SHARE = 0.25

/** Checks hold up a request of somebody; reports can be sent again, and go first. */
export type Priority = 'check' | 'report'

/**
 * Why a call is refused: a queue is standing (`overload`), too many calls are being answered (`in_flight`), or its time
 * was up before it could be read (`deadline`).
 */
export type Refusal = 'overload' | 'in_flight' | 'deadline'

export interface AdmissionOptions {
  readonly clock: Clock
  readonly log: Logger
  readonly meter: Meter
  readonly loopLag: LoopLag
  /** Bound on calls that are being answered, over all doors; reports get half of it. */
  readonly maxInFlight: number
  /** In place of `TARGET_MS` and `INTERVAL_MS`. */
  readonly patience?: { readonly targetMs: number; readonly intervalMs: number }
  /** Milliseconds that the loop has rested since the process began. Default: what Node measured. */
  readonly idleMs?: () => number
  /** Calls back when the current turn of the loop has read its sockets. Default `setImmediate`. */
  readonly endOfTurn?: EndOfTurn
}

/** One front door's side of it. */
export interface DoorAdmission {
  /**
   * Asks whether a call may come in. `undefined` lets it in, and `end` must follow once.
   * @param timeoutMs how long the caller waits, counted from when it sent the call; `Infinity` for ever.
   * @param most how many calls this door can have waiting at most. Where answering all of them takes no longer than the
   *   interval, no queue can grow, and checks are not shed for being many.
   * @param now on the monotonic clock, where the host has looked
   */
  admit(timeoutMs: number, most?: number, now?: number): Refusal | undefined
  /** An admitted call has ended, however. */
  readonly end: () => void
}

export class Admission {
  readonly #turn: TurnMeter
  readonly #clock: Clock
  readonly #log: ShedLog
  readonly #meter: Meter
  readonly #maxInFlight: number
  readonly #targetMs: number
  readonly #intervalMs: number
  readonly #overloadGauge: Gauge
  readonly #checks: ArrivalRate
  #inFlight = 0
  #overloaded = false
  /** When the first of the long turns ended that have come without a short one or a rest between them. */
  #longSince: number | undefined

  constructor(options: AdmissionOptions) {
    const { clock, log, meter, maxInFlight } = options
    this.#clock = clock
    this.#meter = meter
    this.#maxInFlight = maxInFlight
    const { targetMs = TARGET_MS, intervalMs = INTERVAL_MS } = options.patience ?? {}
    this.#targetMs = targetMs
    this.#intervalMs = intervalMs
    this.#checks = new ArrivalRate(clock.monotonic())
    this.#log = new ShedLog({ clock, log })
    this.#overloadGauge = meter.gauge(OVERLOADED)()
    this.#turn = new TurnMeter({
      ...options,
      onRest: () => this.#leaveOverload(),
      onEnd: (lengthMs) => this.#endTurn(lengthMs),
    })
  }

  /** Whether a queue is standing; who can wait, waits. */
  get overloaded(): boolean {
    return this.#overloaded
  }

  /** How many checks a second come, averaged over about the last one, whether or not they are let in. */
  checksPerSecond(): number {
    return this.#checks.perSecond(this.#clock.monotonic())
  }

  /** Milliseconds that a call which is read now may have waited for it. */
  waitedMs(): number {
    return this.#turn.waitedMs(this.#clock.monotonic())
  }

  /** For people who look into the process. */
  view(): object {
    return { overloaded: this.#overloaded, inFlight: this.#inFlight, maxInFlight: this.#maxInFlight }
  }

  /** The side of one door; its name is the label `door` of `shed_total`. */
  door(name: string, priority: Priority): DoorAdmission {
    const shed = this.#meter.counter(SHED_TOTAL)
    const counters: Readonly<Record<Refusal, Counter>> = {
      overload: shed({ door: name, reason: 'overload' }),
      in_flight: shed({ door: name, reason: 'in_flight' }),
      deadline: shed({ door: name, reason: 'deadline' }),
    }
    return {
      admit: (timeoutMs, most = Number.POSITIVE_INFINITY, now = this.#clock.monotonic()) => {
        if (priority === 'check') this.#checks.came()
        const refusal = this.#decide(priority, timeoutMs, most, now)
        if (refusal === undefined) {
          this.#inFlight++
          this.#turn.admitted++
        } else {
          this.#turn.refused++
          counters[refusal].add()
          this.#log.shed(refusal)
        }
        return refusal
      },
      end: () => {
        this.#inFlight--
      },
    }
  }

  #decide(priority: Priority, timeoutMs: number, most: number, now: number): Refusal | undefined {
    this.#turn.arrive(now)
    if (this.#turn.waitedMs(now) >= timeoutMs) return 'deadline'
    const report = priority === 'report'
    if (report && this.#overloaded) return 'overload'
    if (this.#turn.admitted >= FEW_CALLS && this.#turn.workMs() >= this.#budgetMs(most)) return 'overload'
    if (this.#inFlight >= (report ? this.#maxInFlight / 2 : this.#maxInFlight)) return 'in_flight'
    return undefined
  }

  /** How much work this turn takes in. Where refusing alone makes turns long, they are to be worth it. */
  #budgetMs(most: number): number {
    const callMs = this.#turn.callMs()
    if (!this.#overloaded || most * callMs <= this.#intervalMs) return this.#intervalMs
    const worthMs = Math.max(this.#targetMs, this.#turn.lastMs * OVERLOAD_SHARE, SOME_CALLS * callMs)
    return Math.min(this.#intervalMs, worthMs)
  }

  #endTurn(lengthMs: number): void {
    const { admitted, refused } = this.#turn
    if (lengthMs < this.#targetMs || admitted + refused < FEW_CALLS) {
      // A turn that had to refuse calls may be short because it did, and one that is a little short, by chance.
      if (!this.#overloaded || (refused === 0 && (lengthMs < this.#targetMs / 2 || admitted < FEW_CALLS)))
        this.#leaveOverload()
      return
    }
    const now = this.#clock.monotonic()
    this.#longSince ??= now
    if (!this.#overloaded && now - this.#longSince >= this.#intervalMs) {
      this.#overloaded = true
      this.#overloadGauge.set(1)
    }
  }

  #leaveOverload(): void {
    this.#longSince = undefined
    if (!this.#overloaded) return
    this.#overloaded = false
    this.#overloadGauge.set(0)
  }
}
