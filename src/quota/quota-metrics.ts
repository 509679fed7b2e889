// What is counted of the limits of one handler.

import type { LimitCharge } from '../adapter-kit/limits.ts'
import {
  QUOTA_CHARGES_TOTAL,
  QUOTA_HELD_OVERSHOOT_TOTAL,
  QUOTA_OVERSHOOT_TOTAL,
  QUOTA_REDIS_CALLS_TOTAL,
} from '../kernel/metrics/quotas.ts'
import type { Counter, Meter } from '../kernel/ports.ts'

/** Who decided. */
export type Decider = 'redis' | 'lease' | 'memory' | 'share'

/** What Redis was asked for. */
type RedisCall = 'charge' | 'ahead' | 'back' | 'settle' | 'leave'

/** With less than this share of the limit left it is near. */
const NEAR_SHARE = 0.2

export class QuotaMetrics {
  readonly #charges: (labels: {
    readonly outcome: 'granted' | 'near' | 'exceeded' | 'failed'
    readonly by: Decider
  }) => Counter
  readonly #calls: (why: RedisCall) => Counter
  readonly #overshoot: Counter
  readonly #heldOvershoot: Counter

  constructor(meter: Meter, handler: string) {
    const charges = meter.counter(QUOTA_CHARGES_TOTAL)
    const calls = meter.counter(QUOTA_REDIS_CALLS_TOTAL)
    this.#charges = (labels) => charges({ handler, ...labels })
    this.#calls = (why) => calls({ handler, why })
    this.#overshoot = meter.counter(QUOTA_OVERSHOOT_TOTAL)({ handler })
    this.#heldOvershoot = meter.counter(QUOTA_HELD_OVERSHOOT_TOTAL)({ handler })
  }

  /** A charge was granted or refused, with so much left after it. */
  charged({ amount, rule }: LimitCharge, isExceeded: boolean, left: number, by: Decider): void {
    if (amount === 0) return
    const outcome = isExceeded ? 'exceeded' : left < rule.amount * NEAR_SHARE ? 'near' : 'granted'
    this.#charges({ outcome, by }).add()
  }

  failed(by: Decider): void {
    this.#charges({ outcome: 'failed', by }).add()
  }

  called(why: RedisCall): void {
    this.#calls(why).add()
  }

  /** So much was granted beyond a limit while Redis was away. */
  overshot(amount: number): void {
    this.#overshoot.add(amount)
  }

  /** So much, at most, was granted beyond a limit from what was held ahead of need. */
  overshotHeld(amount: number): void {
    if (amount > 0) this.#heldOvershoot.add(amount)
  }
}
