// A window that rolls by buckets.

import type { Algorithm, Count, RuleOf } from './algorithm.ts'

interface Bucket {
  /** Since 1970. */
  readonly number: number
  readonly used: number
}

/** Oldest first. A bucket counts until all of it has left the window. */
type Buckets = readonly Bucket[]

export const rollingWindow: Algorithm<RuleOf<'rollingWindow'>, Buckets> = {
  at(state = [], { windowMs, bucketMs }, now) {
    const oldest = Math.floor((now - windowMs) / bucketMs)
    // More than a window ahead are those of a clock that has been set back.
    const newest = Math.floor((now + windowMs) / bucketMs)
    return state.filter(({ number }) => number >= oldest && number <= newest)
  },
  count(buckets, { amount, windowMs, bucketMs }, now): Count {
    const used = sum(buckets)
    const leavesAt = ({ number }: Bucket) => (number + 1) * bucketMs + windowMs - now
    const last = buckets.at(-1)
    return {
      free: amount - used,
      resetMs: last === undefined ? 0 : leavesAt(last),
      window: Math.floor(now / bucketMs),
      retryMs: (wanted) => {
        if (wanted > amount) return Number.POSITIVE_INFINITY
        let over = used + wanted - amount
        if (over <= 0) return 0
        for (const bucket of buckets) {
          over -= bucket.used
          if (over <= 0) return leavesAt(bucket)
        }
        return Number.POSITIVE_INFINITY
      },
    }
  },
  charge(buckets, { bucketMs }, amount, window, now) {
    const number = amount < 0 ? window : Math.max(Math.floor(now / bucketMs), buckets.at(-1)?.number ?? 0)
    const known = buckets.find((bucket) => bucket.number === number)
    if (known === undefined) return amount > 0 ? [...buckets, { number, used: amount }] : buckets
    const used = Math.max(0, known.used + amount)
    return buckets.flatMap((bucket) => (bucket !== known ? [bucket] : used === 0 ? [] : [{ number, used }]))
  },
}

function sum(buckets: Buckets): number {
  let used = 0
  for (const bucket of buckets) used += bucket.used
  return used
}
