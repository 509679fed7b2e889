// Finds the rules that may match a request without evaluating them all: by what the terms of their matches demand.

import type { AttributeBag, Vocabulary } from '../kernel/attribute-bag.ts'
import type { ReadLog } from '../kernel/read-log.ts'
import { AffixLookup } from './affix-lookup.ts'
import { type CandidateSet, CandidateSets } from './candidate-sets.ts'
import { Membership } from './membership.ts'
import type { Sliced } from './slices.ts'
import type { PlainValue } from '../kernel/subject-test.ts'
import type { SlotLookup } from './slot-lookup.ts'
import type { RuleConfig } from './snapshot.ts'
import { bestSplit, type Split } from './term-split.ts'

export interface TermIndexOptions {
  readonly vocabulary: Vocabulary
  /** Fewer rules than this are not split. Default 6: evaluating a few matches costs no more than a look-up. */
  readonly splitFrom?: number
}

interface Leaf {
  readonly set: CandidateSet
}

/** Rules with a term on one slot, by its constants, beside the rules without one. */
interface Branch {
  readonly lookup: SlotLookup<Node>
  readonly rest: Node
}

/** Rules that demand a prefix (or suffix), beside those that demand a shorter one of the same texts. */
interface Chain {
  readonly here: Node
  readonly shorter: Node
}

type Node = Leaf | Branch | Chain

/** Attributes that a look-up may ask for one after the other. */
const MAX_DEPTH = 4

/**
 * An index over rules. Among the candidates are all rules that match or whose match fails: only a term of the top-level
 * `&&` that does not hold, or whose attribute is known to be absent, leaves a rule out, and `matchRule` says the same of
 * such a rule.
 */
export class TermIndex {
  readonly #sets: CandidateSets
  readonly #root: Node

  private constructor(sets: CandidateSets, root: Node) {
    this.#sets = sets
    this.#root = root
  }

  /** `positions` picks the rules of the list that are indexed (all by default); `sets` may serve several indexes. */
  static *build(
    rules: readonly RuleConfig[],
    options: TermIndexOptions,
    shared?: { readonly sets: CandidateSets; readonly positions: readonly number[] },
  ): Sliced<TermIndex> {
    const sets = shared?.sets ?? new CandidateSets(rules)
    const positions = shared?.positions ?? rules.map((_, position) => position)
    const builder = new IndexBuilder(rules, { splitFrom: 6, ...options }, sets, positions.length)
    return new TermIndex(sets, yield* builder.build(positions, 0))
  }

  /** The rules that may match, in rule order. `log` hears what the choice depended on. */
  candidates(bag: AttributeBag, log?: ReadLog): CandidateSet {
    return this.#lookUp(this.#root, bag, log)
  }

  #lookUp(node: Node, bag: AttributeBag, log: ReadLog | undefined): CandidateSet {
    if ('set' in node) return node.set
    if ('here' in node) return this.#lookUpChain(node, bag, log)
    const bucket = node.lookup.find(bag, log)
    const found = bucket === undefined ? undefined : this.#lookUp(bucket, bag, log)
    const rest = this.#lookUp(node.rest, bag, log)
    return found === undefined ? rest : this.#sets.union(found, rest)
  }

  /** Not by recursion: a config may nest as many prefixes as it likes. */
  #lookUpChain(chain: Chain, bag: AttributeBag, log: ReadLog | undefined): CandidateSet {
    let found = this.#lookUp(chain.here, bag, log)
    let next = chain.shorter
    while ('here' in next) {
      found = this.#sets.union(found, this.#lookUp(next.here, bag, log))
      next = next.shorter
    }
    return this.#sets.union(found, this.#lookUp(next, bag, log))
  }
}

/** References to rules that an index may hold, as a multiple of the rules: one that names alternatives is in several places. */
const REFERENCES_PER_RULE = 64

class IndexBuilder {
  readonly #rules: readonly RuleConfig[]
  readonly #options: Required<TermIndexOptions>
  readonly #sets: CandidateSets
  #references: number

  constructor(rules: readonly RuleConfig[], options: Required<TermIndexOptions>, sets: CandidateSets, size: number) {
    this.#rules = rules
    this.#options = options
    this.#sets = sets
    this.#references = REFERENCES_PER_RULE * size
  }

  *build(positions: readonly number[], depth: number): Sliced<Node> {
    yield
    const split = yield* this.#splitOf(positions, depth)
    if (split === undefined) return { set: this.#sets.of(positions) }
    this.#references -= split.references
    const indexed = new Set([...split.buckets.values()].flat())
    yield
    const rest = positions.filter((position) => !indexed.has(position))
    const buckets = new Map<PlainValue, Node>()
    for (const [value, part] of split.buckets) buckets.set(value, yield* this.build(part, depth + 1))
    let all: Node | undefined
    const foreign = (): Node => (all ??= { set: this.#sets.of([...indexed].toSorted((a, b) => a - b)) })
    return { lookup: lookupOf(split, buckets, foreign), rest: yield* this.build(rest, depth + 1) }
  }

  *#splitOf(positions: readonly number[], depth: number): Sliced<Split | undefined> {
    const { splitFrom, vocabulary } = this.#options
    if (depth >= MAX_DEPTH || positions.length < splitFrom) return undefined
    const split = yield* bestSplit(this.#rules, positions, vocabulary)
    return split === undefined || split.references > this.#references ? undefined : split
  }
}

function lookupOf(split: Split, buckets: Map<PlainValue, Node>, foreign: () => Node): SlotLookup<Node> {
  const { slot, kind } = split
  if (kind === 'equals') return new Membership(slot, buckets, foreign)
  const known = new Map<string, Node>()
  // From the shortest to the longest, so that what a text begins with is there already.
  for (const [affix, shorter] of split.nested()) {
    const here = buckets.get(affix) as Node
    const outer = shorter === undefined ? undefined : known.get(shorter)
    known.set(affix, outer === undefined ? here : { here, shorter: outer })
  }
  return new AffixLookup(slot, kind, known, foreign)
}
