// Which answers are kept, for how long, and whether one may be given now.

import { Judge } from '../cache/answer-cache'
import { Chosen } from '../cache/chosen'
import { KeptAnswer } from '../cache/kept-answer'
import { ToldAnswer } from '../node/told'
import { Touch } from '../node/touch'
import { Request } from '../request/request'
import { Question } from '../shape/question'
import { NOT_KEPT_LIFE, NOT_KEPT_MISMATCH, NOT_KEPT_SHAPE, NOT_KEPT_UNREAD } from '../shared/counters'
import { Code } from '../shared/http-status'

/** Of the life that is left when an answer comes, the part after which another one is asked for. */
const REFRESH_AFTER: f64 = 0.8

/** Whether a kept answer may be given, and which one was found that may not. */
export class Keeper extends Judge {
  private now: f64 = 0
  private isStale: bool = false
  private maxAgeMs: f64 = 0
  /** One was found whose uses have been paid for and have ended. */
  isPaidFor: bool = false

  constructor(private readonly touch: Touch) {
    super()
  }

  /** Begins a search. @param isStale also for answers beyond their life, within the bound that their node has told */
  begin(now: f64, isStale: bool): void {
    this.now = now
    this.isStale = isStale
    this.maxAgeMs = this.touch.maxAgeMs(now)
    this.isPaidFor = false
  }

  allows(kept: KeptAnswer, chosen: Chosen, request: Request): bool {
    // What hangs on what was charged is of no use beyond its time.
    const until = this.isStale && !kept.isPaid ? kept.staleUntil : kept.freshUntil
    const isUsedUp = kept.usesLeft <= 0 && !(this.isStale && kept.usesUnbound)
    if (this.now >= until || isUsedUp) {
      if (kept.isPaid) this.isPaidFor = true
      return false
    }
    return this.now - kept.createdAt <= this.maxAgeMs && this.touch.allows(kept, chosen, request)
  }
}

/** What is kept of an answer; `null` for one that has no life left here, or that the node says nothing of. */
export function keptOf(told: ToldAnswer, askedAt: f64, now: f64): KeptAnswer | null {
  // Its life counts from when it was asked for: nothing is known of how long it was on its way.
  const freshUntil = askedAt + told.validForMs
  if (told.shape === null) {
    NOT_KEPT_SHAPE.add()
    return null
  }
  if (freshUntil <= now || told.validUses <= 0) {
    NOT_KEPT_LIFE.add()
    return null
  }
  const kept = new KeptAnswer(told.answer)
  kept.generation = told.generation
  kept.sequence = told.sequence
  kept.createdAt = askedAt - told.ageMs
  kept.freshUntil = freshUntil
  kept.staleUntil = freshUntil + told.staleForMs
  kept.usesLeft = told.validUses
  kept.isPaid = told.isPaid
  kept.usesUnbound = told.usesUnbound && !told.isPaid
  // Whether a quota has room again is for those to ask that pay for it.
  const isRefusal = told.answer.code === Code.RESOURCE_EXHAUSTED
  kept.refreshAt = isRefusal ? Infinity : now + (freshUntil - now) * REFRESH_AFTER
  return kept
}

/** The questions that requests answer differently; `null` where this request does not answer as the node was answered. */
export function asked(questions: Array<Question>, outcomes: Array<i32>, request: Request): Array<Question> | null {
  const found: Array<Question> = []
  for (let i = 0; i < questions.length; i++) {
    const question = questions[i]
    if (question.isFixed) continue
    if (question.isUnread) {
      NOT_KEPT_UNREAD.add()
      return null
    }
    if (!question.agrees(question.answer(request), outcomes[i])) {
      NOT_KEPT_MISMATCH.add()
      return null
    }
    found.push(question)
  }
  return found
}
