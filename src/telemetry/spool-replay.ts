// Hands on what lies in the disk spool, oldest first, beside what comes in: a few at a time, so that a queue that is just
// back is not flooded.

import { IntermixError } from '../kernel/errors.ts'
import type { Clock, Logger, Random } from '../kernel/ports.ts'
import { RetryTimer } from '../kernel/retry-timer.ts'
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
const RETRIES = { firstMs: 100, maxMs: 5_000 }

export class SpoolReplay {
  readonly #options: SpoolReplayOptions
  readonly #retry: RetryTimer
  #running = 0
  #stopped = false

  constructor(options: SpoolReplayOptions) {
    const { clock, random } = options
    this.#options = options
    this.#retry = new RetryTimer({ clock, random, ...RETRIES, retry: () => this.poke() })
    options.sink.onReady(() => {
      this.#retry.cancel()
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
    this.#retry.cancel()
  }

  #mayGoOn(): boolean {
    return !this.#stopped && !this.#retry.isWaiting && this.#options.sink.ready()
  }

  async #run(): Promise<void> {
    try {
      while (this.#mayGoOn() && (await this.#handOn()));
      this.#retry.worked()
    } catch (error) {
      this.#options.log.debug({ err: error }, 'what is in the spool waits')
      if (!this.#stopped) this.#retry.failed()
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
      // The disk is what keeps the promise until then.
      if (taken.parcel.replicated === true) await sink.replication?.confirm(taken.parcel)
    } catch (error) {
      disk.putBack(taken)
      throw error
    }
    disk.done(taken)
    onHandedOn(taken.parcel.count)
    return true
  }
}
