// Whole answers by what their evaluation read. An answer is found only for a bag that would lead the same evaluation
// through the same reads with the same values: under the same candidate rules (the scope), by the same path (the
// shape), with equal values (the key). It is never stale: when its time is over the rules are evaluated again, over
// handlers' verdicts that may well be cached still.

import { LRUCache } from 'lru-cache'
import { sharingSteps } from '../expression/steps.ts'
import type { AttributeBag } from '../kernel/attribute-bag.ts'
import type { ReferencedAttribute } from '../kernel/read-log.ts'
import type { Answer } from '../kernel/verdict.ts'
import type { Refusals } from './cache-metrics.ts'
import { MAX_STEPS, type RecordedStep } from './read-collector.ts'
import type { Epoch, Revocations } from './revocations.ts'
import { ShapeTree } from './shape-tree.ts'
import { type UseBudget, usesLeft } from './use-budget.ts'
import { spend } from './verdict-entry.ts'

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

export interface AnswerCacheOptions {
  readonly maxEntries: number
  readonly maxBytes: number
  readonly revocations: Revocations
  /** The oldest answer that may be served now, in ms. */
  maxAgeMs(): number
  readonly onEvict: () => void
  /** What was not kept, and why. */
  readonly refused: Refusals
}

const MAX_SCOPES = 4_096
const MAX_SHAPES = 64
/** Steps of one scope's shapes, and of those of all scopes: up to half a kilobyte each. */
const MAX_SCOPE_STEPS = 32_768
const MAX_ALL_STEPS = 131_072

/** A scope's shapes: scopes are named by the digest of the rules that can fire, so they outlive config changes. */
export interface AnswerScope {
  readonly digest: string
  readonly id: number
  readonly shapes: ShapeTree
}

export class AnswerCache {
  readonly #options: AnswerCacheOptions
  readonly #scopes: LRUCache<string, AnswerScope>
  readonly #answers: LRUCache<string, StoredAnswer>
  readonly #maxAnswerBytes: number
  #scopeIds = 0
  #steps = 0

  constructor(options: AnswerCacheOptions) {
    this.#options = options
    this.#maxAnswerBytes = Math.max(8192, Math.floor(options.maxBytes / 100))
    this.#scopes = new LRUCache({
      max: MAX_SCOPES,
      // A plan may hold its scope still: it starts anew.
      dispose: ({ shapes }) => {
        this.#steps -= shapes.steps
        shapes.clear()
      },
    })
    this.#answers = new LRUCache({
      max: options.maxEntries,
      maxSize: options.maxBytes,
      dispose: (_answer, _key, reason) => {
        if (reason === 'evict') options.onEvict()
      },
    })
  }

  get size(): number {
    return this.#answers.size
  }

  get bytes(): number {
    return this.#answers.calculatedSize
  }

  /** The scope for a set of rules; the same digest gives the same scope while it is kept. */
  scope(digest: string): AnswerScope {
    let scope = this.#scopes.get(digest)
    if (scope === undefined) {
      scope = { digest, id: ++this.#scopeIds, shapes: new ShapeTree(MAX_SHAPES, MAX_SCOPE_STEPS) }
      this.#scopes.set(digest, scope)
    }
    return scope
  }

  /**
   * Finds a servable answer and spends one use of it.
   * @param handlers names of the handlers that the scope's rules can call
   */
  find(scope: AnswerScope, bag: AttributeBag, handlers: readonly string[], now: number): StoredAnswer | undefined {
    const probe = (key: string) => {
      const stored = this.#answers.get(`${scope.id}|${key}`)
      if (stored === undefined || !this.#servable(stored, bag, handlers, now)) return undefined
      stored.usesLeft--
      for (const part of stored.parts) spend(part, now)
      return stored
    }
    // As many steps as the rules may take: the questions on the way are theirs.
    return sharingSteps(() => scope.shapes.find(bag, probe))
  }

  /** Stores an answer under the shape of its own evaluation, unless that or the answer is too large; then it is counted. */
  store(scope: AnswerScope, steps: readonly RecordedStep[], stored: StoredAnswer): void {
    if (steps.length > MAX_STEPS) return this.#options.refused.reads.add()
    const bytes = answerBytes(stored, steps)
    if (bytes > this.#maxAnswerBytes) return this.#options.refused.size.add()
    const kept = this.#scopes.get(scope.digest)
    // A scope that was forgotten starts anew, unless another of its kind has done so already.
    if (kept === undefined) this.#scopes.set(scope.digest, scope)
    else if (kept !== scope) return
    const before = scope.shapes.steps
    const key = `${scope.id}|${scope.shapes.keyFor(steps)}`
    this.#steps += scope.shapes.steps - before
    while (this.#steps > MAX_ALL_STEPS && this.#scopes.size > 1) this.#scopes.pop()
    this.#answers.set(key, stored, { size: bytes })
  }

  clear(): void {
    this.#answers.clear()
    this.#scopes.clear()
  }

  #servable(stored: StoredAnswer, bag: AttributeBag, handlers: readonly string[], now: number): boolean {
    if (now >= stored.freshUntil || usesLeft(stored) <= 0) return false
    return (
      this.#options.revocations.allows(stored.epoch, handlers, bag) &&
      now - stored.createdAt <= this.#options.maxAgeMs()
    )
  }
}

/** Bytes that an answer takes, roughly, with its key. */
function answerBytes({ answer, reads }: StoredAnswer, steps: readonly RecordedStep[]): number {
  const headers = answer.requestHeaders.length + answer.responseHeaders.length
  const direct = answer.directResponse === undefined ? 0 : 256 + answer.directResponse.body.length
  let key = 32
  for (const { value, step } of steps) key += value.length + (step.key?.length ?? 0)
  return 512 + 2 * (key + answer.status.message.length) + 128 * (headers + reads.length) + direct
}
