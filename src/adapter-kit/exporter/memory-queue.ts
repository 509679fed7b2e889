// The queue stage in memory, for a process without Redis. What it holds ends with the process.

import type { Clock } from '../../kernel/ports.ts'
import type { ExportLimits } from './limits.ts'
import type { Consume, Outcome, SendingQueue } from './sending-queue.ts'

type Ended = Extract<Outcome, { kind: 'ended' }>

export interface MemoryQueueOptions<B> {
  readonly clock: Clock
  /** Asked each time, as they change with the config. */
  readonly limits: () => Pick<ExportLimits, 'concurrency' | 'queueInstances'>
  /** How much of the bound a batch takes. */
  readonly sizeOf: (batch: B) => number
  readonly consume: Consume<B>
  /** Accounts for a batch that gets no further try. */
  readonly ended: (batch: B, outcome: Ended) => void | Promise<void>
  /** Called when a batch is no longer held, delivered or ended. */
  readonly released: (batch: B) => void
}

interface Waiting<B> {
  readonly batch: B
  readonly before: number
}

/** First in, first out; what is tried again comes after what waits by then. */
export class MemoryQueue<B> implements SendingQueue<B> {
  readonly #options: MemoryQueueOptions<B>
  readonly #waiting: Waiting<B>[] = []
  /** Batches that wait for their next try, with what ends the wait. */
  readonly #delayed = new Map<Waiting<B>, () => void>()
  #underWay = 0
  #held = 0

  constructor(options: MemoryQueueOptions<B>) {
    this.#options = options
  }

  /** What it holds, batches under way included, in the unit of `sizeOf`. */
  get held(): number {
    return this.#held
  }

  /** The one batch that goes beyond the bound is not taken; an empty queue takes every batch. */
  async add(batch: B): Promise<boolean> {
    const size = this.#options.sizeOf(batch)
    if (this.#held > 0 && this.#held + size > this.#options.limits().queueInstances) return false
    this.#held += size
    this.#waiting.push({ batch, before: 0 })
    this.#run()
    return true
  }

  /** Gives back all that waits, and holds on to what is under way. */
  clear(): readonly B[] {
    for (const cancel of this.#delayed.values()) cancel()
    const left = [...this.#delayed.keys(), ...this.#waiting].map(({ batch }) => batch)
    this.#delayed.clear()
    this.#waiting.length = 0
    for (const batch of left) this.#held -= this.#options.sizeOf(batch)
    return left
  }

  #run(): void {
    while (this.#underWay < this.#options.limits().concurrency) {
      const next = this.#waiting.shift()
      if (next === undefined) return
      this.#underWay++
      void this.#try(next).finally(() => {
        this.#underWay--
        this.#run()
      })
    }
  }

  async #try({ batch, before }: Waiting<B>): Promise<void> {
    const { consume, ended, released, sizeOf } = this.#options
    const outcome = await consume(batch, before).catch(
      (error: unknown): Ended => ({ kind: 'ended', why: 'failed', error }),
    )
    if (outcome.kind === 'again') return this.#later({ batch, before: before + 1 }, outcome.afterMs)
    if (outcome.kind === 'ended') await ended(batch, outcome)
    this.#held -= sizeOf(batch)
    released(batch)
  }

  #later(waiting: Waiting<B>, delayMs: number): void {
    const cancel = this.#options.clock.after(delayMs, () => {
      this.#delayed.delete(waiting)
      this.#waiting.push(waiting)
      this.#run()
    })
    this.#delayed.set(waiting, cancel)
  }
}
