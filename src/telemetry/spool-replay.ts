// Hands on what lies in the disk spool, oldest first, beside what comes in: a few at a time, so that a queue that is just
// back is not flooded.

import { IntermixError } from '../kernel/errors.ts'
import type { Clock, Logger, Random } from '../kernel/ports.ts'
import type { ParcelSink } from './parcel-road.ts'
import type { DiskSpool } from './spool/disk-spool.ts'

interface SpoolReplayOptions {
  readonly disk: DiskSpool
  readonly sink: ParcelSink
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  /** So many records were handed on. */
  readonly onHandedOn: (records: number) => void
}

const MAX_AT_ONCE = 2
const FIRST_RETRY_MS = 100
const MAX_RETRY_MS = 5_000

export class SpoolReplay {
  readonly #options: SpoolReplayOptions
  #running = 0
  #failures = 0
  #cancelRetry: (() => void) | undefined
  #stopped = false

  constructor(options: SpoolReplayOptions) {
    this.#options = options
    options.sink.onReady(() => {
      this.#cancelRetry?.()
      this.#cancelRetry = undefined
      this.poke()
    })
  }

  /** There may be something to hand on. */
  poke(): void {
    while (this.#running < MAX_AT_ONCE && this.#mayGoOn()) {
      this.#running++
      void this.#run()
    }
  }

  stop(): void {
    this.#stopped = true
    this.#cancelRetry?.()
  }

  #mayGoOn(): boolean {
    return !this.#stopped && this.#cancelRetry === undefined && this.#options.sink.ready()
  }

  async #run(): Promise<void> {
    try {
      while (this.#mayGoOn() && (await this.#handOn()));
      this.#failures = 0
    } catch (error) {
      this.#options.log.debug({ err: error }, 'what is in the spool waits')
      this.#retryLater()
    }
    this.#running--
  }

  /** @returns whether there was a parcel. */
  async #handOn(): Promise<boolean> {
    const { disk, sink, onHandedOn } = this.#options
    const taken = await disk.take()
    if (taken === undefined) return false
    try {
      if (!this.#mayGoOn()) throw new IntermixError('CANCELLED', 'the queue takes nothing now')
      await sink.add(taken.parcel)
    } catch (error) {
      disk.putBack(taken)
      throw error
    }
    disk.done(taken)
    onHandedOn(taken.parcel.count)
    return true
  }

  #retryLater(): void {
    if (this.#cancelRetry !== undefined || this.#stopped) return
    const { clock, random } = this.#options
    const wait = Math.min(FIRST_RETRY_MS * 2 ** Math.min(this.#failures++, 10), MAX_RETRY_MS) * (0.5 + random() / 2)
    this.#cancelRetry = clock.after(wait, () => {
      this.#cancelRetry = undefined
      this.poke()
    })
  }
}
