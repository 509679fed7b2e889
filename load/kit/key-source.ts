// Which key each request is about.

import { decisionOn } from '../oracle.ts'
import { ZipfSampler } from '../zipf.ts'
import type { Load } from './load.ts'
import { keyDigits, MAX_KEYS } from './request-template.ts'
import { pathWith } from './requests.ts'

/** Keys 0 to count − 1 by Zipf's law, and new ones from there on. */
export class KeySource {
  readonly #sampler: ZipfSampler
  readonly #random: () => number
  readonly #count: number
  readonly #fresh: number
  readonly #denied: Uint8Array
  #next: number

  constructor({ count, zipf, fresh = 0 }: Load['keys'], random: () => number) {
    this.#sampler = new ZipfSampler(count, zipf, random)
    this.#random = random
    this.#count = count
    this.#fresh = fresh
    this.#next = count
    this.#denied = Uint8Array.from({ length: count }, (_, key) => (deniedBy(key) ? 1 : 0))
  }

  next(): number {
    if (this.#fresh > 0 && this.#random() < this.#fresh) return this.#next++ % MAX_KEYS
    return this.#sampler.next()
  }

  /** Whether the oracle denies this key. */
  denies(key: number): boolean {
    return key < this.#count ? this.#denied[key] === 1 : deniedBy(key)
  }
}

function deniedBy(key: number): boolean {
  return decisionOn(pathWith(keyDigits(key))) === 'deny'
}
