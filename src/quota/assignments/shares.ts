// Shares of what there is, by what each asks for: weighted max-min fairness (Bertsekas and Gallager, Data Networks, 6.5.2), in
// whole numbers. Nobody gets more than asked for, and what one leaves goes to the others.

export interface Claim {
  /** How many proxies ask together. */
  readonly weight: number
  /** Asked for now: goes before anything that is spare. */
  readonly wanted: number
  /** Beyond that, as far as there is enough: for requests that may come. */
  readonly spare: number
}

/**
 * What each gets, in order.
 * @param first who is served first where there is less than one for each; it should change, so that nobody waits for ever
 */
export function sharesOf(total: number, claims: readonly Claim[], first = 0): number[] {
  const wanted = claims.map((claim) => claim.wanted)
  const weights = claims.map(({ weight }) => weight)
  const shares = maxMin(total, wanted, weights, first)
  const left = total - sum(shares)
  if (left <= 0) return shares
  const spare = maxMin(
    left,
    claims.map((claim, at) => claim.wanted + claim.spare - (shares[at] ?? 0)),
    weights,
    first,
  )
  return shares.map((share, at) => share + (spare[at] ?? 0))
}

function maxMin(total: number, wanted: readonly number[], weights: readonly number[], first: number): number[] {
  const shares = wanted.map(() => 0)
  const level = levelOf(total, wanted, weights)
  let left = total
  for (const [at, most] of wanted.entries()) {
    const weight = weights[at] ?? 0
    if (weight === 0) continue
    const share = Math.max(0, Math.min(most, left, Math.floor(level * weight)))
    shares[at] = share
    left -= share
  }
  // Rounding leaves less than one for each that has not all it wants.
  for (let step = 0; step < shares.length && left > 0; step++) {
    const at = (first + step) % shares.length
    const share = shares[at] ?? 0
    if (weights[at] === 0 || share >= (wanted[at] ?? 0)) continue
    shares[at] = share + 1
    left--
  }
  return shares
}

/** How much each unit of weight gets that wants so much: those that want less are served in full. */
function levelOf(total: number, wanted: readonly number[], weights: readonly number[]): number {
  const asking = [...wanted.keys()].filter((at) => (wanted[at] ?? 0) > 0 && (weights[at] ?? 0) > 0)
  const needs = (at: number) => (wanted[at] ?? 0) / (weights[at] ?? 1)
  asking.sort((one, other) => needs(one) - needs(other))
  let left = Math.max(0, total)
  let weight = asking.reduce((all, at) => all + (weights[at] ?? 0), 0)
  for (const at of asking) {
    if (needs(at) * weight > left) return left / weight
    left -= wanted[at] ?? 0
    weight -= weights[at] ?? 0
  }
  return Number.POSITIVE_INFINITY
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((all, each) => all + each, 0)
}
