// The retry stage: makes of a failure what its class asks for. It waits for nothing itself: that is the queue's part.

import { IntermixError } from '../../kernel/errors.ts'
import type { Random } from '../../kernel/ports.ts'
import { failureClass } from './failure-class.ts'
import type { RetryLimits } from './limits.ts'
import type { Attempt, Consume } from './sending-queue.ts'

/** A backend cannot ask for more patience than this at once, in milliseconds. */
const MAX_RETRY_AFTER_MS = 3_600_000

/** Hands a batch on; rejects with what it failed with. */
export type Send<B> = (batch: B, attempt: Attempt) => Promise<void>

export interface RetryOptions {
  readonly retries: RetryLimits
  readonly random: Random
  /** Whether a batch that fails holds up those behind it. */
  readonly ordered?: boolean
  /** Whether there is time for another try; at the end of a process there is none. Default: always. */
  readonly mayRetry?: () => boolean
}

/** Permanent failures end at once, others when the batch is too old; a throttled one has the whole queue wait as asked. */
export function retryByClass<B>(send: Send<B>, options: RetryOptions): Consume<B> {
  const { retries, random, mayRetry, ordered = false } = options
  return async (batch, attempt) => {
    try {
      await send(batch, attempt)
      return { kind: 'delivered' }
    } catch (error) {
      if (failureClass(error) === 'permanent') return { kind: 'ended', why: 'refused', error }
      const isTooOld = attempt.ageMs >= retries.maxAgeMs
      if (isTooOld || mayRetry?.() === false) return { kind: 'ended', why: 'failed', error }
      const pauseMs = patienceOf(error)
      const afterMs = Math.max(delayOf(attempt.before, retries, random), pauseMs)
      if (ordered) return { kind: 'hold', afterMs, error }
      return { kind: 'again', afterMs, error, ...(pauseMs > 0 ? { pauseMs } : {}) }
    }
  }
}

// "Full jitter": Brooker, Exponential Backoff and Jitter (AWS Architecture Blog, 2015).
function delayOf(before: number, { firstDelayMs, maxDelayMs }: RetryLimits, random: Random): number {
  return random() * Math.min(maxDelayMs, firstDelayMs * 2 ** before)
}

function patienceOf(error: unknown): number {
  const asked = error instanceof IntermixError ? (error.retryAfterMs ?? 0) : 0
  return asked > 0 ? Math.min(asked, MAX_RETRY_AFTER_MS) : 0
}
