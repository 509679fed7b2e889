// Decides when memory moves between caches, and how much of it: small moves with rests between them, each of which must bring
// what was expected of it, or it is taken back.

import type { Since } from './curve-sampler.ts'
import { missAt, missDifferences, standardError } from './curve.ts'
import { costOf, divide, type Division, type PartReading } from './division.ts'

/** What is known of a cache, and what it has missed since the last move. */
export interface WatchedPart extends PartReading {
  readonly since: Since
  /** Whether it is known what all of the memory would find: as many keys have come as that would hold. */
  readonly isTried: boolean
}

export type Decision =
  /** Nothing is to be done, and why. */
  | { readonly kind: 'stay'; readonly reason: 'resting' | 'unknown' | 'settled' | 'uncertain' | 'back_off' }
  /** Sizes to be had from now on; `gain` is what a second costs less, by the curves. */
  | { readonly kind: 'move' | 'shrink' | 'back'; readonly sizes: Division; readonly gain: number }

export interface ControllerOptions {
  /** The monotonic clock, in ms. */
  readonly now: () => number
  /** Time between moves. */
  readonly restMs?: number
  /** Time without moves after one that was taken back. */
  readonly backOffMs?: number
}

interface Move {
  readonly before: Division
  /** What a second may cost more, as a share of what it cost, where nothing is gained before the next point of a curve. */
  readonly planned: number
  readonly ratios: Division
}

const REST_MS = 30_000
const BACK_OFF_MS = 300_000
/** Of the memory, what moves at once. */
const MOST_MOVED = 0.1
/** Of the memory, what is not worth a move. */
const LEAST_MOVED = 0.01
/** What a move must bring, as a share of what misses cost, and how sure that must be, in standard errors. */
const LEAST_GAIN = 0.002
const SURE = 2
/** What a move that is taken back must have lost, as a share of what misses cost. */
const LEAST_LOSS = 0.01
const SURE_OF_LOSS = 3
/** Look-ups without which nothing is known. */
const LEAST_LOOKUPS = 2_000

export class TuningController {
  readonly #now: () => number
  readonly #restMs: number
  readonly #backOffMs: number
  #restUntil = Number.NEGATIVE_INFINITY
  #backOffUntil = Number.NEGATIVE_INFINITY
  #move: Move | undefined

  constructor({ now, restMs = REST_MS, backOffMs = BACK_OFF_MS }: ControllerOptions) {
    this.#now = now
    this.#restMs = restMs
    this.#backOffMs = backOffMs
  }

  /** Sizes were changed by others: the last move is not to be judged by what is missed since, and nothing is to move for a while. */
  disturb(): void {
    this.#move = undefined
    this.#restUntil = this.#now() + this.#restMs
  }

  /** What is to be done now. A decision to move is taken for carried out. */
  decide(parts: readonly WatchedPart[], budget: number): Decision {
    const now = this.#now()
    if (now < this.#restUntil) return { kind: 'stay', reason: 'resting' }
    const move = this.#move
    this.#move = undefined
    if (move !== undefined && hasFailed(parts, move)) {
      this.#restUntil = now + this.#restMs
      this.#backOffUntil = now + this.#backOffMs
      const sizes = new Map(parts.map(({ id, bytes }) => [id, move.before.get(id) ?? bytes]))
      return { kind: 'back', sizes: within(sizes, budget), gain: 0 }
    }
    if (now < this.#backOffUntil) return { kind: 'stay', reason: 'back_off' }
    const lookups = parts.reduce((sum, { curve }) => sum + curve.lookups, 0)
    if (lookups < LEAST_LOOKUPS) return { kind: 'stay', reason: 'unknown' }
    return this.#towards(divide(parts, budget), parts, budget)
  }

  #towards(target: Division, parts: readonly WatchedPart[], budget: number): Decision {
    const wanted = parts.map(({ id, bytes }) => (target.get(id) ?? bytes) - bytes)
    const grown = sum(wanted.filter((delta) => delta > 0))
    // What gives back memory is not to gain anything. Before as much has come as the memory holds, what it brings is not known.
    const isShrinking = grown < LEAST_MOVED * budget
    const deltas = isShrinking
      ? wanted.map((delta, i) => (parts[i]?.isTried === true ? delta : Math.max(0, delta)))
      : wanted
    const shrunk = -sum(deltas.filter((delta) => delta < 0))
    const moved = Math.max(grown, shrunk)
    if (moved < LEAST_MOVED * budget) return { kind: 'stay', reason: 'settled' }
    const cost = costOf(parts, ({ bytes }) => bytes)
    const gain = cost - costOf(parts, ({ id, bytes }) => target.get(id) ?? bytes)
    if (!isShrinking) {
      if (gain < LEAST_GAIN * cost) return { kind: 'stay', reason: 'settled' }
      if (gain < SURE * errorOf(parts, target)) return { kind: 'stay', reason: 'uncertain' }
    }
    const share = Math.min(1, (MOST_MOVED * budget) / moved)
    const sizes = within(new Map(parts.map(({ id, bytes }, i) => [id, bytes + share * (deltas[i] ?? 0)])), budget)
    const stepGain = cost - costOf(parts, ({ id, bytes }) => sizes.get(id) ?? bytes)
    // Giving back costs a little, which is known.
    if (!isShrinking)
      this.#move = {
        before: new Map(parts.map(({ id, bytes }) => [id, bytes])),
        planned: plannedOf(parts, sizes),
        ratios: new Map(parts.map(({ id, curve }) => [id, curve.ratio])),
      }
    this.#restUntil = this.#now() + this.#restMs
    return { kind: isShrinking ? 'shrink' : 'move', sizes, gain: stepGain }
  }
}

/** Sizes that are together no more than the budget: all give way in proportion. */
export function within(sizes: Division, budget: number): Division {
  const total = sum([...sizes.values()])
  const scale = total > budget ? budget / total : 1
  return new Map([...sizes].map(([id, bytes]) => [id, Math.floor(bytes * scale)]))
}

/**
 * Whether more was missed since a move than without it, or than was planned. What would have been is told by the copies of the former
 * size, as the cache and its copy agreed before the move: so requests that have changed meanwhile count on both sides.
 */
function hasFailed(parts: readonly WatchedPart[], { before, planned, ratios }: Move): boolean {
  let worse = 0
  let former = 0
  let variance = 0
  for (const { id, bytes, since, lookupsPerSecond, missCost } of parts) {
    const size = before.get(id)
    if (size === undefined || since.lookups <= 0) continue
    const weight = lookupsPerSecond * missCost
    const expected = Math.min(1, missAt(since.curve, size) * (ratios.get(id) ?? 1))
    former += weight * expected
    worse += weight * (since.missed / since.lookups - expected)
    variance += (weight * standardError(missDifferences(since.curve, size, bytes))) ** 2
    // Chance has its share in what was counted, of the sample now and of that before.
    variance += (2 * (weight * expected) ** 2) / Math.max(1, since.sampled)
  }
  const unplanned = worse - planned * former
  return unplanned > SURE_OF_LOSS * Math.sqrt(variance) && unplanned > LEAST_LOSS * former
}

/**
 * What a division may cost more, as a share: between two points of a curve there may be a cliff, which a move comes to when further ones
 * have followed.
 */
function plannedOf(parts: readonly WatchedPart[], sizes: Division): number {
  let [former, later] = [0, 0]
  for (const { id, bytes, curve, lookupsPerSecond, missCost } of parts) {
    const weight = lookupsPerSecond * missCost
    former += weight * missAt(curve, bytes)
    const size = sizes.get(id) ?? bytes
    const point = curve.points.findLast((each) => each.bytes <= size)
    later += weight * (size === bytes ? missAt(curve, bytes) : (point?.miss ?? missAt(curve, size)))
  }
  return Math.max(0, later - former) / former
}

/** Standard error of the gain of a division, as samples that have nothing in common differ about it. */
function errorOf(parts: readonly WatchedPart[], target: Division): number {
  const squares = parts.map(({ id, bytes, curve, lookupsPerSecond, missCost }) => {
    const error = standardError(missDifferences(curve, bytes, target.get(id) ?? bytes))
    return (lookupsPerSecond * missCost * error) ** 2
  })
  return Math.sqrt(sum(squares))
}

function sum(values: readonly number[]): number {
  return values.reduce((one, two) => one + two, 0)
}
