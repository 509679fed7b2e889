// Whole answers by what their evaluation read. An answer is found only for a bag that would lead the same evaluation
// through the same reads with the same values: under the same candidate rules (the scope), by the same path (the
// shape), with equal values (the key). It is never stale: when its time is over the rules are evaluated again, over
// handlers' verdicts that may well be cached still.

import { sharingSteps } from '../expression/steps.ts'
import type { AttributeBag } from '../kernel/attribute-bag.ts'
import type { Refusals } from './cache-metrics.ts'
import {
  type AnswerScope,
  answerBytes,
  answerKey,
  type Findings,
  type FoundAnswer,
  KeptAnswer,
  keyLength,
  ShapeAnswers,
  type StoredAnswer,
  type Upkeep,
} from './kept-answer.ts'
import type { LookupWatch } from './lookup-watch.ts'
import { MAX_STEPS, type RecordedStep } from './read-collector.ts'
import type { Revocations } from './revocations.ts'
import { SecondChance } from './second-chance.ts'
import { ShapeTree } from './shape-tree.ts'
import { usesLeft } from './use-budget.ts'
import { partBytes, spend } from './verdict-entry.ts'

export type { AnswerScope, Findings, FoundAnswer, StoredAnswer, Upkeep }

/** How an answer is looked for. */
export interface FindOptions {
  /** What is known of the request, as far as revocations go; the bag unless given. */
  readonly known?: AttributeBag
  /** Whether it may be beyond its life, within what its upkeep allows. */
  readonly stale?: boolean
  /** Whether one that was charged, or refused by a limit, will not do. */
  readonly uncharged?: boolean
}

const FRESH: FindOptions = {}

export interface Replacement {
  readonly kept: StoredAnswer
  readonly former: StoredAnswer | undefined
}

export interface AnswerCacheOptions {
  readonly maxEntries: number
  /** Of answers with all that they are found by. */
  readonly maxBytes: number
  readonly revocations: Pick<Revocations, 'allows'>
  /** The oldest answer that may be served now, in ms. */
  maxAgeMs(): number
  /** Called for each answer that room was made from. */
  readonly onEvict: () => void
  /** What was not kept, and why. */
  readonly refused: Refusals
  /** Hears of look-ups and of what they found. */
  readonly watch?: LookupWatch | undefined
}

/** What a scope, and a shape, take of memory beside their tree, in bytes. */
const SCOPE_BYTES = 600
const SHAPE_BYTES = 300

export class AnswerCache {
  readonly #options: AnswerCacheOptions
  /** Those with answers. */
  readonly #scopes = new Map<string, AnswerScope>()
  readonly #kept = new SecondChance<KeptAnswer>()
  #maxBytes: number
  #maxAnswerBytes = 0
  #shapes = 0
  #treeBytes = 0
  /** Of the verdicts that answers are made of, each once. */
  #partBytes = 0

  constructor(options: AnswerCacheOptions) {
    this.#options = options
    this.#maxBytes = options.maxBytes
    this.maxBytes = options.maxBytes
  }

  /** Of the bytes, the share that answers take by themselves. */
  get density(): number {
    return this.size === 0 ? 1 : this.#kept.bytes / this.bytes
  }

  get maxBytes(): number {
    return this.#maxBytes
  }

  /** Sets another bound; what is too much goes at once. */
  set maxBytes(bytes: number) {
    this.#maxBytes = bytes
    this.#makeRoom()
    this.#maxAnswerBytes = Math.max(8192, Math.floor(bytes / 100))
  }

  get size(): number {
    return this.#kept.size
  }

  /** Ways in which evaluations went that gave the answers. */
  get shapes(): number {
    return this.#shapes
  }

  /**
   * What the answers take of memory with all that they are found by, roughly. The verdicts that they are made of are a part of it:
   * answers hold what the tier of verdicts has dropped.
   */
  get bytes(): number {
    const { bytes } = this.#kept
    return bytes + this.#partBytes + this.#treeBytes + SHAPE_BYTES * this.#shapes + SCOPE_BYTES * this.#scopes.size
  }

  /** The scope for a set of rules; the same digest gives the same scope while there are answers in it. */
  scope(digest: string): AnswerScope {
    return this.#scopes.get(digest) ?? { digest, shapes: new ShapeTree() }
  }

  /**
   * Finds a servable answer and spends one use of it.
   * @param handlers names of the handlers that the scope's rules can call
   */
  find(
    scope: AnswerScope,
    bag: AttributeBag,
    handlers: readonly string[],
    now: number,
    options: FindOptions = FRESH,
  ): FoundAnswer | undefined {
    const { known = bag } = options
    const probe = (answers: ShapeAnswers, values: string) => {
      const kept = answers.get(answerKey(values))
      if (kept === undefined || !this.#servable(kept, known, handlers, now, options)) return undefined
      kept.isUsed = true
      kept.usesLeft--
      const { watch } = this.#options
      if (options.stale !== true && watch?.found(kept.fingerprint) === true)
        watch.sampled(kept.fingerprint, kept.bytes, kept.freshUntil)
      for (const part of kept.parts) spend(part, now)
      return kept
    }
    // As many steps as the rules may take: the questions on the way are theirs.
    return sharingSteps(() => scope.shapes.find(bag, probe))
  }

  /**
   * Stores an answer under the shape of its own evaluation, unless that or the answer is too large; then it is counted.
   * @param isAsked whether it was looked for and not found; else it is there ahead of need
   * @returns the answer as it is kept, and the one whose place it takes
   */
  store(
    scope: AnswerScope,
    steps: readonly RecordedStep[],
    stored: StoredAnswer,
    isAsked = true,
  ): Replacement | undefined {
    if (steps.length > MAX_STEPS) {
      this.#options.refused.reads.add()
      return undefined
    }
    let values = ''
    for (const { value } of steps) values += value
    const key = answerKey(values)
    const bytes = answerBytes(stored, key)
    if (bytes + 4 * keyLength(steps) > this.#maxAnswerBytes) {
      this.#options.refused.size.add()
      return undefined
    }
    if (!this.#scopes.has(scope.digest)) this.#scopes.set(scope.digest, scope)
    const siblings = this.#answersFor(scope, steps)
    const former = siblings.get(key)
    if (former !== undefined) this.#remove(former)
    const { watch } = this.#options
    const fingerprint = watch === undefined ? 0 : siblings.fingerprintOf(key)
    watch?.stored(fingerprint, bytes, stored.freshUntil, isAsked, former?.freshUntil)
    const kept = new KeptAnswer(stored, key, siblings, bytes, fingerprint)
    siblings.set(kept)
    this.#add(kept)
    // It is not to make room for itself.
    kept.isUsed = true
    this.#makeRoom()
    kept.isUsed = false
    return { kept, former }
  }

  clear(): void {
    for (let kept = this.#kept.victim(); kept !== undefined; kept = this.#kept.victim()) this.#drop(kept)
    this.#options.watch?.cleared()
  }

  #answersFor(scope: AnswerScope, steps: readonly RecordedStep[]): ShapeAnswers {
    const { shapes } = scope
    const before = shapes.bytes
    // Where another way of the evaluation makes room for this one, its answers go.
    const { kept } = shapes.add(
      steps,
      (shape) => {
        this.#shapes++
        return new ShapeAnswers(scope, shape)
      },
      this.#forget,
    )
    this.#treeBytes += shapes.bytes - before
    return kept
  }

  /** Of a shape that is in its tree no more. */
  readonly #forget = (answers: ShapeAnswers): void => {
    this.#shapes--
    for (const kept of answers.all()) {
      this.#remove(kept)
      this.#options.onEvict()
    }
  }

  #add(kept: KeptAnswer): void {
    this.#kept.add(kept)
    for (const part of kept.parts) if (part.answers++ === 0) this.#partBytes += partBytes(part)
  }

  #remove(kept: KeptAnswer): void {
    this.#kept.remove(kept)
    for (const part of kept.parts) if (--part.answers === 0) this.#partBytes -= partBytes(part)
  }

  #makeRoom(): void {
    const { maxEntries, onEvict } = this.#options
    while (this.size > 1 && (this.size > maxEntries || this.bytes > this.#maxBytes)) {
      const victim = this.#kept.victim()
      if (victim === undefined) return
      this.#drop(victim)
      onEvict()
    }
  }

  #drop(kept: KeptAnswer): void {
    const { siblings } = kept
    this.#remove(kept)
    siblings.delete(kept)
    if (!siblings.isEmpty) return
    const { scope, shape } = siblings
    const { shapes } = scope
    this.#treeBytes -= shapes.bytes
    shapes.remove(shape)
    this.#treeBytes += shapes.bytes
    this.#shapes--
    if (shapes.size === 0 && this.#scopes.get(scope.digest) === scope) this.#scopes.delete(scope.digest)
  }

  #servable(
    stored: StoredAnswer,
    bag: AttributeBag,
    handlers: readonly string[],
    now: number,
    { stale, uncharged }: FindOptions,
  ): boolean {
    const until = stale === true ? (stored.upkeep?.staleUntil ?? stored.freshUntil) : stored.freshUntil
    if (uncharged === true && stored.upkeep?.isCharged === true) return false
    if (now >= until) return false
    // Those that nobody meant to bound have another one asked for, and serve on where there is none.
    if (usesLeft(stored) <= 0 && (stale !== true || stored.isUseBound)) return false
    return (
      this.#options.revocations.allows(stored.epoch, handlers, bag) &&
      now - stored.createdAt <= this.#options.maxAgeMs()
    )
  }
}
