// A string map that stays numbers until somebody asks for a key: most rules read one or two of thirty headers.

import type { StringMap } from '../../kernel/value.ts'
import { GLOBAL_INDEX } from './dictionary.ts'
import type { WordTable } from './word-table.ts'

/** Above this many entries, looking through all of them for each key would cost more than building the strings once. */
const SCAN_LIMIT = 64

/**
 * A map from its index pairs. An entry whose key or value no dictionary defines does not exist. Where a message states
 * one key twice, its own spelling beats the global word and a later entry beats an earlier one.
 */
export class LazyStringMap implements StringMap {
  readonly #words: WordTable
  readonly #pairs: readonly number[]
  readonly #start: number
  readonly #end: number
  #built: Map<string, string> | undefined

  /** @param at where in `pairs` the map's entry count stands; its entries follow. */
  constructor(words: WordTable, pairs: readonly number[], at: number) {
    this.#words = words
    this.#pairs = pairs
    this.#start = at + 1
    this.#end = at + 1 + (pairs[at] ?? 0) * 2
  }

  get size(): number {
    return this.#build().size
  }

  get(key: string): string | undefined {
    if (this.#built !== undefined || this.#end - this.#start > SCAN_LIMIT * 2) return this.#build().get(key)
    const global = GLOBAL_INDEX.get(key)
    let found: string | undefined
    for (let at = this.#end - 2; at >= this.#start; at -= 2) {
      const index = this.#pairs[at] ?? 0
      if (index >= 0) {
        if (index === global) found ??= this.#valueAt(at)
      } else if (this.#words.equals(index, key)) {
        const spelled = this.#valueAt(at)
        if (spelled !== undefined) return spelled
      }
    }
    return found
  }

  /** Whether a key has capitals of ASCII; builds no strings. */
  hasCapitals(): boolean {
    for (let at = this.#start; at < this.#end; at += 2) if (this.#words.hasCapitals(this.#pairs[at] ?? 0)) return true
    return false
  }

  entries(): Iterable<[string, string]> {
    return this.#build().entries()
  }

  #valueAt(at: number): string | undefined {
    return this.#words.text(this.#pairs[at + 1] ?? 0)
  }

  #build(): Map<string, string> {
    if (this.#built !== undefined) return this.#built
    const built = new Map<string, string>()
    this.#collect(built, false)
    this.#collect(built, true)
    this.#built = built
    return built
  }

  #collect(into: Map<string, string>, spelled: boolean): void {
    for (let at = this.#start; at < this.#end; at += 2) {
      const index = this.#pairs[at] ?? 0
      if (index < 0 !== spelled) continue
      const key = this.#words.text(index)
      const value = this.#valueAt(at)
      if (key !== undefined && value !== undefined) into.set(key, value)
    }
  }
}
