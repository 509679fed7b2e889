// How much of a quota is leased ahead of need, for how long, and what happens when there is none.

export interface PrefetchOptions {
  /** Over what time demand is counted, in ms. */
  readonly windowMs: number
  /** For how long demand is leased ahead, in ms. */
  readonly aheadMs: number
  /** The same as a share of the time for which nodes let it be spent, at most: what is not spent by then is lost to everybody. */
  readonly maxAheadShare: number
  /** What is leased at least, and at most, at once. What a single demand needs beyond that is asked for by itself. */
  readonly minAmount: number
  readonly maxAmount: number
  /** Leases that are asked for at one time. */
  readonly maxInFlight: number
  /**
   * What may be spent before it is granted, together. What is then not granted is taken from later grants. `Infinity`: there is no
   * bound, and what was not granted and is spent is forgotten.
   */
  readonly maxOptimistic: number
  /** For how long, at most, nothing is asked for after a grant of less, in ms. */
  readonly closedMs: number
  /** How far that is longer or shorter by chance, as a share: not all who were refused come again at once. */
  readonly jitter: number
  /** Whether it counts from when the lease was asked for; else from the reply. */
  readonly closedFromAsking: boolean
  /** For how long what was leased may be spent at most, in ms. */
  readonly maxLifeMs: number
  /** After which time a reply is lost, in ms; until then, too, what is spent before it is granted may be spent. */
  readonly leaseTimeoutMs: number
}

/**
 * The constants of Mixer's client (istio/proxy 1.4, quota_prefetch.cc). A lost reply kept a pool closed for good there; here it is
 * given up after a minute, and no more than a hundred are waited for.
 */
export const MIXER_PREFETCH: PrefetchOptions = {
  windowMs: 1_000,
  aheadMs: 1_000,
  maxAheadShare: Number.POSITIVE_INFINITY,
  minAmount: 10,
  maxAmount: Number.POSITIVE_INFINITY,
  maxInFlight: 100,
  maxOptimistic: Number.POSITIVE_INFINITY,
  closedMs: 500,
  jitter: 0,
  closedFromAsking: true,
  maxLifeMs: Number.POSITIVE_INFINITY,
  leaseTimeoutMs: 60_000,
}

/**
 * Leases of a tenth of a second, so that twenty callers do not hold more than a limit has; a short memory of a refusal, so that
 * what comes free is not left lying; nothing is spent that nobody granted. `node load/quota-pools.ts` compares.
 */
export const DEFAULT_PREFETCH: PrefetchOptions = {
  windowMs: 1_000,
  aheadMs: 100,
  maxAheadShare: 1 / 3,
  minAmount: 1,
  maxAmount: 10_000,
  maxInFlight: 1,
  maxOptimistic: 0,
  closedMs: 100,
  jitter: 0.25,
  closedFromAsking: false,
  maxLifeMs: 1_000,
  leaseTimeoutMs: 500,
}
