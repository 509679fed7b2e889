// What got slower than a run that was kept: ratios to an echo of the same run, which other machines and busy hours change little.

/** A ratio of the bench's table, with its spread over the rounds. */
export interface Kept {
  readonly median: number
  readonly lowest: number
  readonly highest: number
}

/** By row of the table. */
export type Baseline = Readonly<Record<string, Kept>>

export interface Judged {
  readonly row: string
  readonly before: number | undefined
  readonly now: number | undefined
  readonly verdict: 'same' | 'slower' | 'faster' | 'new' | 'gone'
}

/** Less is not told from chance, however the rounds agree. */
const NOTABLE = 1.1

/**
 * A row is slower where its median is a tenth larger than the baseline's and all of its rounds are above the baseline's median,
 * or its median above all of the baseline's rounds; faster the other way round.
 */
export function judge(baseline: Baseline, now: Baseline): readonly Judged[] {
  const rows = new Set([...Object.keys(baseline), ...Object.keys(now)])
  return [...rows].map((row) => {
    const [before, after] = [baseline[row], now[row]]
    const medians = { row, before: before?.median, now: after?.median }
    if (before === undefined) return { ...medians, verdict: 'new' }
    if (after === undefined) return { ...medians, verdict: 'gone' }
    if (isAbove(after, before)) return { ...medians, verdict: 'slower' }
    return { ...medians, verdict: isAbove(before, after) ? 'faster' : 'same' }
  })
}

function isAbove(one: Kept, other: Kept): boolean {
  return one.median >= other.median * NOTABLE && (one.lowest > other.median || one.median > other.highest)
}
