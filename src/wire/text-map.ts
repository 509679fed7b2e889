// A string map that stays bytes until somebody asks for a key: most rules read one or two of thirty headers.

import type { StringMap } from '../kernel/value.ts'
import { hasCapitalsAt, isSameText } from './text-bytes.ts'
import type { WireReader } from './wire-reader.ts'

/** Above this many entries, looking through all of them for each key would cost more than building the strings once. */
const SCAN_LIMIT = 64

/** A map from the places of its keys and values, in turns. Of entries with one key the last counts. */
export class TextMap implements StringMap {
  readonly #reader: WireReader
  readonly #places: readonly number[]
  readonly #hidden: string | undefined
  #built: Map<string, string> | undefined

  /**
   * @param reader its end at that of the message
   * @param hidden a key that the map shall not have
   */
  constructor(reader: WireReader, places: readonly number[], hidden?: string) {
    this.#reader = reader
    this.#places = places
    this.#hidden = hidden
  }

  get size(): number {
    return this.#build().size
  }

  get(key: string): string | undefined {
    const places = this.#places
    if (this.#built !== undefined || places.length > SCAN_LIMIT * 2) return this.#build().get(key)
    if (key === this.#hidden) return undefined
    for (let at = places.length - 2; at >= 0; at -= 2) {
      if (this.#isKey(places[at] ?? 0, key)) return this.#reader.textAt(places[at + 1] ?? 0)
    }
    return undefined
  }

  entries(): Iterable<[string, string]> {
    return this.#build().entries()
  }

  /** Whether a key has capitals of ASCII; builds no strings. */
  hasCapitals(): boolean {
    const reader = this.#reader
    for (let at = 0; at < this.#places.length; at += 2) {
      const place = this.#places[at] ?? 0
      if (place === 0) continue
      reader.pos = place
      const end = reader.enter()
      if (hasCapitalsAt(reader.bytes, reader.pos, end)) return true
    }
    return false
  }

  #isKey(place: number, key: string): boolean {
    if (place === 0) return key === ''
    const reader = this.#reader
    reader.pos = place
    const end = reader.enter()
    return isSameText(reader.bytes, reader.pos, end, key)
  }

  #build(): Map<string, string> {
    if (this.#built !== undefined) return this.#built
    const built = new Map<string, string>()
    for (let at = 0; at < this.#places.length; at += 2) {
      built.set(this.#reader.textAt(this.#places[at] ?? 0), this.#reader.textAt(this.#places[at + 1] ?? 0))
    }
    if (this.#hidden !== undefined) built.delete(this.#hidden)
    this.#built = built
    return built
  }
}
