// What was thrown out lately, by fingerprints alone: whoever comes back soon was thrown out too early.

/** Fingerprints of the last evicted entries. Two keys with one fingerprint are taken for each other, which costs a wrong guess. */
export class Ghosts {
  /** Fingerprint and turn beside each other: one line of the processor's cache. */
  #table = new Int32Array(2 * 64)
  #turn = 1

  /** Remembers an entry as the latest. */
  remember(fingerprint: number): void {
    const at = this.#place(fingerprint)
    this.#table[at] = fingerprint
    this.#table[at + 1] = this.#turn
    // Never 0, which says that nothing is remembered.
    this.#turn = (this.#turn + 1) | 0 || 1
  }

  /** Whether an entry is one of the last `window` that were remembered; it is forgotten then. */
  take(fingerprint: number, window: number): boolean {
    this.#makeRoomFor(window)
    const at = this.#place(fingerprint)
    if (this.#table[at] !== fingerprint || this.#table[at + 1] === 0) return false
    const age = (this.#turn - (this.#table[at + 1] as number)) >>> 0
    this.#table[at + 1] = 0
    return age <= window
  }

  get bytes(): number {
    return this.#table.byteLength
  }

  #place(fingerprint: number): number {
    // The low bits may have chosen the fingerprints that come here at all.
    const mixed = Math.imul(fingerprint, 0x9e3779b1) >>> 0
    return 2 * ((mixed >>> 5) & (this.#table.length / 2 - 1))
  }

  /** Two places for each that is remembered: few have to share one. */
  #makeRoomFor(window: number): void {
    if (window <= this.#table.length / 4) return
    const former = this.#table
    this.#table = new Int32Array(former.length * 2)
    for (let i = 0; i < former.length; i += 2) {
      if (former[i + 1] === 0) continue
      const at = this.#place(former[i] as number)
      this.#table[at] = former[i] as number
      this.#table[at + 1] = former[i + 1] as number
    }
  }
}
