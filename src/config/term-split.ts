// How rules are best told apart: by which attribute, and by what they demand of it.

import type { EqualityTerm, TextTerm } from '../expression/compiled.ts'
import type { Vocabulary } from '../kernel/attribute-bag.ts'
import { reversed } from '../expression/affix-trie.ts'
import type { Sliced } from './slices.ts'
import type { PlainValue, Side } from '../kernel/subject-test.ts'
import type { AttributeSlot } from './slot-lookup.ts'
import type { RuleConfig } from './snapshot.ts'

/** A split is worth its look-up when it leaves at most this share of the rules. */
const WORTH = 0.7
const POSITIONS_BETWEEN_PAUSES = 256

/** Rules by the constants that their terms of one kind on one slot demand; places in the list, ascending. */
export class Split {
  readonly slot: AttributeSlot
  readonly kind: 'equals' | Side
  readonly buckets = new Map<PlainValue, number[]>()
  /** Rules in the buckets, each once. */
  size = 0
  /** Rules in the buckets, each as often as it is there. */
  references = 0

  constructor(slot: AttributeSlot, kind: 'equals' | Side) {
    this.slot = slot
    this.kind = kind
  }

  add(constants: Iterable<PlainValue>, position: number): void {
    this.size++
    for (const constant of new Set(constants)) {
      this.references++
      const bucket = this.buckets.get(constant)
      if (bucket === undefined) this.buckets.set(constant, [position])
      else bucket.push(position)
    }
  }

  /** How many of its rules a known value leaves on average, all known values taken as equally likely. */
  left(): number {
    if (this.kind === 'equals') return this.references / this.buckets.size
    const sums = new Map<string, number>()
    let total = 0
    for (const [affix, shorter] of this.nested()) {
      const sum = (this.buckets.get(affix)?.length ?? 0) + (shorter === undefined ? 0 : (sums.get(shorter) ?? 0))
      sums.set(affix, sum)
      total += sum
    }
    return total / this.buckets.size
  }

  /** The prefixes or suffixes, each after the shorter ones that it begins or ends with, and with the longest of those. */
  *nested(): Iterable<[affix: string, shorter: string | undefined]> {
    const order = (text: string) => (this.kind === 'suffix' ? reversed(text) : text)
    const sorted = [...(this.buckets.keys() as Iterable<string>)].map((affix) => [order(affix), affix] as const)
    sorted.sort(([a], [b]) => (a < b ? -1 : 1))
    const around: (readonly [ordered: string, affix: string])[] = []
    for (const item of sorted) {
      while (around.length > 0 && !item[0].startsWith(around.at(-1)?.[0] ?? '')) around.pop()
      yield [item[1], around.at(-1)?.[1]]
      around.push(item)
    }
  }
}

/** The split that leaves the fewest rules on average; `undefined` where none is worth its look-up. */
export function* bestSplit(
  rules: readonly RuleConfig[],
  positions: readonly number[],
  vocabulary: Vocabulary,
): Sliced<Split | undefined> {
  const splits = new Map<string, Split>()
  for (const [index, position] of positions.entries()) {
    if (index % POSITIONS_BETWEEN_PAUSES === 0) yield
    const own = new Set<string>()
    for (const { slot, kind, constants } of demandsOf(rules[position]?.match, vocabulary)) {
      const key = JSON.stringify([kind, slot.attribute, slot.mapKey])
      if (own.has(key)) continue
      own.add(key)
      let split = splits.get(key)
      if (split === undefined) splits.set(key, (split = new Split(slot, kind)))
      split.add(constants, position)
    }
  }
  let best: Split | undefined
  let fewest = positions.length * WORTH
  for (const split of splits.values()) {
    yield
    const left = positions.length - split.size + split.left()
    if (left <= fewest && (best === undefined || left < fewest)) {
      best = split
      fewest = left
    }
  }
  return best
}

/** What must be so of a slot for a rule to match: it is, or begins or ends with, one of some constants. */
interface Demand {
  readonly slot: AttributeSlot
  readonly kind: 'equals' | Side
  readonly constants: readonly PlainValue[]
}

function* demandsOf(match: RuleConfig['match'], vocabulary: Vocabulary): Iterable<Demand> {
  for (const term of match?.equalityTerms ?? []) {
    const constant = plainConstant(term, vocabulary)
    if (constant !== undefined) yield { slot: term, kind: 'equals', constants: [constant] }
  }
  for (const term of match?.textTerms ?? []) {
    const kind = isText(term, vocabulary) ? kindOf(term) : undefined
    if (kind !== undefined) yield { slot: term, kind, constants: term.anyOf.map(({ text }) => text) }
  }
}

/** How all alternatives can be looked up at once. What is equal to a text begins with it, too. */
function kindOf({ anyOf }: TextTerm): 'equals' | Side | undefined {
  const kinds = new Set(anyOf.map(({ kind }) => kind))
  if (!kinds.has('suffix')) return kinds.has('prefix') ? 'prefix' : 'equals'
  return kinds.has('prefix') ? undefined : 'suffix'
}

function isText({ attribute, mapKey }: AttributeSlot, vocabulary: Vocabulary): boolean {
  return vocabulary.get(attribute) === (mapKey === undefined ? 'STRING' : 'STRING_MAP')
}

/**
 * The constant, where the term means that the plain value equals it. Empty constants do not: an absent map key reads as
 * the empty text in CEXL, an absent attribute as its type's zero in CEL. Nor do types with an equality of their own.
 */
function plainConstant(term: EqualityTerm, vocabulary: Vocabulary): PlainValue | undefined {
  const { attribute, mapKey, constant } = term
  if (typeof constant === 'string') return isText(term, vocabulary) && constant !== '' ? constant : undefined
  if (mapKey !== undefined) return undefined
  const type = vocabulary.get(attribute)
  if (typeof constant === 'bigint') return type === 'INT64' && constant !== 0n ? constant : undefined
  return type === 'BOOL' && constant === true ? constant : undefined
}
