// The few statistics that the scenarios need.

/** The value below which a share `q` of the values lies; 0 for none. Sorts the values in place. */
export function quantiles<const Q extends readonly number[]>(
  values: Float64Array,
  ...wanted: Q
): { [I in keyof Q]: number } {
  values.sort()
  const pick = (q: number) => values[Math.min(values.length - 1, Math.floor(q * values.length))] ?? 0
  return wanted.map(pick) as { [I in keyof Q]: number }
}

/** Arithmetic mean; 0 for no values. */
export function mean(values: Iterable<number>): number {
  let sum = 0
  let count = 0
  for (const value of values) {
    sum += value
    count++
  }
  return count === 0 ? 0 : sum / count
}

/** Requests of one outage, and how many of them failed: they are not independent of each other. */
export interface Cluster {
  readonly requests: number
  readonly failures: number
}

export interface Estimate {
  readonly value: number
  /** Upper end of the one-sided 95 % interval. */
  readonly upper: number
}

/**
 * The share of failures, with a bound by resampling whole clusters (cluster bootstrap). Where hardly anything failed a
 * resample knows too little, so the bound is never below the rule of three over all requests.
 */
export function failureShare(clusters: readonly Cluster[], random: () => number, resamples = 2_000): Estimate {
  const total = sumOf(clusters)
  if (total.requests === 0) return { value: 0, upper: 1 }
  const shares = new Float64Array(resamples)
  for (let i = 0; i < resamples; i++) {
    const sample = clusters.map(() => clusters[Math.floor(random() * clusters.length)] ?? { requests: 0, failures: 0 })
    const { requests, failures } = sumOf(sample)
    shares[i] = requests === 0 ? 0 : failures / requests
  }
  const [bootstrapped] = quantiles(shares, 0.95)
  return {
    value: total.failures / total.requests,
    upper: Math.min(1, Math.max(bootstrapped, poissonUpper(total.failures) / total.requests)),
  }
}

/** Upper 95 % bound of a Poisson mean after `count` events, by Byar's approximation; 3 for none (rule of three). */
export function poissonUpper(count: number): number {
  if (count === 0) return 3
  const n = count + 1
  return n * (1 - 1 / (9 * n) + 1.645 / (3 * Math.sqrt(n))) ** 3
}

/** The availability of a backend that is down a share `unavailability` of the time. */
export function recombine(unavailability: number, failDown: number, failUp: number): number {
  return 1 - (unavailability * failDown + (1 - unavailability) * failUp)
}

function sumOf(clusters: readonly Cluster[]): Cluster {
  let requests = 0
  let failures = 0
  for (const cluster of clusters) {
    requests += cluster.requests
    failures += cluster.failures
  }
  return { requests, failures }
}
