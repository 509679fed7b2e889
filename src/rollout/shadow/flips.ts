// Counts requests of which two versions of a config say different things, with some examples.

import type { AttributeBag } from '../../kernel/attribute-bag.ts'
import { encodeValue } from '../../kernel/value-json.ts'
import type { Masking } from '../masking.ts'
import type { Judgement, JudgementKind } from './dry-check.ts'

/** Requests whose verdict by the candidate was another one. */
export interface CountedFlip {
  readonly from: JudgementKind
  readonly to: JudgementKind
  /** Full name of the rule that made the difference; empty where none can be named. */
  readonly rule: string
  readonly count: number
  /** Attributes of some of the requests as JSON, masked and cut. */
  readonly examples: readonly string[]
}

/** Kinds of flips that are told apart by their rule; further ones have none. */
const MAX_FLIPS = 49
const MAX_EXAMPLES = 3
const MAX_EXAMPLE = 400

export class Flips {
  readonly #masking: Masking
  readonly #found = new Map<string, { readonly flip: Omit<CountedFlip, 'count'>; count: number; examples: string[] }>()

  constructor(masking: Masking) {
    this.#masking = masking
  }

  add(stable: Judgement, candidate: Judgement, bag: AttributeBag): void {
    const { kind: from } = stable
    const { kind: to } = candidate
    // What is denied by the candidate its rule denies; what is not denied any more some rule denied before.
    const name = (candidate.rule ?? stable.rule)?.name ?? ''
    const rule = this.#found.size < MAX_FLIPS || this.#found.has(`${from} ${to} ${name}`) ? name : ''
    const id = `${from} ${to} ${rule}`
    let found = this.#found.get(id)
    if (found === undefined) {
      const examples: string[] = []
      this.#found.set(id, (found = { flip: { from, to, rule, examples }, count: 0, examples }))
    }
    found.count++
    if (found.examples.length < MAX_EXAMPLES) found.examples.push(this.#example(bag))
  }

  /** The most frequent ones first. */
  list(): readonly CountedFlip[] {
    return [...this.#found.values()]
      .map(({ flip, count, examples }) => ({ ...flip, count, examples: [...examples] }))
      .toSorted((a, b) => b.count - a.count)
  }

  #example(bag: AttributeBag): string {
    const shown: Record<string, unknown> = {}
    for (const name of bag.names()) {
      const value = bag.get(name)
      if (value !== undefined) shown[name] = encodeValue(this.#masking.mask(name, value))
    }
    return JSON.stringify(shown).slice(0, MAX_EXAMPLE)
  }
}
