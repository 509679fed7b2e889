// Random requests for the oracle. Half of them are a recent request with one thing changed: what two requests have in
// common is what could make one get the answer of the other.

import { valueToText } from '../../src/adapter-kit/value-text.ts'
import { type AttributeBag, MapBag } from '../../src/kernel/attribute-bag.ts'
import { Duration } from '../../src/kernel/time.ts'
import type { AttributeValue } from '../../src/kernel/value.ts'
import type { Picker } from './generate-config.ts'

type Values = Record<string, AttributeValue>

/** Texts of which some look like others joined, with the marks that keys could set between them. */
const TEXTS = ['x', 'y', 'xx', 'xsx', '', '5', '10ms'] as const
const RECENT = 6

/** By attribute: how often it is there, and what it holds. */
const ATTRIBUTES: Readonly<Record<string, readonly [share: number, value: (pick: Picker) => AttributeValue]>> = {
  // Now and then a value of another type than declared that reads the same: callers may send anything.
  a: [0.8, (pick) => (pick.chance(0.1) ? 5n : pick.of(TEXTS))],
  b: [0.5, (pick) => pick.of(TEXTS)],
  n: [0.8, (pick) => BigInt(pick.of([5, 6]))],
  d: [0.7, (pick) => new Duration(BigInt(pick.of([5_000_000, 6_000_000])))],
  ip: [0.5, (pick) => Uint8Array.of(10, 0, 0, pick.of([1, 2]))],
  m: [0.7, randomMap],
  h: [0.5, randomMap],
  'source.principal': [0.7, (pick) => pick.of(['eve', 'bob', 'amy'])],
  'destination.namespace': [0.7, (pick) => pick.of(['ns1', 'ns2', 'ns3'])],
}

/** A sequence of requests. */
export class BagSource {
  readonly #pick: Picker
  readonly #recent: Values[] = []

  constructor(pick: Picker) {
    this.#pick = pick
  }

  next(): AttributeBag {
    const known = this.#recent[this.#pick.int(RECENT)]
    const values = known === undefined || this.#pick.chance(0.5) ? this.#fresh() : this.#neighbour(known)
    this.#recent.unshift(values)
    this.#recent.length = Math.min(this.#recent.length, RECENT)
    return MapBag.of(values)
  }

  #fresh(): Values {
    const values: Values = {}
    for (const [name, [share, value]] of Object.entries(ATTRIBUTES)) {
      if (this.#pick.chance(share)) values[name] = value(this.#pick)
    }
    return values
  }

  /** The same request with one attribute given, taken away or changed, or with two that hold each other's text. */
  #neighbour(known: Values): Values {
    const { a, b, m, h, ...others } = known
    const kind = this.#pick.int(6)
    if (kind === 0) {
      const [left, right] = this.#pick.of([
        [b, a],
        ['x', 'xsx'],
        ['xsx', 'x'],
      ])
      return defined({ ...others, a: left, b: right, m, h })
    }
    if (kind === 1) return defined({ ...others, a, b, m: h, h: m })
    const name = this.#pick.of(Object.keys(ATTRIBUTES) as [string])
    return defined({ ...known, [name]: kind === 2 ? undefined : ATTRIBUTES[name]?.[1](this.#pick) })
  }
}

function defined(values: Readonly<Record<string, AttributeValue | undefined>>): Values {
  return Object.fromEntries(
    Object.entries(values).filter((entry): entry is [string, AttributeValue] => entry[1] !== undefined),
  )
}

function randomMap(pick: Picker): AttributeValue {
  const entries: [string, string][] = []
  for (const key of ['k', 'l', '']) if (pick.chance(0.5)) entries.push([key, pick.of(TEXTS)])
  return new Map(entries)
}

/** A request in one line, for messages. */
export function describeBag(bag: AttributeBag): string {
  return Array.from(bag.names(), (name) => {
    const value = bag.get(name)
    return `${name}=${value instanceof Map ? JSON.stringify([...value]) : valueToText(value as AttributeValue)}`
  }).join(' ')
}
