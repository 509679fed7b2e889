// The chain that every report goes through on its way to a backend: queue → batch → retry by class → observe → timeout →
// the adapter's own call, as in the exporter helper of the OpenTelemetry Collector. Batches are cut (`cut-batches.ts`)
// before they are queued, so that a piece keeps its id however often it is tried.

import type { Parts } from './parts.ts'
import type { RetryOptions, Send } from './retry.ts'
import { retryByClass } from './retry.ts'
import type { Consume } from './sending-queue.ts'
import { type Push, type TimeoutOptions, withTimeout } from './timeout.ts'

/** Sees every try. */
export interface Observer {
  delivered(): void
  failed(error: unknown): void
}

export interface ExporterOptions<B> extends RetryOptions, TimeoutOptions {
  readonly parts: Parts<B>
  readonly observer: Observer
}

/** What stands behind a queue. */
export function createExporter<B>(push: Push<B>, options: ExporterOptions<B>): Consume<B> {
  return retryByClass(observed(withTimeout(push, options), options.observer), options.parts, options)
}

function observed<B>(send: Send<B>, observer: Observer): Send<B> {
  return async (batch) => {
    try {
      const answer = await send(batch)
      observer.delivered()
      return answer
    } catch (error) {
      observer.failed(error)
      throw error
    }
  }
}
