// Which share of the traffic each key has, roughly: a key that has much should not be served by one node alone.
// Sources: G. Cormode, S. Muthukrishnan, "An improved data stream summary: the count-min sketch", 2005; that only the
// smallest counters grow: C. Estan, G. Varghese, "New directions in traffic measurement and accounting", 2002.

const ROWS = 4
/** Counters of a row: a key is taken for larger than it is by about a four-thousandth of the traffic at most. */
const WIDTH = 4_096
/** All counts are halved after so many, so that what was hot an hour ago is forgotten. */
const HALVED_AFTER = 100_000
/** Fewer requests say nothing of shares. */
const LEAST = 1_000
/** Multipliers that make the rows different, odd numbers of 32 bits. */
const SALTS = [0x9e3779b1, 0x85ebca77, 0xc2b2ae3d, 0x27d4eb2f] as const

export class KeyShares {
  readonly #counts = new Float32Array(ROWS * WIDTH)
  readonly #places: number[] = Array(ROWS).fill(0)
  #total = 0

  /**
   * Counts one request of a key.
   * @param key a hash of 32 bits
   * @returns its share of all requests, from 0 to 1; never less than it has of the last ones, once there were some
   */
  count(key: number): number {
    if (++this.#total >= HALVED_AFTER) this.#halve()
    let least = Number.POSITIVE_INFINITY
    for (let row = 0; row < ROWS; row++) {
      const place = row * WIDTH + (Math.imul(key, SALTS[row] ?? 1) >>> 20)
      this.#places[row] = place
      least = Math.min(least, this.#counts[place] ?? 0)
    }
    const count = least + 1
    for (const place of this.#places) if ((this.#counts[place] ?? 0) < count) this.#counts[place] = count
    return this.#total < LEAST ? 0 : count / this.#total
  }

  #halve(): void {
    this.#total /= 2
    for (let place = 0; place < this.#counts.length; place++) this.#counts[place] = (this.#counts[place] ?? 0) / 2
  }
}
