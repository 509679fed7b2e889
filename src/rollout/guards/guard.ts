// What a guard says, and the figures that all of them share.

/** `open`: it is not known yet, which never lets a candidate pass. */
export type GuardVerdict = 'pass' | 'open' | 'fail'

export interface Guard {
  readonly name: string
  readonly verdict: GuardVerdict
  /** What was seen and what is missing, for people. */
  readonly words: string
}

/** How often a harmless candidate may fail one stage, by all its tests together, and a harmful one pass a test. */
const ALPHA = 0.01
export const BETA = 0.05

/** The share of `ALPHA` of one among so many tests (C. E. Bonferroni). */
export function alphaOf(tests: number): number {
  return ALPHA / tests
}

/** Tests in `shadow`: flips as a share, and by their direction. */
export const SHADOW_TESTS = 2
/** Tests where a candidate serves: errors, unknowns, more denials, fewer of them, latency, slowest checks. */
export const SERVING_TESTS = 6

/** A whole number, for people. */
export function shown(count: number): string {
  return count.toLocaleString('en-US')
}

/** A share in percent, for people. */
export function percent(share: number): string {
  return `${Number((share * 100).toPrecision(3))} %`
}
