// The requests that a config is tried with: recorded ones, each of those without each of its attributes, ones that fit
// single rules, and sparse ones that nobody has sent.

import { valueToText } from '../../adapter-kit/value-text.ts'
import type { RuleConfig, Snapshot } from '../../config/snapshot.ts'
import { type AttributeBag, EMPTY_BAG, MapBag } from '../../kernel/attribute-bag.ts'
import { decodeValue } from '../../kernel/value-json.ts'
import { type AttributeValue, isStringMap } from '../../kernel/value.ts'
import type { EncodedBag } from './preflight-report.ts'
import { sampleValues } from './sample-values.ts'

/** A request to try. */
export interface CorpusBag {
  /** Whether it is a recorded one as it was. */
  readonly recorded: boolean
  readonly bag: AttributeBag
}

/** Recorded bags of one shape, whose attributes are taken away one by one; of further ones little is learnt. */
const REDUCED_OF_A_SHAPE = 3

/** The corpus, the most telling ones first: whoever has enough stops. */
export function* corpus(snapshot: Snapshot, recorded: readonly EncodedBag[]): Generator<CorpusBag> {
  const bags = recorded.map(decodeBag)
  for (const bag of bags) yield { recorded: true, bag: new MapBag(bag) }
  yield { recorded: false, bag: EMPTY_BAG }
  for (const bag of reduced(bags)) yield { recorded: false, bag: new MapBag(bag) }
  for (const rule of snapshot.rules) yield* fitting(rule, bags[0] ?? new Map())
  for (const [name, type] of snapshot.vocabulary) {
    for (const value of sampleValues(type)) yield { recorded: false, bag: MapBag.of({ [name]: value }) }
  }
  // All of them at once, first the plain values, then the odd ones.
  for (let n = 0; n < 6; n++) {
    const all = Array.from(snapshot.vocabulary, ([name, type]): [string, AttributeValue][] => {
      const values = sampleValues(type)
      const value = values[n % values.length]
      return value === undefined ? [] : [[name, value]]
    })
    yield { recorded: false, bag: new MapBag(new Map(all.flat())) }
  }
}

/** The bag again; values that cannot be read are left out. */
function decodeBag(encoded: EncodedBag): ReadonlyMap<string, AttributeValue> {
  const values = new Map<string, AttributeValue>()
  for (const [name, value] of Object.entries(encoded)) {
    const decoded = decodeValue(value)
    if (decoded !== undefined) values.set(name, decoded)
  }
  return values
}

function* reduced(
  bags: readonly ReadonlyMap<string, AttributeValue>[],
): Generator<ReadonlyMap<string, AttributeValue>> {
  const shapes = new Map<string, number>()
  for (const bag of bags) {
    const shape = [...bag.keys()].toSorted().join('\n')
    const times = (shapes.get(shape) ?? 0) + 1
    shapes.set(shape, times)
    if (times > REDUCED_OF_A_SHAPE) continue
    for (const [name, value] of bag) {
      yield without(bag, name)
      if (typeof value !== 'object' || !isStringMap(value)) continue
      for (const [key] of value.entries()) yield new Map(bag).set(name, without(new Map(value.entries()), key))
    }
  }
}

function without<V>(map: ReadonlyMap<string, V>, key: string): ReadonlyMap<string, V> {
  const rest = new Map(map)
  rest.delete(key)
  return rest
}

/** What the rule demands, alone and beside the attributes of a request. */
function* fitting({ match }: RuleConfig, base: ReadonlyMap<string, AttributeValue>): Generator<CorpusBag> {
  const demanded = new Map<string, AttributeValue>()
  const demand = (attribute: string, mapKey: string | undefined, value: AttributeValue) => {
    if (mapKey === undefined) return void demanded.set(attribute, value)
    const before = demanded.get(attribute)
    const map = before !== undefined && typeof before === 'object' && isStringMap(before) ? before.entries() : []
    demanded.set(attribute, new Map([...map, [mapKey, valueToText(value)]]))
  }
  for (const { attribute, mapKey, constant } of match?.equalityTerms ?? []) demand(attribute, mapKey, constant)
  for (const { attribute, mapKey, anyOf } of match?.textTerms ?? []) demand(attribute, mapKey, anyOf[0]?.text ?? '')
  if (demanded.size === 0) return
  yield { recorded: false, bag: new MapBag(demanded) }
  yield { recorded: false, bag: new MapBag(new Map([...base, ...demanded])) }
}
