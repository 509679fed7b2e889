// The timeout stage: a call that has a deadline, whether or not the adapter heeds the signal.

import { within } from '../../kernel/deadline.ts'
import { IntermixError } from '../../kernel/errors.ts'
import type { Clock } from '../../kernel/ports.ts'
import type { CallContext, ReportResult } from '../define-adapter.ts'
import type { Send } from './retry.ts'

/** Sends a batch once. May throw at once or reject; what it returns says which instances were not taken. */
export type Push<B> = (batch: B, call: CallContext) => Answer | Promise<Answer>

type Answer = ReportResult | undefined | void

export interface TimeoutOptions {
  readonly clock: Clock
  /** Milliseconds for one call. */
  readonly timeoutMs: number
  /** Who is called, for the error. */
  readonly name: string
}

/** Rejects with DEADLINE_EXCEEDED when the time is over, and aborts the call. */
export function withTimeout<B>(push: Push<B>, { clock, timeoutMs, name }: TimeoutOptions): Send<B> {
  return async (batch) => {
    const abort = new AbortController()
    const call = { signal: abort.signal, deadline: clock.monotonic() + timeoutMs }
    const answer = await within(clock, timeoutMs, promised(push, batch, call), () => {
      const error = new IntermixError('DEADLINE_EXCEEDED', `${name} took longer than ${timeoutMs} ms`)
      abort.abort(error)
      throw error
    })
    return answer ?? undefined
  }
}

// A synchronous throw becomes a rejection.
async function promised<B>(push: Push<B>, batch: B, call: CallContext): Promise<Answer> {
  return push(batch, call)
}
