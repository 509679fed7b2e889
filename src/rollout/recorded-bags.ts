// Attributes of recent requests, for whoever wants to know what a config would make of them. Sampled at random: a request
// that is not taken costs a decrement. Those that are kept give way to later ones at random, too, so that rare requests are
// there for some time beside the many of the last minute.

import type { AttributeBag } from '../kernel/attribute-bag.ts'
import type { Clock, Random } from '../kernel/ports.ts'
import { encodeValue } from '../kernel/value-json.ts'
import type { Masking } from './masking.ts'
import type { EncodedBag } from './preflight/preflight-report.ts'

export interface RecordedBagsOptions {
  readonly clock: Pick<Clock, 'monotonic'>
  readonly random: Random
  readonly masking: Masking
  /** Requests to take per second, about. Default 10. */
  readonly perSecond?: number
  /** Bags to keep. Default 1000. */
  readonly maxBags?: number
  /** Characters of their JSON to keep. Default 4 Mi. */
  readonly maxCharacters?: number
}

/** Of the characters that all may have; what is larger is not kept. */
const SHARE_OF_ONE = 1 / 16
/** Bounds of the gap between two samples: the rate of requests may have changed since the last one. */
const MAX_GAP = 1_000_000
const GROWTH = 4

export class RecordedBags {
  readonly #options: Required<RecordedBagsOptions>
  readonly #kept: string[] = []
  #characters = 0
  /** Requests until the next one is taken. */
  #skip = 0
  #gap = 1
  #takenAt: number

  constructor(options: RecordedBagsOptions) {
    this.#options = { perSecond: 10, maxBags: 1_000, maxCharacters: 4 * 1024 * 1024, ...options }
    this.#takenAt = options.clock.monotonic()
  }

  get size(): number {
    return this.#kept.length
  }

  /** Characters that are kept. */
  get characters(): number {
    return this.#characters
  }

  /** Shows a request; few are looked at. */
  offer(bag: AttributeBag): void {
    if (this.#skip-- > 0) return
    this.#take(bag)
  }

  /** All that are kept, in no order. */
  list(): readonly EncodedBag[] {
    return this.#kept.map((json) => JSON.parse(json) as EncodedBag)
  }

  #take(bag: AttributeBag): void {
    const { clock, random, masking, perSecond, maxBags, maxCharacters } = this.#options
    const now = clock.monotonic()
    // So many requests came since the last one, in that time; at that rate the next one is due in as many.
    const wanted = (this.#gap * 1_000) / (perSecond * Math.max(now - this.#takenAt, 0.001))
    this.#gap = Math.max(1, Math.min(wanted, this.#gap * GROWTH, MAX_GAP))
    this.#takenAt = now
    // Around the gap and never on a beat, with which callers might keep time.
    this.#skip = Math.floor(random() * 2 * this.#gap)
    const encoded: Record<string, EncodedBag[string]> = {}
    for (const name of bag.names()) {
      const value = bag.get(name)
      if (value !== undefined) encoded[name] = encodeValue(masking.mask(name, value))
    }
    const json = JSON.stringify(encoded)
    if (json.length > maxCharacters * SHARE_OF_ONE) return
    while (this.#kept.length >= maxBags || this.#characters + json.length > maxCharacters) this.#drop()
    this.#kept.push(json)
    this.#characters += json.length
  }

  #drop(): void {
    const place = Math.floor(this.#options.random() * this.#kept.length)
    const last = this.#kept.pop()
    const dropped = place < this.#kept.length ? this.#kept[place] : last
    if (place < this.#kept.length && last !== undefined) this.#kept[place] = last
    this.#characters -= dropped?.length ?? 0
  }
}
