// Looks from time to time at who serves which queue, and tells of those that nobody serves: what waits there is safe, and
// stays where it is. Workers need to know all; of the nodes of a mesh one looks for all of them.

import { REPORT_QUEUES_UNSERVED } from '../kernel/metrics/reports.ts'
import type { Clock, Gauge, Logger, Meter } from '../kernel/ports.ts'
import { Lookout } from './lookout.ts'
import type { QueueService, QueueServices, Services } from './queue-services.ts'
import { inCompany, stretchedFor } from '../redis/company.ts'
import type { RedisLink } from '../redis/connection.ts'

export interface ServiceWatchOptions {
  readonly services: Pick<QueueServices, 'look'>
  readonly link: RedisLink
  readonly clock: Clock
  readonly log: Logger
  readonly meter: Meter
  /** Set where one process may look for all: of this mesh, each under its id. */
  readonly inTurn?: { readonly key: string; readonly self: () => string | undefined }
  readonly everyMs?: number
  /** How long a queue must be without a worker before that is told. */
  readonly patienceMs?: number
}

const EVERY_MS = 10_000
/** Looks that the one whose turn it is may miss. */
const HELD_LOOKS = 3
/** Processes do not follow a new config all at once. */
const PATIENCE_MS = 15_000

export class ServiceWatch {
  readonly #options: ServiceWatchOptions
  readonly #unserved: Gauge
  readonly #lookout: Lookout | undefined
  readonly #listeners = new Set<(services: Services) => void>()
  #told = new Set<string>()
  #last: Services | undefined
  #cancel: (() => void) | undefined
  #stopped = false

  constructor(options: ServiceWatchOptions) {
    this.#options = options
    this.#unserved = options.meter.gauge(REPORT_QUEUES_UNSERVED)()
    const { link, inTurn, everyMs = EVERY_MS } = options
    this.#lookout = inTurn && new Lookout({ link, key: inTurn.key, holdMs: HELD_LOOKS * everyMs })
  }

  /** What the latest look of this process found. */
  get last(): Services | undefined {
    return this.#last
  }

  /** Calls back after each look. */
  onLook(listener: (services: Services) => void): void {
    this.#listeners.add(listener)
  }

  start(): void {
    const { link, clock, log, everyMs = EVERY_MS } = this.#options
    if (this.#stopped) return
    this.#cancel = inCompany(link, clock, stretchedFor(link, everyMs), () => {
      void this.#turn()
        .catch((error: unknown) => log.debug({ err: error }, 'who serves the report queues could not be looked up'))
        .then(() => this.start())
    })
  }

  async stop(): Promise<void> {
    this.#stopped = true
    this.#cancel?.()
    const self = this.#options.inTurn?.self()
    if (self !== undefined) await this.#lookout?.leave(self)
  }

  async #turn(): Promise<void> {
    const { services, inTurn } = this.#options
    const self = inTurn?.self()
    if (this.#lookout === undefined || self === undefined) return void this.#looked(await services.look())
    const { isMine, found } = await this.#lookout.ask(self)
    if (this.#stopped) return
    if (isMine) return await this.#lookout.tell(self, String(this.#looked(await services.look())))
    this.#told = new Set()
    this.#unserved.set(Number(found) || 0)
  }

  /** @returns how many queues nobody serves. */
  #looked(found: Services): number {
    if (this.#stopped) return 0
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
    return unserved.length
  }

  #tell({ name, handler, held, addedBy }: QueueService): void {
    const advice =
      handler === undefined
        ? 'start a worker with the config of the nodes, or give workers and nodes the same one'
        : 'start a worker that delivers to it'
    this.#options.log.warn({ queue: name, held, addedBy }, `nobody serves a report queue: ${advice}`)
  }
}
