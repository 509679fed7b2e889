// Looks from time to time at who serves which queue, and tells of those that nobody serves: what waits there is safe, and
// stays where it is.

import { REPORT_QUEUES_UNSERVED } from '../kernel/metrics/reports.ts'
import type { Clock, Gauge, Logger, Meter } from '../kernel/ports.ts'
import type { QueueService, QueueServices, Services } from './queue-services.ts'

export interface ServiceWatchOptions {
  readonly services: Pick<QueueServices, 'look'>
  readonly clock: Clock
  readonly log: Logger
  readonly meter: Meter
  readonly everyMs?: number
  /** How long a queue must be without a worker before that is told. */
  readonly patienceMs?: number
}

const EVERY_MS = 10_000
/** Processes do not follow a new config all at once. */
const PATIENCE_MS = 15_000

export class ServiceWatch {
  readonly #options: ServiceWatchOptions
  readonly #unserved: Gauge
  readonly #listeners = new Set<(services: Services) => void>()
  #told = new Set<string>()
  #last: Services | undefined
  #cancel: (() => void) | undefined
  #stopped = false

  constructor(options: ServiceWatchOptions) {
    this.#options = options
    this.#unserved = options.meter.gauge(REPORT_QUEUES_UNSERVED)()
  }

  /** What the latest look found. */
  get last(): Services | undefined {
    return this.#last
  }

  /** Calls back after each look. */
  onLook(listener: (services: Services) => void): void {
    this.#listeners.add(listener)
  }

  start(): void {
    const { clock, log, services, everyMs = EVERY_MS } = this.#options
    if (this.#stopped) return
    this.#cancel = clock.after(everyMs, () => {
      void services
        .look()
        .then((found) => this.#looked(found))
        .catch((error: unknown) => log.debug({ err: error }, 'who serves the report queues could not be looked up'))
        .then(() => this.start())
    })
  }

  stop(): void {
    this.#stopped = true
    this.#cancel?.()
  }

  #looked(found: Services): void {
    if (this.#stopped) return
    this.#last = found
    const { patienceMs = PATIENCE_MS } = this.#options
    const unserved = found.queues.filter(
      ({ unservedMs, held, servedBy }) => held > 0 && servedBy.length === 0 && unservedMs >= patienceMs,
    )
    this.#unserved.set(unserved.length)
    for (const queue of unserved) if (!this.#told.has(queue.name)) this.#tell(queue)
    for (const name of this.#told) {
      if (!unserved.some((queue) => queue.name === name)) {
        this.#options.log.info({ queue: name }, 'a report queue is served again, or empty')
      }
    }
    this.#told = new Set(unserved.map(({ name }) => name))
    for (const listener of this.#listeners) listener(found)
  }

  #tell({ name, handler, held, addedBy }: QueueService): void {
    const advice =
      handler === undefined
        ? 'start a worker with the config of the nodes, or give workers and nodes the same one'
        : 'start a worker that delivers to it'
    this.#options.log.warn({ queue: name, held, addedBy }, `nobody serves a report queue: ${advice}`)
  }
}
