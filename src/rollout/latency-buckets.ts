// How long checks took, as counts by buckets of constant ratio: four to a doubling, from a microsecond to sixteen seconds.

/** Buckets for one doubling: a value is known to within a fifth. */
const PER_DOUBLING = 4
const BUCKETS = 24 * PER_DOUBLING

/** The bucket of a time in microseconds. */
export function bucketOf(us: number): number {
  return us < 1 ? 0 : Math.min(BUCKETS - 1, Math.floor(Math.log2(us) * PER_DOUBLING))
}

/**
 * The time in microseconds below which a share of the counts lies, laid between the bounds of its bucket by its place among
 * the counts there; `undefined` without counts.
 */
export function quantile(counts: readonly number[], share: number): number | undefined {
  const all = counts.reduce((sum, count) => sum + count, 0)
  if (all === 0) return undefined
  let left = share * all
  for (const [bucket, count] of counts.entries()) {
    if (left <= count && count > 0) return 2 ** ((bucket + left / count) / PER_DOUBLING)
    left -= count
  }
  return 2 ** (counts.length / PER_DOUBLING)
}
