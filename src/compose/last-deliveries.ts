// The end of reports that end with the process: in a private Redis, or in its memory. What waits is delivered as long as there
// is time, and what is lost is told.

import { pause } from '../kernel/deadline.ts'
import type { Clock, Logger } from '../kernel/ports.ts'
import { FAN_OUT, type HandlerTotals } from '../telemetry/ledger.ts'

const LOOK_EVERY_MS = 50

type Totals = ReadonlyMap<string, HandlerTotals>

/** What a queue that ends with this process still holds. */
export interface Waiting {
  /** In the queue of reports. */
  readonly records: number
  /** In the queues of handlers. */
  readonly instances: number
  readonly deadLetters: number
}

/** @param queued records that this process has put into the queue, which nobody else uses. */
export function waitingOf(totals: Totals, queued: number): Waiting {
  const handlers = [...totals].filter(([name]) => name !== FAN_OUT).map(([, each]) => each)
  const deadLetters = handlers.reduce((sum, each) => sum + each.deadLetters, 0)
  return {
    records: Math.max(0, queued - (totals.get(FAN_OUT)?.accepted ?? 0)),
    instances: handlers.reduce((sum, { held }) => sum + held, 0) - deadLetters,
    deadLetters,
  }
}

/** Waits until nothing waits any more, but no longer than `deadlineMs`. A look that fails ends it: the queue is gone. */
export async function untilDelivered(look: () => Promise<Waiting>, clock: Clock, deadlineMs: number): Promise<void> {
  const endAt = clock.monotonic() + deadlineMs
  for (;;) {
    const { records, instances } = await look()
    if (records + instances === 0 || clock.monotonic() >= endAt) return
    await pause(clock, LOOK_EVERY_MS)
  }
}

/** Says what goes with a private Redis. */
export function tellLost(waiting: Waiting, log: Logger): void {
  const { records, instances, deadLetters } = waiting
  if (records + instances + deadLetters === 0) return
  log.warn(
    { records, instances, deadLetters },
    'reports end with the private Redis: --queue-redis names one that keeps them',
  )
}
