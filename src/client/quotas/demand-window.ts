// What was asked for in the last while, in slots of time.

const SLOTS = 20

/** Times are of one clock, in ms. */
export class DemandWindow {
  readonly #slots: number[]
  readonly #slotMs: number
  #at = 0
  #count = 0
  /** When the current slot began. */
  #since: number

  constructor(windowMs: number, now: number, slots = SLOTS) {
    this.#slots = new Array<number>(slots).fill(0)
    this.#slotMs = windowMs / slots
    this.#since = now
  }

  add(amount: number, now: number): void {
    this.#roll(now)
    this.#slots[this.#at] = (this.#slots[this.#at] ?? 0) + amount
    this.#count += amount
  }

  /** Of the window that ends now. */
  count(now: number): number {
    this.#roll(now)
    return this.#count
  }

  #roll(now: number): void {
    const passed = Math.floor((now - this.#since) / this.#slotMs)
    if (passed >= this.#slots.length) {
      this.#slots.fill(0)
      this.#count = 0
      this.#since = now
      return
    }
    for (let i = 0; i < passed; i++) {
      this.#at = (this.#at + 1) % this.#slots.length
      this.#count -= this.#slots[this.#at] ?? 0
      this.#slots[this.#at] = 0
      this.#since += this.#slotMs
    }
  }
}
