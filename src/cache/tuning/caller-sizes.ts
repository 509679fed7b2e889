// How many answers callers of this node should keep, by what they say that they would have found.

import { LRUCache } from 'lru-cache'
import type { Clock, Counter } from '../../kernel/ports.ts'
import { type CacheSample, SAMPLE_MULTIPLES } from '../../wire/batch/cache-sample.ts'

export interface CallerSize {
  readonly name: string
  readonly entries: number
  readonly recommendedEntries: number
  /** Share of look-ups that are found, by its size as it is and as it should be. */
  readonly hitRatio: number
  readonly recommendedHitRatio: number
}

/** What may be missed, as a share of look-ups, that the largest size would find. */
const SPARED = 0.005
/** Fewer say nothing: of a cache of the usual size two hundred of them are of keys in its sample. */
const ENOUGH = 10_000
/** Those that were heard of last are remembered, and no longer than a caller is silent that is there: it says so each minute. */
const MAX_CALLERS = 1_000
const SILENT_MS = 180_000
/** Characters of a name: callers choose them. */
const MAX_NAME = 150

interface Remembered {
  readonly size: CallerSize
  readonly heardAt: number
}

/** The smallest size with which nearly as much is found as with the largest; `undefined` where too little was asked. */
export function recommendedSize({ entries, lookups }: CacheSample): Omit<CallerSize, 'name'> | undefined {
  const total = lookups.reduce((one, two) => one + two, 0)
  if (total < ENOUGH) return undefined
  let found = 0
  const ratios = SAMPLE_MULTIPLES.map((_, i) => (found += lookups[i] ?? 0) / total)
  const best = ratios.at(-1) ?? 0
  const at = ratios.findIndex((ratio) => ratio >= best - SPARED)
  return {
    entries,
    recommendedEntries: Math.max(1, Math.ceil(entries * (SAMPLE_MULTIPLES[at] ?? 1))),
    hitRatio: ratios[SAMPLE_MULTIPLES.indexOf(1)] ?? 0,
    recommendedHitRatio: ratios[at] ?? 0,
  }
}

export class CallerSizes {
  readonly #sizes = new LRUCache<string, Remembered>({ max: MAX_CALLERS })
  readonly #clock: Clock
  readonly #heard: Counter

  /** @param heard counts samples */
  constructor(clock: Clock, heard: Counter) {
    this.#clock = clock
    this.#heard = heard
  }

  /** Takes what a caller says. @returns how many answers it should keep */
  sampled(caller: string, sample: CacheSample): number | undefined {
    this.#heard.add()
    const size = recommendedSize(sample)
    const name = caller.length > MAX_NAME ? `${caller.slice(0, MAX_NAME).toWellFormed()}…` : caller
    if (size !== undefined) this.#sizes.set(name, { size: { name, ...size }, heardAt: this.#clock.monotonic() })
    return size?.recommendedEntries
  }

  /** Of all callers together that are there still. */
  get total(): { readonly present: number; readonly recommended: number } {
    let [present, recommended] = [0, 0]
    for (const size of this.view()) {
      present += size.entries
      recommended += size.recommendedEntries
    }
    return { present, recommended }
  }

  view(): readonly CallerSize[] {
    const since = this.#clock.monotonic() - SILENT_MS
    return [...this.#sizes.values()].flatMap(({ size, heardAt }) => (heardAt < since ? [] : [size]))
  }
}
