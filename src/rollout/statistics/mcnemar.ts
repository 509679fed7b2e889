// McNemar's test in its exact form: whether pairs that differ do so in one direction more often than by chance.
// Source: Q. McNemar, "Note on the sampling error of the difference between correlated proportions", 1947.

/**
 * The probability, were both directions equally likely, of a split at least as uneven.
 * @param one pairs that differ in one direction, @param other in the other one
 */
export function exactMcNemar(one: number, other: number): number {
  const pairs = one + other
  const fewer = Math.min(one, other)
  // From the largest term down: below the middle each is smaller than the one before.
  let logTerm = -pairs * Math.LN2
  for (let k = 1; k <= fewer; k++) logTerm += Math.log((pairs - k + 1) / k)
  let term = 1
  let sum = 0
  for (let k = fewer; k >= 0 && term > Number.EPSILON * sum; k--) {
    sum += term
    term *= k / (pairs - k + 1)
  }
  return Math.min(1, 2 * Math.exp(logTerm) * sum)
}
