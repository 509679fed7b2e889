// The retry stage: makes of an answer, or a failure, what its class asks for. It waits for nothing itself: that is the
// queue's part.

import { IntermixError } from '../../kernel/errors.ts'
import type { Clock, Random } from '../../kernel/ports.ts'
import type { ReportResult } from '../define-adapter.ts'
import { failureClass, isAnswer } from './failure-class.ts'
import type { RetryLimits } from './limits.ts'
import type { Pace } from './pace.ts'
import { halvesOf, partOf, type Parts } from './parts.ts'
import type { Again, Attempt, Consume, Ended, Hold, Outcome } from './sending-queue.ts'

/** A backend cannot ask for more patience than this at once, in milliseconds. */
const MAX_RETRY_AFTER_MS = 3_600_000

/** Hands a batch on; rejects with what it failed with. */
export type Send<B> = (batch: B) => Promise<ReportResult | undefined>

export interface RetryOptions {
  readonly clock: Clock
  readonly random: Random
  readonly retries: RetryLimits
  /** Whether a batch that fails holds up those behind it. */
  readonly ordered?: boolean
  /** Whether there is time for another try; at the end of a process there is none. Default: always. */
  readonly mayRetry?: () => boolean
  /** Hears how the backend is, and says when it should rest. */
  readonly pace?: Pace
}

/**
 * Permanent failures end at once, others when the batch is too old; a throttled one has the whole queue wait as asked, and
 * one that is too large goes on in halves.
 */
export function retryByClass<B>(send: Send<B>, parts: Parts<B>, options: RetryOptions): Consume<B> {
  const { clock, pace } = options
  return async (batch, attempt) => {
    const startedAt = clock.monotonic()
    try {
      const part = partOf(batch, await send(batch), parts)
      pace?.answered()
      if (part === undefined) return { kind: 'delivered' }
      if (parts.size(part.rest) === 0) return part
      const next = later(new IntermixError('BACKEND_FAILED', 'the backend asks for a part again'), 0, attempt, options)
      if (next.kind !== 'ended') return { ...part, next }
      const rest = parts.pick(part.rest, [], 'p') ?? part.rest
      return { ...part, ended: [...part.ended, { batch: part.rest, outcome: next }], rest }
    } catch (error) {
      if (!isAnswer(error)) return later(error, pace?.failed(startedAt) ?? 0, attempt, options)
      pace?.answered()
      const halves = failureClass(error) === 'too-large' ? halvesOf(batch, parts) : undefined
      return halves ?? { kind: 'ended', why: 'refused', error }
    }
  }
}

/** The same for a task that is done or fails as a whole. */
export function retryWhole<B>(task: (batch: B, attempt: Attempt) => Promise<void>, options: RetryOptions): Consume<B> {
  return async (batch, attempt): Promise<Outcome<B>> => {
    try {
      await task(batch, attempt)
      return { kind: 'delivered' }
    } catch (error) {
      return isAnswer(error) ? { kind: 'ended', why: 'refused', error } : later(error, 0, attempt, options)
    }
  }
}

function later(
  error: unknown,
  restMs: number,
  { before, ageMs }: Attempt,
  options: RetryOptions,
): Again | Hold | Ended {
  const { retries, random, ordered = false, mayRetry } = options
  if (ageMs >= retries.maxAgeMs || mayRetry?.() === false) return { kind: 'ended', why: 'failed', error }
  const pauseMs = Math.max(patienceOf(error), restMs)
  const afterMs = Math.max(delayOf(before, retries, random), patienceOf(error))
  if (ordered) return { kind: 'hold', afterMs: Math.max(afterMs, pauseMs), error }
  return { kind: 'again', afterMs, error, ...(pauseMs > 0 ? { pauseMs } : {}) }
}

// "Full jitter": Brooker, Exponential Backoff and Jitter (AWS Architecture Blog, 2015).
function delayOf(before: number, { firstDelayMs, maxDelayMs }: RetryLimits, random: Random): number {
  return random() * Math.min(maxDelayMs, firstDelayMs * 2 ** before)
}

function patienceOf(error: unknown): number {
  const asked = error instanceof IntermixError ? (error.retryAfterMs ?? 0) : 0
  return asked > 0 ? Math.min(asked, MAX_RETRY_AFTER_MS) : 0
}
