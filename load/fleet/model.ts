// Who answers checks, computed instead of simulated: for fleets that no machine can simulate.
//
// A verdict holds for a fixed time in all caches of the mesh together, since its age travels with it. So each key lives in cycles: a
// check that finds it nowhere, the time for which the verdict holds, and a pause until the next check. Within a cycle a cache
// misses once, and again where the key had to make room before it was asked for once more: after the characteristic time
// of the cache, within which it is asked for as many keys as it has room for.
// Source: H. Che, Y. Tung, Z. Wang, "Hierarchical Web caching systems: modeling, design and experimental results", 2002.

/** Keys that are asked for equally often. */
export interface Popularity {
  /** Checks a second for each of them, in the whole mesh. */
  readonly rate: number
  readonly keys: number
}

/** Callers that ask for the same keys, each as often as the others. */
export interface Group {
  readonly callers: number
  /** Groups like this one, each with keys of its own. */
  readonly count: number
  readonly popularity: readonly Popularity[]
}

export interface FleetModel {
  readonly groups: readonly Group[]
  readonly nodes: number
  /** Answers that a node keeps, and a caller: 0 where it keeps none. */
  readonly entries: number
  readonly callerEntries: number
  readonly validitySeconds: number
  readonly route: 'any' | 'key'
}

export interface FleetFigures {
  /** All a second. */
  readonly requests: number
  readonly calls: number
  /** Reads; what finds nothing is followed by a write. */
  readonly redis: number
  readonly backend: number
  /** Verdicts that Redis has and that still hold. */
  readonly meshEntries: number
}

/** A key of a group: how its checks come to the nodes. */
interface Asked {
  readonly keys: number
  /** Cycles a second. */
  readonly cycles: number
  /** Checks that leave callers in a cycle. */
  readonly asked: number
}

export function modelFleet(model: FleetModel): FleetFigures {
  const { groups, nodes, entries, callerEntries, validitySeconds, route } = model
  const all = groups.flatMap((group) => askedByCallers(group, callerEntries, validitySeconds))
  // By key all nodes are like one large one.
  const shards = route === 'key' ? 1 : nodes
  const room = route === 'key' ? nodes * entries : entries
  const nodeTime = characteristicTime(
    all.map(({ keys, cycles, asked }) => ({ keys, rate: (cycles * asked) / shards })),
    room,
  )
  const sum = (of: (key: Asked) => number) => all.reduce((total, key) => total + key.keys * key.cycles * of(key), 0)
  return {
    requests: groups.reduce((total, { count, popularity }) => total + count * rateOf(popularity), 0),
    calls: sum(({ asked }) => asked),
    redis: sum(({ asked }) => missesInCycle((asked - 1) / validitySeconds, shards, validitySeconds, nodeTime)),
    backend: sum(() => 1),
    meshEntries: sum(() => validitySeconds),
  }
}

function askedByCallers({ callers, count, popularity }: Group, room: number, validitySeconds: number): Asked[] {
  const isKeeping = room > 0
  const time = isKeeping
    ? characteristicTime(
        popularity.map(({ keys, rate }) => ({ keys, rate: rate / callers })),
        room,
      )
    : 0
  return popularity.map(({ keys, rate }) => ({
    keys: keys * count,
    cycles: 1 / (validitySeconds + 1 / rate),
    asked: isKeeping ? missesInCycle(rate, callers, validitySeconds, time) : 1 + rate * validitySeconds,
  }))
}

/**
 * How often caches miss a key in one cycle.
 * @param rate checks a second of the key, within the cycle and beside the one that began it, of all caches together
 * @param caches that are asked equally often
 * @param time characteristic time of each, in seconds
 */
function missesInCycle(rate: number, caches: number, validitySeconds: number, time: number): number {
  const own = rate / caches
  const firsts = 1 + (caches - 1) * (1 - Math.exp(-own * validitySeconds))
  if (time >= validitySeconds) return firsts
  // Checks of a Poisson process whose last one before lies in the cycle, but longer ago than the characteristic time.
  const afterFirst = Math.exp(-own * time) - Math.exp(-own * validitySeconds)
  const again = own * Math.exp(-own * time) * (validitySeconds - time) - afterFirst
  return firsts + caches * Math.max(0, again) + afterFirst
}

/** The time within which a cache is asked for as many keys as it has room for, in seconds; infinite where it has room for all. */
function characteristicTime(keys: readonly Popularity[], room: number): number {
  const askedWithin = (time: number) => keys.reduce((sum, { keys: n, rate }) => sum - n * Math.expm1(-rate * time), 0)
  if (askedWithin(Number.POSITIVE_INFINITY) <= room) return Number.POSITIVE_INFINITY
  let low = 0
  let high = 1
  while (askedWithin(high) < room) high *= 2
  while (high - low > 1e-6 * high) {
    const middle = (low + high) / 2
    if (askedWithin(middle) < room) low = middle
    else high = middle
  }
  return high
}

const rateOf = (popularity: readonly Popularity[]) => popularity.reduce((sum, { keys, rate }) => sum + keys * rate, 0)

/** Ranks that are told apart before some are taken together. */
const SINGLE_RANKS = 100
const STEP = 1.05

/**
 * Keys by Zipf's law, those of neighbouring ranks taken together.
 * @param rate checks a second for all of them
 */
export function zipfPopularity(keys: number, exponent: number, rate: number): Popularity[] {
  const bins: { keys: number; weight: number }[] = []
  for (let rank = 1; rank <= keys; ) {
    const end = Math.min(keys, rank <= SINGLE_RANKS ? rank : Math.floor(rank * STEP))
    let weight = 0
    for (let each = rank; each <= end; each++) weight += each ** -exponent
    bins.push({ keys: end - rank + 1, weight })
    rank = end + 1
  }
  const total = bins.reduce((sum, { weight }) => sum + weight, 0)
  return bins.map(({ keys: n, weight }) => ({ keys: n, rate: (rate * weight) / total / n }))
}
