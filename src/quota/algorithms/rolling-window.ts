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
  charge(buckets, { bucketMs, windowMs }, amount, window, now) {
    const isNow = amount >= 0 && window === 0
    const number = isNow ? Math.max(Math.floor(now / bucketMs), buckets.at(-1)?.number ?? 0) : window
    if (number < Math.floor((now - windowMs) / bucketMs) || number > Math.floor((now + windowMs) / bucketMs))
      return buckets
    const used = (buckets.find((bucket) => bucket.number === number)?.used ?? 0) + amount
    const before = buckets.filter((bucket) => bucket.number < number)
    const after = buckets.filter((bucket) => bucket.number > number)
    return [...before, ...(used > 0 ? [{ number, used }] : []), ...after]
  },
}

function sum(buckets: Buckets): number {
  let used = 0
  for (const bucket of buckets) used += bucket.used
  return used
}
