// The queue stage in memory, for a process without Redis. What it holds ends with the process.

import type { Clock } from '../../kernel/ports.ts'
import type { ExportLimits } from './limits.ts'
import type { Again, Consume, Ended, Hold, Outcome, SendingQueue } from './sending-queue.ts'

export interface MemoryQueueOptions<B> {
  readonly clock: Clock
  /** Asked each time, as they change with the config. */
  readonly limits: () => Pick<ExportLimits, 'concurrency' | 'queueInstances'>
  /** How much of the bound a batch takes. */
  readonly sizeOf: (batch: B) => number
  readonly consume: Consume<B>
  /** Accounts for a batch that gets no further try. */
  readonly ended: (batch: B, outcome: Ended) => void | Promise<void>
  /** Called with what is held less from now on, delivered or ended. */
  readonly released: (size: number) => void
}

interface Waiting<B> {
  readonly batch: B
  readonly before: number
  /** When it was queued, on the monotonic clock. */
  readonly since: number
}

/** First in, first out; what is tried again comes after what waits by then, unless the outcome holds the queue. */
export class MemoryQueue<B> implements SendingQueue<B> {
  readonly #options: MemoryQueueOptions<B>
  readonly #waiting: Waiting<B>[] = []
  /** Batches that wait for their next try, with what ends the wait. */
  readonly #delayed = new Map<Waiting<B>, () => void>()
  #underWay = 0
  #held = 0
  #pausedUntil = Number.NEGATIVE_INFINITY
  #cancelPause: (() => void) | undefined

  constructor(options: MemoryQueueOptions<B>) {
    this.#options = options
  }

  /** What it holds, batches under way included, in the unit of `sizeOf`. */
  get held(): number {
    return this.#held
  }

  /** The one batch that goes beyond the bound is not taken; an empty queue takes every batch. */
  async add(batch: B): Promise<boolean> {
    const { sizeOf, limits, clock } = this.#options
    const size = sizeOf(batch)
    if (this.#held > 0 && this.#held + size > limits().queueInstances) return false
    this.#held += size
    this.#waiting.push({ batch, before: 0, since: clock.monotonic() })
    this.#run()
    return true
  }

  /** Gives back all that waits, and holds on to what is under way. */
  clear(): readonly B[] {
    for (const cancel of this.#delayed.values()) cancel()
    const left = [...this.#delayed.keys(), ...this.#waiting].map(({ batch }) => batch)
    this.#delayed.clear()
    this.#waiting.length = 0
    this.#cancelPause?.()
    for (const batch of left) this.#held -= this.#options.sizeOf(batch)
    return left
  }

  /** Gives what waits at once, whatever it waits for: at the end of a process nothing is worth waiting for. */
  hurry(): void {
    for (const cancel of this.#delayed.values()) cancel()
    this.#waiting.push(...this.#delayed.keys())
    this.#delayed.clear()
    this.#resume()
  }

  #run(): void {
    const { limits, clock } = this.#options
    while (this.#underWay < limits().concurrency && clock.monotonic() >= this.#pausedUntil) {
      const next = this.#waiting.shift()
      if (next === undefined) return
      this.#underWay++
      void this.#try(next).finally(() => {
        this.#underWay--
        this.#run()
      })
    }
  }

  async #try(waiting: Waiting<B>): Promise<void> {
    const { clock, consume, sizeOf } = this.#options
    const { before, since } = waiting
    let { batch } = waiting
    for (;;) {
      const attempt = { before, ageMs: clock.monotonic() - since, takenOver: false }
      const outcome = await consume(batch, attempt).catch(lost)
      if (outcome.kind !== 'part') return this.#settle({ batch, before, since }, outcome)
      await outcome.ledger?.count()
      for (const part of outcome.ended) await this.#options.ended(part.batch, part.outcome)
      const goesOn = [outcome.rest, ...outcome.more]
      this.#waiting.unshift(...outcome.more.map((more) => ({ batch: more, before: 0, since })))
      this.#release(sizeOf(batch) - goesOn.reduce((sum, each) => sum + sizeOf(each), 0))
      batch = outcome.rest
      if (outcome.next !== undefined) return this.#later({ batch, before: before + 1, since }, outcome.next)
    }
  }

  async #settle(waiting: Waiting<B>, outcome: Exclude<Outcome<B>, { kind: 'part' }>): Promise<void> {
    if (outcome.kind === 'again' || outcome.kind === 'hold') {
      return this.#later({ ...waiting, before: waiting.before + 1 }, outcome)
    }
    if (outcome.kind === 'ended') await this.#options.ended(waiting.batch, outcome)
    this.#release(this.#options.sizeOf(waiting.batch))
  }

  #release(size: number): void {
    this.#held -= size
    this.#options.released(size)
  }

  #later(waiting: Waiting<B>, outcome: Again | Hold): void {
    if (outcome.kind === 'hold') {
      this.#waiting.unshift(waiting)
      return this.#pause(outcome.afterMs)
    }
    if (outcome.pauseMs !== undefined) this.#pause(outcome.pauseMs)
    const cancel = this.#options.clock.after(outcome.afterMs, () => {
      this.#delayed.delete(waiting)
      this.#waiting.push(waiting)
      this.#run()
    })
    this.#delayed.set(waiting, cancel)
  }

  #pause(ms: number): void {
    const { clock } = this.#options
    const until = clock.monotonic() + ms
    if (until <= this.#pausedUntil) return
    this.#pausedUntil = until
    this.#cancelPause?.()
    this.#cancelPause = clock.after(ms, () => this.#resume())
  }

  #resume(): void {
    this.#cancelPause?.()
    this.#cancelPause = undefined
    this.#pausedUntil = Number.NEGATIVE_INFINITY
    this.#run()
  }
}

// In memory there is no way to account for it later.
function lost(error: unknown): Ended {
  return { kind: 'ended', why: 'failed', error }
}
