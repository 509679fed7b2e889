// Choices from a seeded sequence: the same seed makes the same test.

import { seededRandom } from '../../load/random.ts'

/** Picks from a seeded sequence. */
export interface Picker {
  /** A number from 0 to below 1. */
  random(): number
  /** A whole number from 0 to below `bound`. */
  int(bound: number): number
  of<T>(items: readonly [T, ...T[]]): T
  chance(share: number): boolean
}

export function seededPicker(seed: number): Picker {
  const random = seededRandom(seed)
  return {
    random,
    int: (bound) => Math.floor(random() * bound),
    of: (items) => items[Math.floor(random() * items.length)] as (typeof items)[0],
    chance: (share) => random() < share,
  }
}

/** A list of so many items. */
export function times<T>(count: number, make: (index: number) => T): T[] {
  return Array.from({ length: count }, (_, index) => make(index))
}
