// Divides memory between caches by what it saves in each: piece by piece to whoever gains most by the next one, and nothing of
// what brings next to nothing.

import { type Curve, missAt } from './curve.ts'
import { costAt, type HullPoint, lowerHull } from './hull.ts'

/** What is known of one cache. */
export interface PartReading {
  readonly id: string
  /** Its size now. */
  readonly bytes: number
  readonly curve: Curve
  readonly lookupsPerSecond: number
  /** What a miss costs, in any unit that all caches share. */
  readonly missCost: number
}

/** Sizes by the names of caches. */
export type Division = ReadonlyMap<string, number>

/** What no cache gets less than, of all memory; less where there are many. */
const FLOOR_SHARE = 0.01
const PIECE_SHARE = 0.02
/** Of the memory, the part that must bring something, and what it must bring, as a share of all look-ups. */
const LAST_SHARE = 0.1
const LAST_HITS = 0.001
/** What may be lost by all that is given back, as a share of all look-ups. */
const MOST_LOST_HITS = 0.003

interface Piece {
  readonly part: PartReading
  readonly bytes: number
  readonly hits: number
}

interface Candidate {
  readonly part: PartReading
  readonly hull: readonly HullPoint[]
  /** A miss a second costs so much. */
  readonly weight: number
  at: number
  /** What the next piece brings. */
  gain: number
}

/** The size that each cache should have of a budget in bytes. All of them together have no more. */
export function divide(parts: readonly PartReading[], budget: number): Division {
  const floor = floorOf(parts.length, budget)
  const piece = budget * PIECE_SHARE
  const candidates = parts.map((part): Candidate => {
    const weight = part.lookupsPerSecond * part.missCost
    const start = { bytes: floor, cost: weight * missAt(part.curve, floor) }
    const beyond = part.curve.points.filter(({ bytes }) => bytes > floor)
    const hull = lowerHull([start, ...beyond.map(({ bytes, miss }) => ({ bytes, cost: weight * miss }))])
    return { part, hull, weight, at: floor, gain: gainOf(hull, floor, piece) }
  })
  const given: Piece[] = []
  let left = budget - floor * parts.length
  while (left > piece / 1_000) {
    // The last piece is smaller: who gains most by a whole one gains most by it, too, or nearly so.
    const bytes = Math.min(piece, left)
    const best = candidates.reduce<Candidate | undefined>(
      (one, two) => (two.gain > (one?.gain ?? 0) ? two : one),
      undefined,
    )
    if (best === undefined) break
    const { part, weight, hull, gain } = best
    given.push({ part, bytes, hits: (gain / weight) * part.lookupsPerSecond })
    best.at += bytes
    best.gain = gainOf(hull, best.at, piece)
    left -= bytes
  }
  const division = new Map(parts.map(({ id }) => [id, floor]))
  for (const { part, bytes } of worthwhile(given, parts)) division.set(part.id, (division.get(part.id) ?? 0) + bytes)
  return division
}

/** What each of so many caches gets at least. */
export function floorOf(parts: number, budget: number): number {
  return Math.min(budget * FLOOR_SHARE, budget / (2 * Math.max(1, parts)))
}

/** What a division costs a second, by the curves as they are. */
export function costOf(parts: readonly PartReading[], sizeOf: (part: PartReading) => number): number {
  return parts.reduce((sum, part) => sum + part.lookupsPerSecond * part.missCost * missAt(part.curve, sizeOf(part)), 0)
}

function gainOf(hull: readonly HullPoint[], at: number, bytes: number): number {
  return costAt(hull, at) - costAt(hull, at + bytes)
}

/** The pieces without the last ones that bring next to nothing. */
function worthwhile(given: readonly Piece[], parts: readonly PartReading[]): readonly Piece[] {
  const lookups = parts.reduce((sum, { lookupsPerSecond }) => sum + lookupsPerSecond, 0)
  let kept = given
  let lost = 0
  for (;;) {
    const last = kept.slice(-Math.ceil(kept.length * LAST_SHARE))
    const hits = last.reduce((sum, piece) => sum + piece.hits, 0)
    if (kept.length === 0 || hits >= LAST_HITS * lookups || lost + hits > MOST_LOST_HITS * lookups) return kept
    lost += hits
    kept = kept.slice(0, kept.length - last.length)
  }
}
