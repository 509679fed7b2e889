// The parameters of a query, and what servers do not agree on: which of several values of one name counts, and whether a
// semicolon parts parameters.

import type { Ambiguity, StringMap } from '../kernel/value.ts'

/** Parameters by name. */
class Params implements StringMap {
  protected readonly values: ReadonlyMap<string, string>

  constructor(values: ReadonlyMap<string, string>) {
    this.values = values
  }

  get size(): number {
    return this.values.size
  }

  get(key: string): string | undefined {
    return this.values.get(key)
  }

  entries(): Iterable<[string, string]> {
    return this.values.entries()
  }
}

/**
 * Query parameters, decoded as applications decode them, so that a policy cannot be passed by writing `%61` for `a`: `+` is
 * a space, a `%` that begins no escape stays, and bytes that are not UTF-8 become U+FFFD, as the WHATWG URL standard has
 * it; the text is well-formed whatever a client sends. Parameters are parted by `&`; one without `=` has the empty value,
 * and its name may be empty. Of repeated names the first counts.
 */
export class QueryParams extends Params {
  readonly #parts: readonly string[]
  /** Names that came with several values. */
  readonly #repeated = new Set<string>()

  /** @param query without its `?`, undecoded */
  constructor(query: string) {
    const values = new Map<string, string>()
    super(values)
    this.#parts = query.split('&').filter((part) => part !== '')
    for (const part of this.#parts) {
      const [name, value] = pairOf(part)
      const first = values.get(name)
      if (first === undefined) values.set(name, value)
      else if (first !== value) this.#repeated.add(name)
    }
  }

  /**
   * The same parameters, none of which has a value on which servers do not agree: PHP and Rails take the last of several,
   * Go the first, Express all. Equal values are one value. Of `a=1;b=2` some servers make two parameters, some one, and Go
   * none, so nobody can tell whether there is such a parameter.
   * @param stated parameters that somebody read from the same query, decoded or not, or added to it: any of them that
   *   contradicts the query is ambiguous, too
   */
  unambiguous(stated?: StringMap): StringMap {
    const ambiguities = this.#ambiguities()
    const values = stated === undefined ? this.values : this.#with(stated, ambiguities)
    return ambiguities.size === 0 ? values : new AmbiguousParams(values, ambiguities)
  }

  #ambiguities(): Map<string, Ambiguity> {
    const found = new Map<string, Ambiguity>()
    for (const name of this.#repeated) found.set(name, 'value')
    const splittable = this.#parts.filter((part) => part.includes(';'))
    if (splittable.length === 0) return found
    const certain = new QueryParams(this.#parts.filter((part) => !part.includes(';')).join('&'))
    for (const part of splittable) {
      for (const reading of [part, ...part.split(';')]) {
        if (reading === '') continue
        const [name, value] = pairOf(reading)
        const known = certain.get(name)
        if (known === undefined) found.set(name, 'presence')
        else if (known !== value) found.set(name, 'value')
      }
    }
    return found
  }

  /** The values and those that were stated; adds the names of which the two say different things. */
  #with(stated: StringMap, ambiguities: Map<string, Ambiguity>): ReadonlyMap<string, string> {
    const values = new Map(this.values)
    const written = new Set(this.#parts)
    for (const [name, value] of stated.entries()) {
      if (written.has(`${name}=${value}`) || (value === '' && written.has(name))) continue
      const known = values.get(name)
      if (known === undefined) values.set(name, value)
      else if (known !== value && !ambiguities.has(name)) ambiguities.set(name, 'value')
    }
    return values
  }
}

class AmbiguousParams extends Params {
  readonly #ambiguities: ReadonlyMap<string, Ambiguity>
  readonly #worst: Ambiguity

  constructor(values: ReadonlyMap<string, string>, ambiguities: ReadonlyMap<string, Ambiguity>) {
    super(values)
    this.#ambiguities = ambiguities
    this.#worst = [...ambiguities.values()].includes('presence') ? 'presence' : 'value'
  }

  ambiguity(key?: string): Ambiguity | undefined {
    return key === undefined ? this.#worst : this.#ambiguities.get(key)
  }
}

function pairOf(part: string): [name: string, value: string] {
  const at = part.indexOf('=')
  return at < 0 ? [decode(part), ''] : [decode(part.slice(0, at)), decode(part.slice(at + 1))]
}

const ESCAPES = /(?:%[0-9a-f]{2})+/gi

function decode(text: string): string {
  if (!/[%+]/.test(text)) return text
  const spaced = text.replaceAll('+', ' ')
  try {
    return decodeURIComponent(spaced)
  } catch {
    return spaced.replaceAll(ESCAPES, (run) => Buffer.from(run.replaceAll('%', ''), 'hex').toString('utf8'))
  }
}
