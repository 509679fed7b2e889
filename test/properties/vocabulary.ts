// The attributes of the oracle's configs and requests. Few names and values, so that requests collide as often as
// possible in everything but what matters; among the names all that something could take for another: outputs of actions
// (`x.output.…`) and of generators (`output.…`, `_out.…`), members that every JavaScript object has, beginnings of others.

import { Duration } from '../../src/kernel/time.ts'
import type { AttributeValue } from '../../src/kernel/value.ts'
import type { Picker } from './random.ts'

export type AttributeType = 'STRING' | 'INT64' | 'DURATION' | 'IP_ADDRESS' | 'STRING_MAP'

export interface Attribute {
  readonly name: string
  readonly type: AttributeType
  /** How often a request has it. */
  readonly share: number
  readonly value: (pick: Picker) => AttributeValue
}

/** Texts of which some look like others joined, with the marks that keys could set between them; one is no pattern. */
export const TEXTS = ['x', 'y', 'xx', 'xsx', '', '5', '10ms', '10.0.0.1', '('] as const
export const KEYS = ['k', 'l', '', 'constructor', '__proto__'] as const
export const NAMESPACES = ['ns1', 'ns2', 'ns3'] as const

const text = (name: string, share: number, values: readonly [string, ...string[]] = TEXTS): Attribute => ({
  name,
  type: 'STRING',
  share,
  value: (pick) => pick.of(values),
})

const map = (name: string, share: number): Attribute => ({
  name,
  type: 'STRING_MAP',
  share,
  // Now and then something else than a map: callers may send anything.
  value: (pick) => (pick.chance(0.03) ? 'x' : randomMap(pick)),
})

export const ATTRIBUTES: readonly [Attribute, ...Attribute[]] = [
  // A value of another type than declared that reads the same.
  { ...text('a', 0.8), value: (pick) => (pick.chance(0.1) ? 5n : pick.of(TEXTS)) },
  text('b', 0.5),
  text('p', 0.4, ['x', 'y']),
  text('p.q', 0.4, ['x', 'y']),
  text('x.output.owner', 0.5, ['eve', 'bob', '']),
  text('output.source_pod_name', 0.5, ['x', 'y']),
  text('_out.source_pod_name', 0.4, ['x', 'y']),
  text('constructor', 0.4, ['x', 'y']),
  text('__proto__', 0.4, ['x', 'y']),
  { name: 'n', type: 'INT64', share: 0.8, value: (pick) => BigInt(pick.of([0, 5, 6])) },
  {
    name: 'd',
    type: 'DURATION',
    share: 0.7,
    value: (pick) => new Duration(BigInt(pick.of([5_000_000, 6_000_000]))),
  },
  { name: 'ip', type: 'IP_ADDRESS', share: 0.5, value: (pick) => Uint8Array.of(10, 0, 0, pick.of([1, 2])) },
  map('m', 0.7),
  map('h', 0.5),
  map('x.output.pairs', 0.4),
  text('source.principal', 0.7, ['eve', 'bob', 'amy']),
  text('source.namespace', 0.5, NAMESPACES),
  text('destination.namespace', 0.7, NAMESPACES),
  text('context.reporter.kind', 0.2, ['outbound', 'inbound']),
]

/** What configs and requests of a simulation speak of. */
export interface Vocabulary {
  readonly attributes: readonly [Attribute, ...Attribute[]]
  /** Keys of maps. */
  readonly keys: readonly [string, ...string[]]
  /** Constants that texts are compared with, and what they are tested to begin or end with. */
  readonly words: readonly [string, ...string[]]
  readonly affixes: readonly [string, ...string[]]
  /** By attribute that generators may bind: outputs of its type. */
  readonly bound: readonly Bound[]
}

export type Bound = readonly [attribute: string, type: AttributeType, outputs: readonly [string, ...string[]]]

/** Names that are made up. */
export const OWN_WORDS: Vocabulary = {
  attributes: ATTRIBUTES,
  keys: KEYS,
  words: ['x', 'y', 'xx', '', '5'],
  affixes: ['x', 'y', 'xs', 'xsx', 'sx', 'xx', '10', '10.', '', '5'],
  bound: [
    ['a', 'STRING', ['source_pod_name']],
    ['x.output.owner', 'STRING', ['source_pod_name', 'source_namespace']],
    ['output.source_pod_name', 'STRING', ['source_pod_name']],
    ['__proto__', 'STRING', ['source_pod_name']],
    ['source.principal', 'STRING', ['source_pod_name']],
    ['destination.namespace', 'STRING', ['source_namespace']],
    ['source.namespace', 'STRING', ['source_namespace']],
    ['ip', 'IP_ADDRESS', ['source_pod_ip']],
    ['m', 'STRING_MAP', ['source_labels']],
  ],
}

/** A text that no two requests share; rules read it to name the request only. */
export const TRACE = 'trace'

export function namesOf({ attributes }: Vocabulary, type: AttributeType): readonly [string, ...string[]] {
  const [first = '', ...others] = attributes.filter((attribute) => attribute.type === type).map(({ name }) => name)
  return [first, ...others]
}

export function randomMap(pick: Picker): ReadonlyMap<string, string> {
  const entries = new Map<string, string>()
  for (const key of KEYS) if (pick.chance(0.4)) entries.set(key, pick.of(TEXTS))
  return entries
}
