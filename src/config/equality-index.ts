// Finds the rules that may match a request without evaluating them all: by the equality terms of their matches.

import type { EqualityTerm } from '../expression/compiled.ts'
import type { AttributeBag, Vocabulary } from '../kernel/attribute-bag.ts'
import type { ReadLog } from '../kernel/read-log.ts'
import { type CandidateSet, CandidateSets } from './candidate-sets.ts'
import { type AttributeSlot, Membership, type PlainValue } from './membership.ts'
import type { Sliced } from './slices.ts'
import type { RuleConfig } from './snapshot.ts'

export interface EqualityIndexOptions {
  readonly vocabulary: Vocabulary
  /** Fewer rules than this are not split. Default 6: evaluating a few matches costs no more than a look-up. */
  readonly splitFrom?: number
}

interface Leaf {
  readonly set: CandidateSet
}

/** Rules with a term on one slot, by its constant, beside the rules without one. */
interface Branch {
  readonly members: Membership<Node>
  readonly rest: Node
}

type Node = Leaf | Branch

/** Attributes that a look-up may ask for one after the other. */
const MAX_DEPTH = 4
/** A split is worth its look-up when it leaves at most this share of the rules. */
const WORTH = 0.7
const POSITIONS_BETWEEN_PAUSES = 256

/**
 * An index over rules. Among the candidates are all rules that match or whose match fails: only a term of the top-level
 * `&&` that does not hold, or whose attribute is known to be absent, leaves a rule out, and `matchRule` says the same of
 * such a rule.
 */
export class EqualityIndex {
  readonly #sets: CandidateSets
  readonly #root: Node

  private constructor(sets: CandidateSets, root: Node) {
    this.#sets = sets
    this.#root = root
  }

  /** `positions` picks the rules of the list that are indexed (all by default); `sets` may serve several indexes. */
  static *build(
    rules: readonly RuleConfig[],
    options: EqualityIndexOptions,
    shared?: { readonly sets: CandidateSets; readonly positions: readonly number[] },
  ): Sliced<EqualityIndex> {
    const sets = shared?.sets ?? new CandidateSets(rules)
    const builder = new IndexBuilder(rules, { splitFrom: 6, ...options }, sets)
    const root = yield* builder.build(shared?.positions ?? rules.map((_, position) => position), 0)
    return new EqualityIndex(sets, root)
  }

  /** The rules that may match, in rule order. `log` hears what the choice depended on. */
  candidates(bag: AttributeBag, log?: ReadLog): CandidateSet {
    return this.#lookUp(this.#root, bag, log)
  }

  #lookUp(node: Node, bag: AttributeBag, log: ReadLog | undefined): CandidateSet {
    if ('set' in node) return node.set
    const bucket = node.members.find(bag, log)
    const found = bucket === undefined ? undefined : this.#lookUp(bucket, bag, log)
    const rest = this.#lookUp(node.rest, bag, log)
    return found === undefined ? rest : this.#sets.union(found, rest)
  }
}

class IndexBuilder {
  readonly #rules: readonly RuleConfig[]
  readonly #options: Required<EqualityIndexOptions>
  readonly #sets: CandidateSets

  constructor(rules: readonly RuleConfig[], options: Required<EqualityIndexOptions>, sets: CandidateSets) {
    this.#rules = rules
    this.#options = options
    this.#sets = sets
  }

  *build(positions: readonly number[], depth: number): Sliced<Node> {
    yield
    const split =
      depth < MAX_DEPTH && positions.length >= this.#options.splitFrom ? yield* this.#bestSplit(positions) : undefined
    if (split === undefined) return { set: this.#sets.of(positions) }
    const indexed = new Set([...split.buckets.values()].flat())
    yield
    const rest = positions.filter((position) => !indexed.has(position))
    const buckets = new Map<PlainValue, Node>()
    for (const [value, part] of split.buckets) buckets.set(value, yield* this.build(part, depth + 1))
    let all: Node | undefined
    const foreign = (): Node => (all ??= { set: this.#sets.of([...indexed].toSorted((a, b) => a - b)) })
    return { members: new Membership(split.slot, buckets, foreign), rest: yield* this.build(rest, depth + 1) }
  }

  /** The slot that leaves the fewest rules on average, its known values taken as equally likely. */
  *#bestSplit(positions: readonly number[]): Sliced<Split | undefined> {
    const splits = new Map<string, Split>()
    for (const [index, position] of positions.entries()) {
      if (index % POSITIONS_BETWEEN_PAUSES === 0) yield
      const own = new Set<string>()
      for (const term of this.#rules[position]?.match?.equalityTerms ?? []) {
        const key = JSON.stringify([term.attribute, term.mapKey])
        const constant = this.#plainConstant(term)
        if (own.has(key) || constant === undefined) continue
        own.add(key)
        const split = splits.get(key) ?? { slot: term, buckets: new Map(), size: 0 }
        splits.set(key, split)
        split.size++
        const bucket = split.buckets.get(constant)
        if (bucket === undefined) split.buckets.set(constant, [position])
        else bucket.push(position)
      }
    }
    let best: Split | undefined
    let fewest = positions.length * WORTH
    for (const split of splits.values()) {
      const left = positions.length - split.size + split.size / split.buckets.size
      if (left <= fewest && (best === undefined || left < fewest)) {
        best = split
        fewest = left
      }
    }
    return best
  }

  /**
   * The constant, where the term means that the plain value equals it. Empty constants do not: an absent map key reads as
   * the empty text in CEXL, an absent attribute as its type's zero in CEL. Nor do types with an equality of their own.
   */
  #plainConstant({ attribute, mapKey, constant }: EqualityTerm): PlainValue | undefined {
    const type = this.#options.vocabulary.get(attribute)
    const isText = mapKey === undefined ? type === 'STRING' : type === 'STRING_MAP'
    if (typeof constant === 'string') return isText && constant !== '' ? constant : undefined
    if (mapKey !== undefined) return undefined
    if (typeof constant === 'bigint') return type === 'INT64' && constant !== 0n ? constant : undefined
    return type === 'BOOL' && constant === true ? constant : undefined
  }
}

interface Split {
  readonly slot: AttributeSlot
  readonly buckets: Map<PlainValue, number[]>
  size: number
}
