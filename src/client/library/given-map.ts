// Maps of text as programs have them: objects, maps, and what else has entries, such as fetch's `Headers`.

import { IntermixError } from '../../kernel/errors.ts'
import type { StringMap } from '../../kernel/value.ts'
import { addField } from '../../wire/header-map.ts'

/** Of headers, several values of one name are its lines. */
type GivenText = string | readonly string[] | undefined

interface GivenObject {
  readonly [key: string]: GivenText
}

export type GivenTexts = GivenObject | { entries(): Iterable<[string, string]> }

/** The entries of a map where they stand; looked at when they are asked for. */
export class GivenMap implements StringMap {
  #object: GivenObject | undefined
  #map: ReadonlyMap<string, GivenText> | undefined
  readonly #areHeaders: boolean

  private constructor(given: GivenObject | ReadonlyMap<string, GivenText>, areHeaders = false) {
    this.#areHeaders = areHeaders
    if (given instanceof Map) this.#map = given
    else this.#object = given as GivenObject
  }

  static of(given: GivenTexts): GivenMap {
    return new GivenMap(!hasEntries(given) || given instanceof Map ? given : new Map(given.entries()))
  }

  /**
   * With names in lower case: as they stand where they are so already, with one line each.
   * @throws RefusedRequest `repeated`, as `addField` does
   */
  static ofHeaders(given: GivenTexts): GivenMap {
    if (!hasEntries(given)) {
      return areLower(given) ? new GivenMap(given, true) : new GivenMap(joined(Object.entries(given)))
    }
    if (!(given instanceof Map)) return new GivenMap(joined(given.entries()))
    for (const name of (given as Map<string, string>).keys()) if (hasCapitals(name)) return new GivenMap(joined(given))
    return new GivenMap(given, true)
  }

  get size(): number {
    return [...this.entries()].length
  }

  get(key: string): string | undefined {
    const object = this.#object
    const text = object === undefined ? this.#map?.get(key) : object[key]
    if (typeof text === 'string') return object === undefined || Object.hasOwn(object, key) ? text : undefined
    if (text === undefined || text === null || (object !== undefined && !Object.hasOwn(object, key))) return undefined
    if (this.#areHeaders && Array.isArray(text)) return joined([[key, text]]).get(key)
    throw new IntermixError('INVALID_ATTRIBUTE', `the entry ${key.slice(0, 200)} of a map must be text`)
  }

  *entries(): Generator<[string, string]> {
    for (const key of this.#object === undefined ? (this.#map?.keys() ?? []) : Object.keys(this.#object)) {
      const text = this.get(key)
      if (text !== undefined) yield [key, text]
    }
  }

  /** Copies the entries: from now on the caller may change what was given. */
  detach(): void {
    this.#map = new Map(this.entries())
    this.#object = undefined
  }
}

function hasEntries(given: GivenTexts): given is { entries(): Iterable<[string, string]> } {
  return typeof given['entries'] === 'function'
}

/** Names that were in lower case in the object before: requests to one program mostly bring the same ones in the same order. */
let known: string[] = []

function areLower(given: GivenObject): boolean {
  let at = 0
  for (const name in given) if (name !== known[at++]) return learnLower(given)
  return true
}

function learnLower(given: GivenObject): boolean {
  const names = Object.keys(given)
  if (names.some(hasCapitals)) return false
  known = names
  return true
}

function hasCapitals(name: string): boolean {
  for (let at = 0; at < name.length; at++) {
    const code = name.charCodeAt(at)
    if (code >= 0x41 && code <= 0x5a) return true
  }
  return false
}

function joined(entries: Iterable<[string, GivenText]>): ReadonlyMap<string, string> {
  const headers = new Map<string, string>()
  for (const [name, text] of entries) {
    if (text === undefined || text === null) continue
    for (const line of typeof text === 'string' ? [text] : text) addField(headers, name.toLowerCase(), line)
  }
  return headers
}
