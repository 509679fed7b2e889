// Sets of rules that an index has found, each kept once: what depends on a set alone can be remembered by its id.

import { LRUCache } from 'lru-cache'
import { digestOf } from './digest.ts'
import type { RuleConfig } from './snapshot.ts'

/** Rules that may match a request, in rule order. The same set is the same object as long as it is in use. */
export interface CandidateSet {
  /** Unique within the index; a set that was forgotten and found again gets a new one. */
  readonly id: number
  /** SHA-256 (hex) over the rules' digests: equal on every node. */
  readonly digest: string
  readonly rules: readonly RuleConfig[]
}

interface Interned extends CandidateSet {
  /** Places of the rules in the list, ascending. */
  readonly positions: readonly number[]
}

/** Rule references that all remembered sets may hold together, a set itself counting as some. */
const MAX_REFERENCES = 1_000_000
const SET_WEIGHT = 24
const PAIRABLE = 2 ** 26

/** The sets over one list of rules. Bounded: those not used for longest are forgotten first. */
export class CandidateSets {
  readonly #rules: readonly RuleConfig[]
  // Not given a number of sets: they would set up lists for all of them, for each purpose of each config.
  readonly #byContent = new LRUCache<string, Interned>({ maxSize: MAX_REFERENCES, sizeCalculation: weightOf })
  readonly #unions = new LRUCache<number | string, Interned>({ maxSize: MAX_REFERENCES, sizeCalculation: weightOf })
  #nextId = 0

  constructor(rules: readonly RuleConfig[]) {
    this.#rules = rules
  }

  /** The set of the rules at some places of the list, ascending. */
  of(positions: readonly number[]): CandidateSet {
    const rules = positions.flatMap((position) => this.#rules[position] ?? [])
    const digest = digestOf(rules.map((rule) => rule.digest))
    const known = this.#byContent.get(digest)
    if (known !== undefined) return known
    const set: Interned = Object.freeze({ id: this.#nextId++, digest, rules: Object.freeze(rules), positions })
    this.#byContent.set(digest, set)
    return set
  }

  /** The rules of both sets, each of which this object has given. */
  union(a: CandidateSet, b: CandidateSet): CandidateSet {
    if (a.rules.length === 0) return b
    if (b.rules.length === 0 || a === b) return a
    const key = a.id < PAIRABLE && b.id < PAIRABLE ? a.id * PAIRABLE + b.id : `${a.id}:${b.id}`
    const known = this.#unions.get(key)
    if (known !== undefined) return known
    const positions = new Set([...(a as Interned).positions, ...(b as Interned).positions])
    const set = this.of([...positions].toSorted((x, y) => x - y)) as Interned
    this.#unions.set(key, set)
    return set
  }
}

function weightOf({ positions }: Interned): number {
  return SET_WEIGHT + positions.length
}
