// The Mann–Whitney test: whether values of one sample tend to be larger than those of another, whatever their distribution.
// Source: H. B. Mann, D. R. Whitney, "On a test of whether one of two random variables is stochastically larger than the
// other", 1947; normal approximation with corrections for ties and continuity, as in SciPy's `mannwhitneyu`.

import { upperTail } from './normal.ts'

/** The probability, were there no difference, that `ones` come out larger than `others` by as much or more. */
export function mannWhitney(ones: readonly number[], others: readonly number[]): number {
  const [n, m] = [ones.length, others.length]
  const all = [...ones.map((value) => ({ value, isOne: true })), ...others.map((value) => ({ value, isOne: false }))]
  all.sort((a, b) => a.value - b.value)
  let ranks = 0
  let ties = 0
  for (let at = 0; at < all.length; ) {
    let end = at + 1
    while (all[end]?.value === all[at]?.value && end < all.length) end++
    // All of them have the mean of the ranks that they take.
    const rank = (at + 1 + end) / 2
    ranks += rank * all.slice(at, end).filter(({ isOne }) => isOne).length
    ties += (end - at) ** 3 - (end - at)
    at = end
  }
  const size = n + m
  const deviation = Math.sqrt(((n * m) / 12) * (size + 1 - ties / (size * (size - 1))))
  if (!(deviation > 0)) return 1
  const larger = ranks - (n * (n + 1)) / 2
  return upperTail((larger - (n * m) / 2 - 0.5) / deviation)
}
