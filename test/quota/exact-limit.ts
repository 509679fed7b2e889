// An exact limit behind all nodes, which sees what they granted when they granted it.

import type { LimitRule } from '../../src/adapter-kit/limits.ts'
import { MemoryLimits } from '../../src/quota/memory-limits.ts'
import { FakeClock } from '../helpers/clock.ts'
import type { Grant } from './simulated-nodes.ts'

/** What it would have refused of these grants, in order of time. `MemoryLimits` is held against a log elsewhere. */
export function overshootOf(rule: LimitRule, grants: readonly Grant[]): number {
  if (rule.algorithm === 'tokenBucket') return overshootOfSteps(rule, grants)
  let now = 0
  const limits = new MemoryLimits({ clock: Object.assign(new FakeClock(), { now: () => now }) })
  let over = 0
  for (const { at, amount } of grants) {
    now = at
    over += amount - (limits.charge([{ key: 'k', rule, amount }], { mode: 'part' })[0]?.granted ?? 0)
  }
  return over
}

/**
 * The same of a bucket that refills in steps. When it is full its steps are counted from the next charge, and what nodes hold
 * keeps it from being full: so it is held against buckets that may go on with their steps or begin anew then, and that which
 * refuses least is the judge.
 */
function overshootOfSteps({ amount, windowMs, burst }: Steps, grants: readonly Grant[]): number {
  /** Of each beat the bucket that has refused least, and of those the emptiest. */
  let buckets = new Map<number, Bucket>()
  const least = (found: Map<number, Bucket>, beat: number, bucket: Bucket) => {
    const known = found.get(beat)
    const isBetter = known === undefined || bucket.over < known.over
    if (isBetter || (bucket.over === known.over && bucket.used < known.used)) found.set(beat, bucket)
  }
  for (const grant of grants) {
    const found = new Map<number, Bucket>()
    const before = buckets.size === 0 ? [[grant.at % windowMs, { used: 0, over: 0, at: grant.at }] as const] : buckets
    for (const [beat, { used, over, at }] of before) {
      const steps = Math.floor((grant.at - beat) / windowMs) - Math.floor((at - beat) / windowMs)
      const still = Math.max(0, used - steps * amount)
      const granted = Math.min(grant.amount, burst - still)
      const next = { used: still + granted, over: over + grant.amount - granted, at: grant.at }
      least(found, beat, next)
      if (still === 0) least(found, grant.at % windowMs, next)
    }
    buckets = found
  }
  return buckets.size === 0 ? 0 : Math.min(...Array.from(buckets.values(), ({ over }) => over))
}

interface Bucket {
  readonly used: number
  readonly over: number
  readonly at: number
}

type Steps = Extract<LimitRule, { algorithm: 'tokenBucket' }>
