// Wald's sequential probability ratio test of a rate: it may be looked at as often as one likes.
// Source: A. Wald, "Sequential tests of statistical hypotheses", 1945.

export interface SprtOptions {
  readonly hits: number
  readonly trials: number
  /** The rate that is harmless, and one that is not; it may be a lower one. Both lie between 0 and 1, neither included. */
  readonly harmless: number
  readonly harmful: number
  /** How often what is harmless may be found harmful, and the other way around. */
  readonly alpha: number
  readonly beta: number
}

/** `harmful` and `harmless` are conclusions; `open`: too little was seen. */
export type SprtVerdict = 'harmful' | 'harmless' | 'open'

/** The logarithm of how much likelier the figures are under the harmful rate. */
export function logRatio({ hits, trials, harmless, harmful }: SprtOptions): number {
  return hits * Math.log(harmful / harmless) + (trials - hits) * Math.log((1 - harmful) / (1 - harmless))
}

export function sprt(options: SprtOptions): SprtVerdict {
  const { alpha, beta } = options
  const ratio = logRatio(options)
  if (ratio >= Math.log((1 - beta) / alpha)) return 'harmful'
  return ratio <= Math.log(beta / (1 - alpha)) ? 'harmless' : 'open'
}
