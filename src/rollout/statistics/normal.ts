// The normal distribution, as far as tests need it.

/** Chebyshev coefficients of erfc (W. Press et al., Numerical Recipes in C, 2nd ed., 6.2): relative error below 1.2e-7. */
const ERFC = [
  -1.26551223, 1.00002368, 0.37409196, 0.09678418, -0.18628806, 0.27886807, -1.13520398, 1.48851587, -0.82215223,
  0.17087277,
]

/** The probability of more than `z` standard deviations above the mean. */
export function upperTail(z: number): number {
  const x = Math.abs(z) / Math.SQRT2
  const t = 1 / (1 + x / 2)
  const series = ERFC.reduceRight((sum, coefficient) => sum * t + coefficient, 0)
  const tail = (t * Math.exp(-x * x + series)) / 2
  return z >= 0 ? tail : 1 - tail
}

/**
 * Bounds of a rate, from `hits` among `trials` (E. B. Wilson, "Probable inference", 1927).
 * @param z standard deviations on either side
 */
export function wilson(hits: number, trials: number, z: number): { readonly low: number; readonly high: number } {
  if (trials === 0) return { low: 0, high: 1 }
  const rate = hits / trials
  const square = z * z
  const center = rate + square / (2 * trials)
  const half = z * Math.sqrt((rate * (1 - rate) + square / (4 * trials)) / trials)
  const scale = 1 + square / trials
  return { low: Math.max(0, (center - half) / scale), high: Math.min(1, (center + half) / scale) }
}
