// One answer in the cache: one object with all that is kept of it, since there may be a million.

import type { AskedQuestion } from '../kernel/answer-shape.ts'
import { crypto } from '../kernel/late-modules.ts'
import type { ReferencedAttribute } from '../kernel/read-log.ts'
import type { Answer } from '../kernel/verdict.ts'
import type { RecordedStep } from './read-collector.ts'
import type { Epoch } from '../kernel/revocation.ts'
import type { Linked } from './second-chance.ts'
import { textBytes } from './text-bytes.ts'
import { textHash } from './text-hash.ts'
import type { PathStep, Shape, ShapeTree } from './shape-tree.ts'
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
  /** Of answers that their keeper keeps up to date. */
  readonly upkeep?: Upkeep | undefined
}

/** What a keeper that cannot evaluate remembers of an answer, to have another one before or after its end. */
export interface Upkeep {
  /** Until when it may be given where nobody can be asked for another one. In ms on the monotonic clock. */
  readonly staleUntil: number
  /** From when on another one is to be asked for ahead of its end; infinity while that is under way. */
  refreshAt: number
  /** Whether its uses were paid for: another one is to be asked for when few are left. */
  readonly isPaid: boolean
  /** What it was told to depend on, under the rules that were chosen. */
  readonly asked: readonly AskedQuestion[]
  /** Whether it says what became of quotas of its own request: it paid for them, or one of them was used up. */
  readonly isCharged: boolean
}

/** A stored answer that was found again. */
export interface FoundAnswer extends StoredAnswer {
  /** The way that its evaluation went. */
  readonly steps: readonly PathStep[]
}

/** The answers of one set of rules: scopes are named by the digest of the rules that can fire, so they outlive config changes. */
export interface AnswerScope {
  readonly digest: string
  readonly shapes: ShapeTree<ShapeAnswers>
}

export class KeptAnswer implements FoundAnswer, Linked<KeptAnswer> {
  readonly answer: Findings
  readonly reads: readonly ReferencedAttribute[]
  // Whole milliseconds, as in verdicts.
  readonly createdAt: number
  readonly freshUntil: number
  readonly epoch: Epoch
  readonly parts: readonly VerdictEntry[]
  readonly isUseBound: boolean
  readonly upkeep: Upkeep | undefined
  usesLeft: number
  /** By which it is told from other answers of its shape. */
  readonly key: string
  readonly siblings: ShapeAnswers
  readonly bytes: number
  /** A hash of all that it is found by; 0 where nobody wants to know. */
  readonly fingerprint: number
  isUsed = false
  older: KeptAnswer | undefined = undefined
  newer: KeptAnswer | undefined = undefined

  constructor(stored: StoredAnswer, key: string, siblings: ShapeAnswers, bytes: number, fingerprint: number) {
    this.answer = siblings.shared(stored.answer)
    this.reads = stored.reads
    this.createdAt = Math.floor(stored.createdAt)
    this.freshUntil = Math.floor(stored.freshUntil)
    this.epoch = stored.epoch
    this.parts = stored.parts
    this.isUseBound = stored.isUseBound
    this.upkeep = stored.upkeep
    this.usesLeft = stored.usesLeft
    this.key = flat(key)
    this.siblings = siblings
    this.bytes = bytes
    this.fingerprint = fingerprint
  }

  get steps(): readonly PathStep[] {
    return this.siblings.shape.steps
  }
}

/** The answers of one shape by their keys. Where predicates are all that is read there is only one. */
export class ShapeAnswers {
  readonly scope: AnswerScope
  readonly shape: Shape<ShapeAnswers>
  #plain: KeptAnswer | undefined
  #byKey: Map<string, KeptAnswer> | undefined
  #latest: Findings | undefined
  #fingerprint: number | undefined

  constructor(scope: AnswerScope, shape: Shape<ShapeAnswers>) {
    this.scope = scope
    this.shape = shape
  }

  get(key: string): KeptAnswer | undefined {
    return key === '' ? this.#plain : this.#byKey?.get(key)
  }

  set(answer: KeptAnswer): void {
    if (answer.key === '') this.#plain = answer
    else (this.#byKey ??= new Map()).set(answer.key, answer)
  }

  delete({ key }: KeptAnswer): void {
    if (key === '') this.#plain = undefined
    else this.#byKey?.delete(key)
  }

  /** A hash of an answer of this shape with this key. */
  fingerprintOf(key: string): number {
    this.#fingerprint ??= this.shape.steps.reduce(
      (hash, { step, outcome }) => textHash(`${step.id} ${outcome}`, hash),
      textHash(this.scope.digest, 0),
    )
    return textHash(key, this.#fingerprint)
  }

  /** Most answers of a shape say the same as the one before: then they are the same object. */
  shared(answer: Findings): Findings {
    if (this.#latest !== undefined && isAlike(this.#latest, answer)) return this.#latest
    this.#latest = answer
    return answer
  }

  get isEmpty(): boolean {
    return this.#plain === undefined && (this.#byKey === undefined || this.#byKey.size === 0)
  }

  *all(): Iterable<KeptAnswer> {
    if (this.#plain !== undefined) yield this.#plain
    if (this.#byKey !== undefined) yield* this.#byKey.values()
  }
}

/** In all that is given of a kept answer: its times, uses and tier are told anew each time. */
function isAlike(one: Findings, two: Findings): boolean {
  return (
    one.status.code === two.status.code &&
    one.status.message === two.status.message &&
    one.requestHeaders.length + one.responseHeaders.length === 0 &&
    two.requestHeaders.length + two.responseHeaders.length === 0 &&
    one.directResponse === two.directResponse &&
    one.deniedBy?.rule === two.deniedBy?.rule &&
    one.deniedBy?.handler === two.deniedBy?.handler
  )
}

/**
 * V8 tells texts of more than 16,383 characters apart by their length alone when it looks for their place in a map: thousands of such
 * values would be compared one by one for each request.
 */
const LONGEST_KEY = 2_048

/** What answers of a shape are found by: the values that were read, or, of long ones, a digest, which no value looks like. */
export function answerKey(values: string): string {
  if (values.length <= LONGEST_KEY) return values
  // Each character counts, also half of a pair, which UTF-8 has no bytes for.
  return `#${crypto().hash('sha256', Buffer.from(values, 'utf16le'), 'base64url')}`
}

/** The text in one piece: V8 puts texts together by reference, and keeps the pieces. */
function flat(text: string): string {
  const bytes = Buffer.from(text, 'latin1')
  const copy = bytes.toString('latin1')
  // Characters beyond a byte are cut off there.
  return copy === text ? copy : text
}

/** What is measured by `test/cache/cache-memory.test.ts`: an answer with its place, and what one that denies adds. */
const ANSWER_BYTES = 270
const DENIAL_BYTES = 300

const HEADER_BYTES = 128

/** Bytes that an answer takes, roughly, with its key and without its parts. Answers of a shape that say the same share what they say. */
export function answerBytes({ answer, parts }: StoredAnswer, key: string): number {
  const { requestHeaders, responseHeaders, directResponse: direct, status } = answer
  let bytes = ANSWER_BYTES + textBytes(key) + 8 * parts.length
  if (status.code !== 0 || requestHeaders.length + responseHeaders.length > 0)
    bytes += DENIAL_BYTES + textBytes(status.message)
  for (const { value } of requestHeaders) bytes += HEADER_BYTES + textBytes(value)
  for (const { value } of responseHeaders) bytes += HEADER_BYTES + textBytes(value)
  if (direct === undefined) return bytes
  bytes += 256 + textBytes(direct.body)
  for (const [name, value] of Object.entries(direct.headers)) bytes += HEADER_BYTES + textBytes(name) + textBytes(value)
  return bytes
}

/** What a step holds of a request beside its value: the key that an expression computed. */
export function keyLength(steps: readonly RecordedStep[]): number {
  let length = 0
  for (const { step } of steps) length += step.key?.length ?? 0
  return length
}
