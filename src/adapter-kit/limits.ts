// What an adapter may ask of counters that all nodes share: amounts charged to limits, several at once.

/** A month or a year of the calendar has no fixed length. All are of UTC; a week begins on Monday. */
export const CALENDAR_UNITS = ['minute', 'hour', 'day', 'week', 'month', 'year'] as const
export type CalendarUnit = (typeof CALENDAR_UNITS)[number]

/** How much is allowed, and how that is counted. Amounts are whole numbers, times milliseconds. */
export type LimitRule =
  /**
   * Refills without steps: `amount` in `windowMs`, and up to `burst` at once. The generic cell rate algorithm (ITU-T I.371,
   * annex A) in the form of what is used of the bucket.
   */
  | { readonly algorithm: 'gcra'; readonly amount: number; readonly windowMs: number; readonly burst: number }
  /** Refills in steps: every `windowMs` by `amount`, up to `burst`. */
  | { readonly algorithm: 'tokenBucket'; readonly amount: number; readonly windowMs: number; readonly burst: number }
  /** One window after the other; the first begins with the first charge, or all at multiples of `windowMs` since 1970. */
  | {
      readonly algorithm: 'fixedWindow'
      readonly amount: number
      readonly windowMs: number
      readonly from: 'firstCharge' | 'epoch'
    }
  /** One unit of the calendar after the other. */
  | { readonly algorithm: 'calendarWindow'; readonly amount: number; readonly unit: CalendarUnit }
  /** The last `windowMs`, from two counters: what was charged in the window before counts as if it had come evenly. */
  | { readonly algorithm: 'slidingWindow'; readonly amount: number; readonly windowMs: number }
  /** The last `windowMs`, in buckets: at most one bucket longer, never shorter. */
  | {
      readonly algorithm: 'rollingWindow'
      readonly amount: number
      readonly windowMs: number
      readonly bucketMs: number
    }
  /** In flight at one time. Who does not give back in `expiryMs` is taken for gone. */
  | { readonly algorithm: 'concurrency'; readonly amount: number; readonly expiryMs: number }
  /** In use until given back by a negative amount; forgotten when nothing has changed for `expiryMs`. */
  | { readonly algorithm: 'allocation'; readonly amount: number; readonly expiryMs: number }

/** What people call a counter: its limit, and what tells it from others of that limit, in the order that they know. */
export interface CounterName {
  readonly limit: string
  readonly values: readonly (readonly [name: string, value: string])[]
}

export interface LimitCharge {
  /** Which counter: its key tells it from all others of this handler. At most 256 characters. */
  readonly key: string
  /**
   * Part of which counter it is. On a cluster the counters of one group lie together, and what is charged to them together
   * is charged in one step; those of others are charged one after the other, and given back where one refuses. Without one
   * each counter is by itself.
   */
  readonly group?: string
  readonly rule: LimitRule
  /** 0 looks without charging. Negative amounts give back, of `allocation` and `concurrency` only. */
  readonly amount: number
  /**
   * The promised error, as a share of the limit. 0, the default: each charge asks Redis. Above that a node may hold amounts
   * ahead of need, so that most charges ask nobody; all nodes together hold at most that share.
   */
  readonly accuracy?: number
  /** What a node does while Redis is away; `share` unless given. */
  readonly away?: AwayPolicy
  /** Asked for where somebody may look at the counter. */
  readonly name?: () => CounterName
}

/**
 * While Redis is away: `share` goes on with the node's part of the limit (the limit through the number of nodes), and charges
 * that to Redis afterwards; `open` grants everything; `closed` rejects, so that the fail policy of the rule decides.
 */
export const AWAY_POLICIES = ['share', 'open', 'closed'] as const
export type AwayPolicy = (typeof AWAY_POLICIES)[number]

/**
 * What happens to charges that come together. `all`: all or none. `part`: of each as much as all have left, if there is
 * any. `each`: each by itself. `count`: each by itself, and what Redis refuses is counted all the same.
 */
export const CHARGE_MODES = ['all', 'part', 'each', 'count'] as const
export type ChargeMode = (typeof CHARGE_MODES)[number]

export interface ChargeOptions {
  readonly mode: ChargeMode
  /**
   * The same for each retry: whoever charges again within a minute gets the first outcome, and is not charged. Of
   * `concurrency` also the name of what is in flight. Empty where there is none.
   */
  readonly id?: string
  /** On the environment's monotonic clock: when nobody waits any more. */
  readonly deadline?: number
}

/** What became of one charge. */
export interface LimitOutcome {
  /** Of the amount asked for. A look grants 0. */
  readonly granted: number
  /** Whether the amount could not be granted in full. */
  readonly isExceeded: boolean
  /** What is left after the charge; below 0 where more was counted than is allowed. */
  readonly left: number
  /** Until nothing that was charged counts any more, in ms. */
  readonly resetMs: number
  /** Until what was refused could be granted, in ms; 0 where nothing was refused, and infinite where it never can be. */
  readonly retryAfterMs: number
}

/** A place in flight that is given back: of which counter, and the id that it was taken with. */
export interface PlaceLeft extends Pick<LimitCharge, 'key' | 'group'> {
  readonly id: string
}

/** Which counters are meant: some, or all whose keys begin so. */
export type CounterChoice =
  | { readonly counters: readonly Pick<LimitCharge, 'key' | 'group' | 'rule'>[] }
  | { readonly startingWith: string }

/** Counters of one handler. */
export interface Limits {
  /** One outcome for each charge, in order. Rejects where it cannot be known, which no fail policy of a limit allows for. */
  charge(charges: readonly LimitCharge[], options: ChargeOptions): LimitOutcome[] | Promise<LimitOutcome[]>
  /**
   * Gives back what was charged ahead of need in the last moments and not used, by amounts below 0, of any rule: as far as it is sure
   * that it counts still. Absent where nothing can be given back. Rejects where Redis gives no answer.
   */
  giveBack?(charges: readonly LimitCharge[]): Promise<void>
  /**
   * Gives back places of `concurrency`, of any counters at once, and says how many of them were there: who is not in flight,
   * or has left before, changes nothing. While Redis is away they are kept for later, as far as there is room. Rejects where
   * Redis gives no answer: what it has not heard of expires.
   */
  leave(places: readonly PlaceLeft[]): number | Promise<number>
  /**
   * Forgets what was charged, as an operator wishes. Other nodes spend what they hold ahead of need, and remember a refusal
   * for a tenth of a second. Absent where there is nothing to forget.
   * @returns how many counters something was charged to. Rejects where Redis, which counts them, is away.
   */
  reset?(choice: CounterChoice): Promise<number>
}
