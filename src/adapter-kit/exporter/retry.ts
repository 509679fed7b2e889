// The retry stage: makes of a failure what its class asks for. It waits for nothing itself: that is the queue's part.

import { IntermixError } from '../../kernel/errors.ts'
import type { Random } from '../../kernel/ports.ts'
import { failureClass } from './failure-class.ts'
import type { RetryLimits } from './limits.ts'
import type { Consume } from './sending-queue.ts'

/** The share of a delay that is left to chance, so that batches that failed together do not come back together. */
export const RETRY_JITTER = 0.5
/** A backend cannot ask for more patience than this at once, in milliseconds. */
const MAX_RETRY_AFTER_MS = 3_600_000

/** Hands a batch on; rejects with what it failed with. `before` counts earlier tries. */
export type Send<B> = (batch: B, before: number) => Promise<void>

export interface RetryOptions {
  readonly retries: RetryLimits
  readonly random: Random
  /** Whether there is time for another try; at the end of a process there is none. Default: always. */
  readonly mayRetry?: () => boolean
}

/** Permanent failures end at once, others after so many tries; throttled ones wait as long as the backend asks. */
export function retryByClass<B>(send: Send<B>, { retries, random, mayRetry }: RetryOptions): Consume<B> {
  return async (batch, before) => {
    try {
      await send(batch, before)
      return { kind: 'delivered' }
    } catch (error) {
      if (failureClass(error) === 'permanent') return { kind: 'ended', why: 'refused', error }
      if (before + 1 >= retries.attempts || mayRetry?.() === false) return { kind: 'ended', why: 'failed', error }
      const backoffMs = retries.firstDelayMs * 2 ** before * (1 - RETRY_JITTER * random())
      return { kind: 'again', afterMs: Math.max(backoffMs, patienceOf(error)), error }
    }
  }
}

function patienceOf(error: unknown): number {
  const asked = error instanceof IntermixError ? (error.retryAfterMs ?? 0) : 0
  return asked > 0 ? Math.min(asked, MAX_RETRY_AFTER_MS) : 0
}
