// Watches the deliveries to one handler's backend: batches are tried again for minutes, and say nothing by themselves.

import type { Observer } from '../adapter-kit/exporter/exporter.ts'
import { isAnswer, reasonOf } from '../adapter-kit/exporter/failure-class.ts'
import { REPORT_TRIES_FAILED_TOTAL } from '../kernel/metrics/reports.ts'
import type { Clock, Counter, Logger, Meter } from '../kernel/ports.ts'
import { BackendPresence } from '../policy/backend-presence.ts'

/** So many failures in a row, of whichever batches: a single one is what retries are for. */
const FAILURES_IN_A_ROW = 3

const WORDS = {
  well: 'reports are delivered again',
  failing: 'reports are not delivered: they are held and tried again',
  away: 'reports are not delivered: they are held and tried again',
}

export interface DeliveryWatchOptions {
  readonly clock: Clock
  readonly log: Logger
  readonly meter: Meter
  /** Full name of the handler. */
  readonly handler: string
}

/** Counts failed tries (`report_tries_failed_total`), and leaves a line when a backend takes no reports and when it does again. */
export class DeliveryWatch implements Observer {
  readonly #presence: BackendPresence
  readonly #failures: Counter
  #inARow = 0

  constructor({ clock, log, meter, handler }: DeliveryWatchOptions) {
    this.#presence = new BackendPresence(clock, log.child({ handler }), WORDS)
    this.#failures = meter.counter(REPORT_TRIES_FAILED_TOTAL)({ handler })
  }

  delivered(): void {
    this.#inARow = 0
    this.#presence.set('well', '')
  }

  /** @param error a backend that refuses a batch for good is there, so that it counts and tells nothing here */
  failed(error: unknown): void {
    this.#failures.add()
    if (isAnswer(error)) return
    this.#inARow += 1
    if (this.#inARow >= FAILURES_IN_A_ROW) this.#presence.set('failing', reasonOf(error))
  }
}
