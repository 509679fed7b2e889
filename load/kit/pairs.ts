// Two things measured in turn, and what one is of the other: what the machine does meanwhile meets both alike.

import { seededRandom } from '../random.ts'
import { quantiles } from '../statistics.ts'

const RESAMPLES = 2_000

/** A ratio over pairs: the median, all of them from the smallest to the largest, and a 95 % interval of the median. */
export interface Ratio {
  readonly median: number
  readonly lowest: number
  readonly highest: number
  /** Bootstrap over the pairs; with fewer than five pairs it says hardly more than the pairs themselves. */
  readonly interval: readonly [from: number, to: number]
  readonly pairs: number
}

/** What `of` is beside `base`, pair by pair. Pairs without a figure do not count. */
export function ratioOf(of: readonly number[], base: readonly number[]): Ratio {
  const ratios = of.flatMap((value, index) => {
    const ratio = value / (base[index] ?? NaN)
    return Number.isFinite(ratio) ? [ratio] : []
  })
  if (ratios.length === 0) return { median: NaN, lowest: NaN, highest: NaN, interval: [NaN, NaN], pairs: 0 }
  const random = seededRandom(1)
  const medians = Float64Array.from({ length: RESAMPLES }, () =>
    medianOf(ratios.map(() => ratios[Math.floor(random() * ratios.length)] ?? 0)),
  )
  const [lower, upper] = quantiles(medians, 0.025, 0.975)
  return {
    median: medianOf(ratios),
    lowest: Math.min(...ratios),
    highest: Math.max(...ratios),
    interval: [lower, upper],
    pairs: ratios.length,
  }
}

/** The value in the middle, or halfway between the two there. */
export function medianOf(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length / 2
  return ((sorted[Math.ceil(middle) - 1] ?? NaN) + (sorted[Math.floor(middle)] ?? NaN)) / 2
}

export function ratioText({ median, lowest, highest }: Ratio): string {
  return Number.isNaN(median) ? '–' : `${median.toFixed(2)} (${lowest.toFixed(2)}–${highest.toFixed(2)})`
}

/** Runs all, round by round, every other round in reverse order; so nobody is always first. Results by index, then round. */
export async function alternate<T>(runs: readonly (() => Promise<T>)[], rounds: number): Promise<readonly T[][]> {
  const results = runs.map((): T[] => [])
  for (let round = 0; round < rounds; round++) {
    const order = [...runs.keys()]
    if (round % 2 === 1) order.reverse()
    for (const index of order) {
      const run = runs[index]
      if (run !== undefined) results[index]?.push(await run())
    }
  }
  return results
}
