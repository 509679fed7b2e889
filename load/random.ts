// Random numbers that a seed repeats, so that two arms of an experiment see the same traffic and the same outages.

/** A source of numbers in [0, 1) with 32 bits each (mulberry32 by Tommy Ettinger, public domain). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** A sample of the exponential distribution with the given mean. */
export function exponential(mean: number, random: () => number): number {
  return -mean * Math.log(1 - random())
}
