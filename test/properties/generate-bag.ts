// Random requests for the oracle. Half of them are ones that are asked again and again, the first far more often than the last, as
// real ones are; half of the others a recent request with one thing changed: what two requests have in common is what could
// make one get the answer of the other.

import { type AttributeBag, MapBag } from '../../src/kernel/attribute-bag.ts'
import type { ReferencedAttribute } from '../../src/kernel/read-log.ts'
import type { AttributeValue } from '../../src/kernel/value.ts'
import { describe } from './oracle/values.ts'
import type { Picker } from './random.ts'
import { ATTRIBUTES, KEYS, randomMap, TEXTS } from './vocabulary.ts'

type Values = Map<string, AttributeValue>

const RECENT = 6
/** Requests that are asked again and again. */
const POPULAR = 20
/** How often a popular request gives way to another one. */
const RENEWED_SHARE = 0.02

/** A sequence of requests. */
export class BagSource {
  readonly #pick: Picker
  readonly #recent: Values[] = []
  readonly #popular: Values[] = []

  constructor(pick: Picker) {
    this.#pick = pick
  }

  next(): AttributeBag {
    const pick = this.#pick
    if (!pick.chance(0.5)) return this.#other()
    // Zipf's law: the second is asked half as often as the first.
    const rank = Math.floor(Math.exp(pick.random() * Math.log(POPULAR + 1))) - 1
    const known = this.#popular[rank]
    if (known !== undefined && !pick.chance(RENEWED_SHARE)) return this.#asked(known)
    return this.#asked((this.#popular[rank] = this.#fresh()))
  }

  #other(): AttributeBag {
    const known = this.#recent[this.#pick.int(RECENT)]
    return this.#asked(known === undefined || this.#pick.chance(0.5) ? this.#fresh() : this.#neighbour(known))
  }

  /** Another request that an answer to `bag` with these references holds for: all else may differ. */
  agreeing(bag: AttributeBag, references: readonly ReferencedAttribute[]): AttributeBag {
    const values = this.#fresh()
    const named = new Map<string, ReferencedAttribute[]>()
    for (const reference of references) named.set(reference.name, [...(named.get(reference.name) ?? []), reference])
    for (const [name, list] of named) {
      const own = bag.get(name)
      if (own === undefined) values.delete(name)
      else if (!(own instanceof Map) || list.some(({ whole }) => whole)) values.set(name, own)
      else values.set(name, this.#agreeingMap(own as ReadonlyMap<string, string>, list))
    }
    return this.#asked(values)
  }

  #agreeingMap(own: ReadonlyMap<string, string>, references: readonly ReferencedAttribute[]): AttributeValue {
    const map = new Map(randomMap(this.#pick))
    for (const { key } of references) {
      if (key === undefined) continue
      const value = own.get(key)
      if (value === undefined) map.delete(key)
      else map.set(key, value)
    }
    return map
  }

  #asked(values: Values): AttributeBag {
    this.#recent.unshift(values)
    this.#recent.length = Math.min(this.#recent.length, RECENT)
    return new MapBag(values)
  }

  #fresh(): Values {
    const values: Values = new Map()
    for (const { name, share, value } of ATTRIBUTES) {
      if (this.#pick.chance(share)) values.set(name, value(this.#pick))
    }
    return values
  }

  /** The same request with one attribute given, taken away or changed, or with two that hold each other's text. */
  #neighbour(known: Values): Values {
    const pick = this.#pick
    const values = new Map(known)
    const put = (name: string, value: AttributeValue | undefined) => {
      if (value === undefined) values.delete(name)
      else values.set(name, value)
    }
    const kind = pick.int(7)
    if (kind === 0) {
      const [left, right] = pick.of([
        [known.get('b'), known.get('a')],
        ['x', 'xsx'],
        ['xsx', 'x'],
      ])
      put('a', left)
      put('b', right)
    } else if (kind === 1) {
      put('m', known.get('h'))
      put('h', known.get('m'))
    } else if (kind === 2) {
      const name = pick.of(['m', 'h'])
      const map = known.get(name)
      if (map instanceof Map) put(name, changedMap(map as ReadonlyMap<string, string>, pick))
    } else {
      const { name, value } = pick.of(ATTRIBUTES)
      put(name, kind === 3 ? undefined : value(pick))
    }
    return values
  }
}

function changedMap(map: ReadonlyMap<string, string>, pick: Picker): ReadonlyMap<string, string> {
  const changed = new Map(map)
  const key = pick.of(KEYS)
  if (!changed.delete(key)) changed.set(key, pick.of(TEXTS))
  return changed
}

/** A request in one line, for messages. */
export function describeBag(bag: AttributeBag): string {
  return Array.from(bag.names(), (name) => `${name}=${describe(bag.get(name))}`).join(' ')
}
