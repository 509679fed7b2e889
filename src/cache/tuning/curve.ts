// A miss-ratio curve: which share of look-ups a cache would miss by its size.

export interface CurvePoint {
  readonly bytes: number
  /** Share of look-ups, 0 to 1. */
  readonly miss: number
  /** The same as each of several samples has it that have nothing in common: how far they differ tells how good it is. */
  readonly replicas: readonly number[]
}

export interface Curve {
  /** From the smallest size to the largest. */
  readonly points: readonly CurvePoint[]
  /**
   * What the cache itself misses beside what the copy of its size does: all points are multiplied by it. It stays where copies keep
   * what the cache would.
   */
  readonly ratio: number
  /** Look-ups that it was made of, those of long ago counted in part. */
  readonly lookups: number
}

/** The share that is missed at a size: between points in proportion, beyond the last one as there, and all of it at nothing. */
export function missAt({ points }: Curve, bytes: number): number {
  return interpolated(points, bytes, ({ miss }) => miss)
}

/** What the samples say of the difference between two sizes, one by one: what they have in common falls out. */
export function missDifferences({ points }: Curve, from: number, to: number): readonly number[] {
  const replicas = points[0]?.replicas.length ?? 0
  return Array.from({ length: replicas }, (_, i) => {
    const at = (bytes: number) => interpolated(points, bytes, (point) => point.replicas[i] ?? point.miss)
    return at(from) - at(to)
  })
}

/** Standard error of the mean of samples. */
export function standardError(samples: readonly number[]): number {
  const count = samples.length
  if (count < 2) return 0
  const mean = samples.reduce((one, two) => one + two, 0) / count
  const variance = samples.reduce((sum, sample) => sum + (sample - mean) ** 2, 0) / (count - 1)
  return Math.sqrt(variance / count)
}

function interpolated(points: readonly CurvePoint[], bytes: number, of: (point: CurvePoint) => number): number {
  let [x, y] = [0, 1]
  for (const point of points) {
    const miss = of(point)
    if (bytes <= point.bytes) return point.bytes === x ? miss : y + ((miss - y) * (bytes - x)) / (point.bytes - x)
    x = point.bytes
    y = miss
  }
  return points.length === 0 ? 1 : y
}
