// The fan-outs of one process: one for each queue of reports that it takes from, under the rules that hold for that queue.

import type { ReportFormats } from '../src/kernel/report.ts'
import type { FanOutRules } from '../src/telemetry/fan-out.ts'
import { DeliverQueue } from './deliver-queue.ts'
import { FanOut } from './fan-out.ts'
import type { WorkerContext } from './worker-context.ts'

/** Takes from the queues of some report rules, and from that of reports that name no rules. */
export class FanOuts {
  readonly #context: WorkerContext
  readonly #formats: ReportFormats
  /** By digest of the rules; `undefined`: of what any rules may evaluate. */
  readonly #fanOuts = new Map<string | undefined, FanOut>()
  readonly #queues = new Map<string, DeliverQueue>()
  #ordered: ReadonlySet<string> = new Set()

  constructor(context: WorkerContext, formats: ReportFormats) {
    this.#context = context
    this.#formats = formats
  }

  /** Digests of the rules whose queues it takes from. */
  get digests(): readonly string[] {
    return [...this.#fanOuts.keys()].filter((digest) => digest !== undefined)
  }

  /** Begins to take from a queue, or evaluates what it takes there from now on by other rules. */
  serve(digest: string | undefined, rules: FanOutRules): void {
    const known = this.#fanOuts.get(digest)
    if (known !== undefined) known.rules = rules
    else {
      const queueOf = (handler: string) => this.#queueOf(handler)
      this.#fanOuts.set(digest, new FanOut(this.#context, { formats: this.#formats, digest, rules, queueOf }))
    }
  }

  /** Takes no more from a queue. */
  leave(digest: string | undefined): void {
    const fanOut = this.#fanOuts.get(digest)
    this.#fanOuts.delete(digest)
    void fanOut?.stop(this.#context.tuning.lockDurationMs)
  }

  /** Lets go of queues of handlers that are not in use any more. @param ordered those that want their batches in order */
  keepOnly(handlers: ReadonlySet<string>, ordered: ReadonlySet<string>): void {
    this.#ordered = ordered
    for (const [handler, queue] of this.#queues) {
      queue.ordered = ordered.has(handler)
      if (handlers.has(handler)) continue
      this.#queues.delete(handler)
      void queue.close()
    }
  }

  async stop(deadlineMs: number): Promise<void> {
    await Promise.all([...this.#fanOuts.values()].map((fanOut) => fanOut.stop(deadlineMs)))
    await Promise.all([...this.#queues.values()].map((queue) => queue.close()))
    this.#queues.clear()
  }

  #queueOf(handler: string): DeliverQueue {
    let queue = this.#queues.get(handler)
    if (queue === undefined) {
      this.#queues.set(handler, (queue = new DeliverQueue(this.#context, handler)))
      queue.ordered = this.#ordered.has(handler)
    }
    return queue
  }
}
