// Zipf's law: the key of rank r is asked for in proportion to 1 / r^s, as popular things are.

/** Draws ranks 0 to `size` − 1 by inverting the distribution; `exponent` 0 is uniform. */
export class ZipfSampler {
  readonly #cumulated: Float64Array
  readonly #random: () => number

  constructor(size: number, exponent: number, random: () => number) {
    if (!Number.isInteger(size) || size < 1) throw new RangeError(`size is ${size}; a whole number from 1 is needed`)
    this.#cumulated = new Float64Array(size)
    this.#random = random
    let sum = 0
    for (let rank = 0; rank < size; rank++) {
      sum += (rank + 1) ** -exponent
      this.#cumulated[rank] = sum
    }
  }

  /** The share of requests that go to `rank`. */
  share(rank: number): number {
    const total = this.#cumulated.at(-1) ?? 1
    return ((this.#cumulated[rank] ?? 0) - (rank === 0 ? 0 : (this.#cumulated[rank - 1] ?? 0))) / total
  }

  next(): number {
    const wanted = this.#random() * (this.#cumulated.at(-1) ?? 1)
    let low = 0
    let high = this.#cumulated.length - 1
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#cumulated[middle] ?? 0) > wanted) high = middle
      else low = middle + 1
    }
    return low
  }
}
