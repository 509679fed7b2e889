// One limit, as the proxies of this process share it: what they used is charged to it in rounds, and what is left is shared out to
// those that have reported, beside what all other proxies hold. A proxy is given less only when it reports: till then nobody
// knows what it has used.

import type { Limits } from '../../adapter-kit/limits.ts'
import type { Clock } from '../../kernel/ports.ts'
import type { BucketUsage } from '../../kernel/quota-buckets.ts'
import { UNIT_SECONDS } from '../../kernel/rate-limit.ts'
import { limitRuleOf } from '../descriptors/charges.ts'
import type { BucketLimit } from './bucket-limit.ts'
import type { Claimant, Measure } from './claimant.ts'
import type { Claims } from './claims.ts'
import { type Claim, sharesOf } from './shares.ts'

/** Who is served first where there is not one for each changes so often: no window begins with the same turn each time. */
const TURN_MS = 7_000
/** A proxy that used nothing, and has enough, is asked about so often. */
const QUIET_MS = 5_000
/** What a proxy can count. */
const MOST = 0xffff_ffff

export interface CountedLimitOptions {
  readonly limits: () => Pick<Limits, 'charge'>
  readonly claims: Claims
  readonly clock: Clock
}

export class CountedLimit {
  readonly #options: CountedLimitOptions
  #limit: BucketLimit
  readonly #claimants = new Set<Claimant>()
  /** Those that have reported since the last round. */
  #asking = new Set<Claimant>()
  /** Let pass since the last round. */
  #used = 0
  #others: readonly Claim[] = []
  #before = 0
  #roundAt = Number.NEGATIVE_INFINITY

  constructor(options: CountedLimitOptions, limit: BucketLimit) {
    this.#options = options
    this.#limit = limit
  }

  get key(): string {
    return this.#limit.counter
  }

  get claimants(): ReadonlySet<Claimant> {
    return this.#claimants
  }

  /** Whether there is something to do in a round. */
  get isDue(): boolean {
    return this.#asking.size > 0
  }

  /** Follows the config. */
  configure(limit: BucketLimit): void {
    this.#limit = limit
  }

  join(claimant: Claimant): void {
    this.#claimants.add(claimant)
  }

  leave(claimant: Claimant): void {
    this.#claimants.delete(claimant)
    this.#asking.delete(claimant)
  }

  /** Takes what a proxy used; it is answered at once where there is nothing to count, else in the next round. */
  reported(claimant: Claimant, { allowed, denied }: BucketUsage, now: number): void {
    const isQuiet = allowed + denied === 0 && now - this.#roundAt < QUIET_MS
    if (isQuiet && !this.#asking.has(claimant) && claimant.extend(now)) return
    this.#used = Math.min(Number.MAX_SAFE_INTEGER, this.#used + allowed)
    if (!this.#measure.isRate) claimant.spend(allowed)
    this.#asking.add(claimant)
  }

  /** Forgets what has run out. */
  expire(now: number): void {
    for (const claimant of this.#claimants) if (claimant.expire(now) && claimant.isGone) this.leave(claimant)
  }

  /** Charges and shares. Rejects where what is left cannot be known: those that asked then go on as they are configured to. */
  async round(): Promise<void> {
    const { clock } = this.#options
    const asking = this.#asking
    const used = this.#used
    const { isShadow } = this.#limit.limit
    this.#asking = new Set()
    this.#used = 0
    this.#roundAt = clock.monotonic()
    this.expire(this.#roundAt)
    const total = await this.#charge(used).catch((error: unknown) => {
      this.#used = Math.min(Number.MAX_SAFE_INTEGER, this.#used + used)
      throw error
    })
    const shares = isShadow ? undefined : await this.#share(asking, used, total)
    const now = clock.monotonic()
    for (const claimant of asking) {
      if (!this.#claimants.has(claimant)) continue
      const share = shares?.get(claimant)
      if (share === undefined) claimant.allow(now)
      else claimant.assign(Math.min(MOST, share), this.#measure.isRate, now)
    }
  }

  get #measure(): Measure {
    const { requestsPerUnit: amount, unit } = this.#limit.limit
    return { amount, windowMs: UNIT_SECONDS[unit] * 1_000, isRate: unit === 'second' }
  }

  /** @returns what all nodes can share out */
  async #charge(used: number): Promise<number> {
    const { limit, counter: key, counterName: name, charging } = this.#limit
    // A second is over before anybody reports what happened in it.
    if (this.#measure.isRate) return limit.requestsPerUnit
    const charge = { key, rule: limitRuleOf(limit), amount: used, away: charging.away, name }
    const [outcome] = await this.#options.limits().charge([charge], { mode: 'count' })
    return Math.max(0, outcome?.left ?? 0)
  }

  /** The share of each that asks; `undefined` where there is no limit for now. */
  async #share(
    asking: ReadonlySet<Claimant>,
    used: number,
    total: number,
  ): Promise<ReadonlyMap<Claimant, number> | undefined> {
    const { claims } = this.#options
    const live = [...this.#claimants].filter(({ isGone }) => !isGone)
    const wishes = live.map((claimant) => claimant.claim(this.#measure))
    const node = wishes.reduce(joined, NOTHING)
    const isAsking = (at: number) => asking.has(live[at] as Claimant)
    // What has been reported since this round began is charged in the next one.
    const uncharged = this.#measure.isRate ? 0 : this.#used
    const keeps = [...this.#claimants].reduce((sum, each) => (asking.has(each) ? sum : sum + each.held), uncharged)
    const shareOut = (most: number) => {
      const all = this.#others.toSpliced(this.#before, 0, node)
      const ours = sharesOf(most, all, this.#turn)[this.#before] ?? 0
      return sharesOf(ours, wishes, this.#turn).map((share, at) => (isAsking(at) ? share : 0))
    }
    let shares = shareOut(total)
    const holds = keeps + shares.reduce(plus, 0)
    const forMs = 2_000 * Math.max(...live.map(({ ttlSeconds }) => ttlSeconds), 1)
    const heldBack = this.#measure.isRate ? 0 : used
    try {
      const reply = await claims.claim(this.key, { ...node, keeps, holds, used: heldBack, total, forMs })
      this.#others = reply.others
      this.#before = reply.before
      if (reply.held < holds) shares = cut(shares, reply.held - keeps, this.#turn)
    } catch (error) {
      const { away } = this.#limit.charging
      if (away === 'open') return undefined
      if (away === 'closed') throw error
      const ours = Math.min(total, Math.max(Math.min(1, total), Math.floor(this.#measure.amount / claims.processes)))
      shares = cut(
        sharesOf(ours, wishes, this.#turn).map((share, at) => (isAsking(at) ? share : 0)),
        ours - keeps,
        this.#turn,
      )
    }
    return new Map(live.map((claimant, at) => [claimant, shares[at] ?? 0]))
  }

  get #turn(): number {
    return Math.floor(this.#options.clock.now() / TURN_MS)
  }
}

const NOTHING: Claim = { weight: 0, wanted: 0, spare: 0 }
const plus = (sum: number, each: number) => sum + each

function joined(one: Claim, other: Claim): Claim {
  return { weight: one.weight + other.weight, wanted: one.wanted + other.wanted, spare: one.spare + other.spare }
}

/** Fairly down to what there is. */
function cut(shares: readonly number[], most: number, turn: number): number[] {
  const wishes = shares.map((wanted) => ({ weight: 1, wanted, spare: 0 }))
  return sharesOf(Math.max(0, most), wishes, turn)
}
