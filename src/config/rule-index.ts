// The rules of a snapshot that may concern a request: by purpose, by namespace, by the terms of their matches.

import type { AttributeBag } from '../kernel/attribute-bag.ts'
import type { ReadLog } from '../kernel/read-log.ts'
import { type CandidateSet, CandidateSets } from './candidate-sets.ts'
import { Membership } from './membership.ts'
import { DESTINATION_NAMESPACE, namespaceAttribute, SOURCE_NAMESPACE, unknownNamespace } from './request-namespace.ts'
import { type RulePurpose, serves } from './rule-purpose.ts'
import type { Sliced } from './slices.ts'
import type { PlainValue } from '../kernel/subject-test.ts'
import type { RuleConfig, Snapshot } from './snapshot.ts'
import { TermIndex } from './term-index.ts'

export type { CandidateSet }

/**
 * Selects rules as Mixer does: those of the default namespace, and those of the request's namespace, which is
 * `source.namespace` for an outbound reporter and else `destination.namespace`. Where no other namespace has rules,
 * neither attribute is read. Where the namespace is unknown the rules of all are candidates, and `matchRule` says of each that
 * it may apply or not. One is built per snapshot.
 */
export class RuleSelector {
  readonly #check: PurposeRules
  readonly #report: PurposeRules
  readonly #attributes: PurposeRules
  readonly #rateLimit: PurposeRules

  private constructor(rules: Readonly<Record<RulePurpose, PurposeRules>>) {
    this.#check = rules.check
    this.#report = rules.report
    this.#attributes = rules.attributes
    this.#rateLimit = rules.rateLimit
  }

  static *build(snapshot: Snapshot): Sliced<RuleSelector> {
    const check = yield* PurposeRules.build(snapshot, 'check')
    const report = yield* PurposeRules.build(snapshot, 'report')
    const attributes = yield* PurposeRules.build(snapshot, 'attributes')
    const rateLimit = yield* PurposeRules.build(snapshot, 'rateLimit')
    return new RuleSelector({ check, report, attributes, rateLimit })
  }

  /** Whether any rule generates attributes: if none does, none need be selected. */
  get generatesAttributes(): boolean {
    return this.#attributes.size > 0
  }

  /** Whether any rule limits rates that callers describe. */
  get limitsRates(): boolean {
    return this.#rateLimit.size > 0
  }

  /** Rules with at least one check or quota action or a header operation. */
  check(bag: AttributeBag, log?: ReadLog): CandidateSet {
    return this.#check.select(bag, log)
  }

  /** Rules with at least one report action. */
  report(bag: AttributeBag, log?: ReadLog): CandidateSet {
    return this.#report.select(bag, log)
  }

  /** Rules that generate attributes; `bag` is what the proxy sent. */
  attributes(bag: AttributeBag, log?: ReadLog): CandidateSet {
    return this.#attributes.select(bag, log)
  }

  /** Rules with quotas for rates that callers describe; `bag` is a demand (`policy/rule-limits.ts`). */
  rateLimit(bag: AttributeBag, log?: ReadLog): CandidateSet {
    return this.#rateLimit.select(bag, log)
  }
}

/** All rules of a purpose that apply to a namespace, in rule order. */
export function rulesFor(snapshot: Snapshot, namespace: string, purpose: RulePurpose): readonly RuleConfig[] {
  return snapshot.rules.filter(
    (rule) => (rule.namespace === snapshot.defaultNamespace || rule.namespace === namespace) && serves(rule, purpose),
  )
}

class PurposeRules {
  readonly #sets: CandidateSets
  readonly #everywhere: TermIndex
  readonly #bySource: Membership<TermIndex>
  readonly #byDestination: Membership<TermIndex>
  readonly #namespaced: readonly TermIndex[]
  readonly size: number

  private constructor(
    size: number,
    sets: CandidateSets,
    everywhere: TermIndex,
    indexes: ReadonlyMap<PlainValue, TermIndex>,
  ) {
    this.size = size
    this.#sets = sets
    this.#everywhere = everywhere
    this.#bySource = new Membership({ attribute: SOURCE_NAMESPACE, mapKey: undefined }, indexes)
    this.#byDestination = new Membership({ attribute: DESTINATION_NAMESPACE, mapKey: undefined }, indexes)
    this.#namespaced = [...indexes.values()]
  }

  static *build(snapshot: Snapshot, purpose: RulePurpose): Sliced<PurposeRules> {
    const rules = snapshot.rules.filter((rule) => serves(rule, purpose))
    const byNamespace = new Map<string, number[]>([[snapshot.defaultNamespace, []]])
    for (const [position, { namespace }] of rules.entries()) {
      const positions = byNamespace.get(namespace)
      if (positions === undefined) byNamespace.set(namespace, [position])
      else positions.push(position)
    }
    const sets = new CandidateSets(rules)
    const everywhere = yield* TermIndex.build(rules, snapshot, {
      sets,
      positions: byNamespace.get(snapshot.defaultNamespace) ?? [],
    })
    byNamespace.delete(snapshot.defaultNamespace)
    const indexes = new Map<PlainValue, TermIndex>()
    for (const [name, positions] of byNamespace) {
      indexes.set(name, yield* TermIndex.build(rules, snapshot, { sets, positions }))
    }
    return new PurposeRules(rules.length, sets, everywhere, indexes)
  }

  select(bag: AttributeBag, log: ReadLog | undefined): CandidateSet {
    if (this.#namespaced.length === 0) return this.#everywhere.candidates(bag, log)
    const namespaces = namespaceAttribute(bag, log) === SOURCE_NAMESPACE ? this.#bySource : this.#byDestination
    const own = namespaces.find(bag, log)
    let found = this.#everywhere.candidates(bag, log)
    if (own !== undefined) found = this.#sets.union(found, own.candidates(bag, log))
    if (unknownNamespace(bag, log) === undefined) return found
    for (const index of this.#namespaced) found = this.#sets.union(found, index.candidates(bag, log))
    return found
  }
}
