// The attribute bag: typed values by dotted name, as a request brought them.

import type { IntermixError } from './errors.ts'
import type { AttributeValue, ValueType } from './value.ts'

/** What a request is known by. Implementations may decode lazily, so `get` is the only way to a value. */
export interface AttributeBag {
  get(name: string): AttributeValue | undefined
  names(): Iterable<string>
  /**
   * Why it is not known what an attribute is, or whether there is one: `get` gives `undefined` then, which says nothing.
   * A bag without this method knows all it lacks to be absent; one that wraps a bag which has it hands it on.
   */
  unknown?(name: string): IntermixError | undefined
  /**
   * The attributes that may have another value than in a bag of the same report before it; `undefined` where that is not
   * known. All others have the same.
   */
  changesSince?(earlier: AttributeBag): Iterable<string> | undefined
}

/** The attribute vocabulary: each name with its type, merged from all attribute manifests. */
export type Vocabulary = ReadonlyMap<string, ValueType>

/** A bag over a plain map. The map is not copied: do not change it once it is shared. */
export class MapBag implements AttributeBag {
  readonly #values: ReadonlyMap<string, AttributeValue>

  constructor(values: ReadonlyMap<string, AttributeValue>) {
    this.#values = values
  }

  static of(values: Readonly<Record<string, AttributeValue>>): MapBag {
    return new MapBag(new Map(Object.entries(values)))
  }

  get(name: string): AttributeValue | undefined {
    return this.#values.get(name)
  }

  names(): Iterable<string> {
    return this.#values.keys()
  }
}

/** The bag of a request that brought nothing. */
export const EMPTY_BAG: AttributeBag = { get: () => undefined, names: () => [] }

/** Attributes that could not be found out, by name, and why. */
export type UnknownAttributes = ReadonlyMap<string, IntermixError>

const NONE: UnknownAttributes = new Map()

/**
 * A request's own attributes with generated ones beside them. What the request brought is never replaced: a generated
 * value counts only where the request has none under that name, and of a map the whole map is the request's or generated.
 * What is unknown is neither the request's nor generated.
 */
export class CompletedBag implements AttributeBag {
  readonly #own: AttributeBag
  readonly #generated: ReadonlyMap<string, AttributeValue>
  /** All that is unknown. */
  readonly unknowns: UnknownAttributes

  constructor(own: AttributeBag, generated: ReadonlyMap<string, AttributeValue>, unknowns: UnknownAttributes = NONE) {
    this.#own = own
    this.#generated = generated
    this.unknowns = unknowns
  }

  get(name: string): AttributeValue | undefined {
    return this.#own.get(name) ?? this.#generated.get(name)
  }

  unknown(name: string): IntermixError | undefined {
    return this.unknowns.get(name)
  }

  /** Whether the value under the name is a generated one; then the request's own absence decided it. */
  isGenerated(name: string): boolean {
    return this.#generated.has(name) && this.#own.get(name) === undefined
  }

  names(): Iterable<string> {
    return new Set([...this.#own.names(), ...this.#generated.keys()])
  }
}

/**
 * A bag in which certain names stand for something else than the request's attributes: a handler's output. Under such a
 * name the request is never asked, also where there is no output of that name.
 */
export class OverlayBag implements AttributeBag {
  readonly #base: AttributeBag
  readonly #names: ReadonlySet<string>
  readonly #values: ReadonlyMap<string, AttributeValue>

  /** @param names all that is laid over; @param values what some or all of the names hold. */
  constructor(base: AttributeBag, names: ReadonlySet<string>, values: ReadonlyMap<string, AttributeValue>) {
    this.#base = base
    this.#names = names
    this.#values = values
  }

  /** Whether the name is laid over: reading it reads nothing of the request. */
  has(name: string): boolean {
    return this.#names.has(name)
  }

  get(name: string): AttributeValue | undefined {
    return this.#names.has(name) ? this.#values.get(name) : this.#base.get(name)
  }

  unknown(name: string): IntermixError | undefined {
    return this.#names.has(name) ? undefined : this.#base.unknown?.(name)
  }

  names(): Iterable<string> {
    const names = new Set(this.#base.names())
    for (const name of this.#names) {
      if (this.#values.has(name)) names.add(name)
      else names.delete(name)
    }
    return names
  }
}
