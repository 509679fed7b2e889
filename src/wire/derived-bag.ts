// A bag whose attributes are worked out of one source (a message, an HTTP request) when they are first asked for.

import type { AttributeBag } from '../kernel/attribute-bag.ts'
import type { AttributeValue } from '../kernel/value.ts'

/**
 * How an attribute follows from the source and from other attributes of the same bag; `undefined` says that the source
 * lacks it.
 */
export type Derive<S> = (source: S, bag: AttributeBag) => AttributeValue | undefined

/** Derivations by attribute name. */
export type Derivations<S> = ReadonlyMap<string, Derive<S>>

/** What the operator set wins over what is derived. Each derivation runs at most once. */
export class DerivedBag<S> implements AttributeBag {
  readonly #source: S
  readonly #derivations: Derivations<S>
  readonly #known: Map<string, AttributeValue | undefined>
  readonly #rest: AttributeBag | undefined

  /**
   * @param set what the operator set; the map is taken over and grows: hand it to one bag only.
   * @param rest knows attributes that the table does not name.
   */
  constructor(source: S, table: Derivations<S>, set?: Map<string, AttributeValue | undefined>, rest?: AttributeBag) {
    this.#source = source
    this.#derivations = table
    this.#known = set ?? new Map()
    this.#rest = rest
  }

  get(name: string): AttributeValue | undefined {
    const known = this.#known.get(name)
    if (known !== undefined) return known
    const derive = this.#derivations.get(name)
    if (derive === undefined) return this.#rest?.get(name)
    if (this.#known.has(name)) return undefined
    const value = derive(this.#source, this)
    this.#known.set(name, value)
    return value
  }

  names(): Iterable<string> {
    const names = new Set([...this.#known.keys(), ...this.#derivations.keys(), ...(this.#rest?.names() ?? [])])
    return [...names].filter((name) => this.get(name) !== undefined)
  }
}
