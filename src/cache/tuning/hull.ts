// The lower convex hull of a falling line: what more memory brings, cliffs made slopes (Talus: Beckmann, Sanchez, HPCA 2015). Only
// where each further piece brings less than the one before is it right to give pieces to whoever gains most by the next one.

export interface HullPoint {
  readonly bytes: number
  readonly cost: number
}

/** The hull of points in the order of their bytes (Andrew 1979). */
export function lowerHull(points: readonly HullPoint[]): readonly HullPoint[] {
  const hull: HullPoint[] = []
  for (const point of points) {
    for (let last = hull.at(-1), before = hull.at(-2); last && before; last = hull.at(-1), before = hull.at(-2)) {
      const turn =
        (last.bytes - before.bytes) * (point.cost - before.cost) -
        (last.cost - before.cost) * (point.bytes - before.bytes)
      if (turn > 0) break
      hull.pop()
    }
    hull.push(point)
  }
  return hull
}

/** The cost at a size: between points in proportion, beyond the ends as there. */
export function costAt(hull: readonly HullPoint[], bytes: number): number {
  let before = hull[0]
  if (before === undefined) return 0
  for (const point of hull) {
    if (bytes <= point.bytes) {
      const width = point.bytes - before.bytes
      return width === 0 ? point.cost : before.cost + ((point.cost - before.cost) * (bytes - before.bytes)) / width
    }
    before = point
  }
  return before.cost
}
