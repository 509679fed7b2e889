// Asks a backend that fails in part less, in proportion to how much fails: client-side throttling of the Google SRE book
// ("Handling Overload"), which refuses with probability (requests − K·accepts) / (requests + 1). There, refused requests
// count among the requests, so that where over half of them fail next to nothing passes and a recovery takes half a
// minute; here the share of the calls that were made is used, which throttles no more than failures call for.
//
// Callers choose keys. So that one of them cannot take a backend from the others, keys that were answered well when last
// asked have a share of their own, and a key that goes on failing counts once.

import type { Clock, Random } from '../kernel/ports.ts'
import { KeyMarks } from './key-marks.ts'

/** K: a backend may fail every second call before it is asked less. */
const LENIENCY = 2
/** The share of good calls is that of about the last hundred. */
const WEIGHT = 0.01
/** This much is asked however bad it is, to find out when it is better. */
const LEAST_SHARE = 0.1
const LEAST_PER_SECOND = 10
/** A key that goes on failing counts once in this time. */
const REPEAT_MS = 10_000
/** Above this share of good calls the backend is called well again; the gap keeps it from wavering. */
const WELL_SHARE = 0.6

/** One class of keys with its share of good calls. */
class Share {
  good = 1
  isFailing = false
  #second = 0
  #calls = 0

  admits(now: number, random: Random): boolean {
    const second = Math.floor(now / 1_000)
    if (second !== this.#second) this.#calls = 0
    this.#second = second
    this.#calls += 1
    const pass = LENIENCY * this.good
    return pass >= 1 || this.#calls <= LEAST_PER_SECOND || random() < Math.max(LEAST_SHARE, pass)
  }

  count(isGood: boolean, certainty: number): void {
    this.good += ((isGood ? 1 : 0) - this.good) * WEIGHT * certainty
    if (this.good * LENIENCY < 1) this.isFailing = true
    else if (this.good > WELL_SHARE) this.isFailing = false
  }
}

export class FailureThrottle {
  readonly #clock: Clock
  readonly #random: Random
  readonly #proven = new KeyMarks()
  readonly #failing = new KeyMarks()
  readonly #ofProven = new Share()
  readonly #ofOthers = new Share()
  #forgetAt = 0

  constructor(clock: Clock, random: Random) {
    this.#clock = clock
    this.#random = random
  }

  /** Whether over half of the calls fail, of proven keys or of others. */
  get isFailing(): boolean {
    return this.#ofProven.isFailing || this.#ofOthers.isFailing
  }

  /** Whether this was answered well when it was last asked; what has no key is taken to be. */
  isProven(key: string | undefined): boolean {
    return key === undefined || this.#proven.has(key)
  }

  /** Whether a call may be made now. `key` stands for what is asked; calls without one are of the unproven class. */
  admits(key: string | undefined): boolean {
    return this.#shareOf(key).admits(this.#clock.monotonic(), this.#random)
  }

  /** Counts a call that was made, for as much as it is certain how it would have ended. */
  count(key: string | undefined, isGood: boolean, certainty = 1): void {
    if (!isGood && key !== undefined && this.#isRepeated(key)) return
    this.#shareOf(key).count(isGood, certainty)
    if (key === undefined) return
    if (isGood) {
      this.#proven.add(key)
      this.#failing.delete(key)
    } else {
      this.#proven.delete(key)
      this.#failing.add(key)
    }
  }

  #shareOf(key: string | undefined): Share {
    return key !== undefined && this.#proven.has(key) ? this.#ofProven : this.#ofOthers
  }

  #isRepeated(key: string): boolean {
    const now = this.#clock.monotonic()
    if (now >= this.#forgetAt) {
      this.#failing.clear()
      this.#forgetAt = now + REPEAT_MS
    }
    return this.#failing.has(key)
  }
}
