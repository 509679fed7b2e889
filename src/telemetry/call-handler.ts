// One call of a report handler: bounded in time, and every failure told apart into "try again" and "never".

import type { Handler, ReportContext } from '../adapter-kit/define-adapter.ts'
import type { Instance } from '../adapter-kit/instance.ts'
import { within } from '../kernel/deadline.ts'
import { IntermixError } from '../kernel/errors.ts'
import type { Clock } from '../kernel/ports.ts'
import type { DeliverBatch } from './deliver-batch.ts'

/** How often a batch is tried, and the delay before the second try; it doubles each time, less up to half at random. */
export interface Retries {
  readonly attempts: number
  readonly firstDelayMs: number
}

export const DEFAULT_RETRIES: Retries = { attempts: 8, firstDelayMs: 1000 }
export const RETRY_JITTER = 0.5

/**
 * Hands a batch to a handler and waits at most `timeoutMs`, whether or not the handler heeds the signal.
 * @throws what the handler threw, or IntermixError: DEADLINE_EXCEEDED, or INVALID_CONFIG for a template that the handler
 * does not take.
 */
export async function callHandler(
  handler: Handler,
  batch: DeliverBatch,
  { clock, timeoutMs }: { readonly clock: Clock; readonly timeoutMs: number },
): Promise<void> {
  const reports = handler.report as ReportFunctions | undefined
  if (reports?.[batch.template] === undefined) {
    throw new IntermixError('INVALID_CONFIG', `handler ${batch.handler} does not take template ${batch.template}`)
  }
  const abort = new AbortController()
  const context = { signal: abort.signal, deadline: clock.monotonic() + timeoutMs, batchId: batch.id }
  await within(clock, timeoutMs, invoke(reports, batch, context), () => {
    const error = new IntermixError('DEADLINE_EXCEEDED', `handler ${batch.handler} took longer than ${timeoutMs} ms`)
    abort.abort(error)
    throw error
  })
}

type ReportFunctions = Readonly<
  Record<string, (instances: readonly Instance[], context: ReportContext) => void | Promise<void>>
>

// Called as a method, so that handlers may be classes; a synchronous throw becomes a rejection.
async function invoke(reports: ReportFunctions, batch: DeliverBatch, context: ReportContext): Promise<void> {
  await reports[batch.template]?.(batch.instances, context)
}

/** Whether no further try can help. Errors of unknown kind may be passing ones. */
export function isPermanent(error: unknown): boolean {
  return error instanceof IntermixError && !error.retryable
}

/** An error's text for a dead letter or a log, bounded in length. */
export function reasonOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).slice(0, 1000)
}
