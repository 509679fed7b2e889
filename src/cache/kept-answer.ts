// One answer in the cache: one object with all that is kept of it, since there may be a million.

import type { ReferencedAttribute } from '../kernel/read-log.ts'
import type { Answer } from '../kernel/verdict.ts'
import type { RecordedStep } from './read-collector.ts'
import type { Epoch } from './revocations.ts'
import type { Linked } from './second-chance.ts'
import type { Shape, ShapeTree } from './shape-tree.ts'
import type { UseBudget } from './use-budget.ts'
import type { VerdictEntry } from './verdict-entry.ts'

/** An answer but for its references, which are each request's own. */
export type Findings = Omit<Answer, 'referenced'>

/** An evaluated answer, with what limits its life. Times in ms on the monotonic clock. */
export interface StoredAnswer extends UseBudget {
  /** Its `validForMs`, `validUses`, `tier` and `ageMs` are filled in when it is served. */
  readonly answer: Findings
  /** What its evaluation read of the completed bag: the same for every request that it is found for. */
  readonly reads: readonly ReferencedAttribute[]
  readonly createdAt: number
  readonly freshUntil: number
  readonly epoch: Epoch
}

/** The answers of one set of rules: scopes are named by the digest of the rules that can fire, so they outlive config changes. */
export interface AnswerScope {
  readonly digest: string
  readonly shapes: ShapeTree<ShapeAnswers>
}

export class KeptAnswer implements StoredAnswer, Linked<KeptAnswer> {
  readonly answer: Findings
  readonly reads: readonly ReferencedAttribute[]
  readonly createdAt: number
  readonly freshUntil: number
  readonly epoch: Epoch
  readonly parts: readonly VerdictEntry[]
  readonly isUseBound: boolean
  usesLeft: number
  /** What was read, by which it is told from other answers of its shape. */
  readonly values: string
  readonly siblings: ShapeAnswers
  readonly bytes: number
  isUsed = false
  older: KeptAnswer | undefined = undefined
  newer: KeptAnswer | undefined = undefined

  constructor(stored: StoredAnswer, values: string, siblings: ShapeAnswers, bytes: number) {
    this.answer = stored.answer
    this.reads = stored.reads
    this.createdAt = stored.createdAt
    this.freshUntil = stored.freshUntil
    this.epoch = stored.epoch
    this.parts = stored.parts
    this.isUseBound = stored.isUseBound
    this.usesLeft = stored.usesLeft
    this.values = values
    this.siblings = siblings
    this.bytes = bytes
  }
}

/** The answers of one shape by the values that were read. Where predicates are all that is read there is only one. */
export class ShapeAnswers {
  readonly scope: AnswerScope
  readonly shape: Shape<ShapeAnswers>
  #plain: KeptAnswer | undefined
  #byValues: Map<string, KeptAnswer> | undefined

  constructor(scope: AnswerScope, shape: Shape<ShapeAnswers>) {
    this.scope = scope
    this.shape = shape
  }

  get(values: string): KeptAnswer | undefined {
    return values === '' ? this.#plain : this.#byValues?.get(values)
  }

  set(values: string, answer: KeptAnswer): void {
    if (values === '') this.#plain = answer
    else (this.#byValues ??= new Map()).set(values, answer)
  }

  delete(values: string): void {
    if (values === '') this.#plain = undefined
    else this.#byValues?.delete(values)
  }

  get isEmpty(): boolean {
    return this.#plain === undefined && (this.#byValues === undefined || this.#byValues.size === 0)
  }

  *all(): Iterable<KeptAnswer> {
    if (this.#plain !== undefined) yield this.#plain
    if (this.#byValues !== undefined) yield* this.#byValues.values()
  }
}

/** An answer with its own objects, and what each part, header and reference of it adds; see `test/cache/cache-memory.test.ts`. */
const ANSWER_BYTES = 420

/** Bytes that an answer takes, roughly, with its key. */
export function answerBytes({ answer, parts }: StoredAnswer, values: string): number {
  const headers = answer.requestHeaders.length + answer.responseHeaders.length
  const direct = answer.directResponse === undefined ? 0 : 256 + answer.directResponse.body.length
  return ANSWER_BYTES + values.length + answer.status.message.length + 8 * parts.length + 128 * headers + direct
}

/** What a step holds of a request beside its value: the key that an expression computed. */
export function keyLength(steps: readonly RecordedStep[]): number {
  let length = 0
  for (const { step } of steps) length += step.key?.length ?? 0
  return length
}
