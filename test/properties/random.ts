// Choices from a seeded sequence: the same seed makes the same test.

/** Picks from a seeded sequence. */
export interface Picker {
  /** A number from 0 to below 1. */
  random(): number
  /** A whole number from 0 to below `bound`. */
  int(bound: number): number
  of<T>(items: readonly [T, ...T[]]): T
  chance(share: number): boolean
}

/** Mulberry32: small, fast and good enough to choose test cases. */
export function seededPicker(seed: number): Picker {
  let state = seed >>> 0
  const random = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
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
