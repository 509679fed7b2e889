// The attribute bag: typed values by dotted name, as a request brought them.

import type { AttributeValue, ValueType } from './value.ts'

/** What a request is known by. Implementations may decode lazily, so `get` is the only way to a value. */
export interface AttributeBag {
  get(name: string): AttributeValue | undefined
  names(): Iterable<string>
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

/** A bag that lays further values (those of attribute generators) over another bag. */
export class OverlayBag implements AttributeBag {
  readonly #base: AttributeBag
  readonly #over: ReadonlyMap<string, AttributeValue>

  constructor(base: AttributeBag, over: ReadonlyMap<string, AttributeValue>) {
    this.#base = base
    this.#over = over
  }

  get(name: string): AttributeValue | undefined {
    return this.#over.get(name) ?? this.#base.get(name)
  }

  names(): Iterable<string> {
    return new Set([...this.#base.names(), ...this.#over.keys()])
  }
}
