// The delivery to one handler: the exporter chain around its adapter, and the ledger. Where batches wait meanwhile, and
// what becomes of those that no try can save, is for the queue to say.

import type { AnyHandler } from '../adapter-kit/define-adapter.ts'
import { createExporter } from '../adapter-kit/exporter/exporter.ts'
import {
  DEFAULT_EXPORT_LIMITS,
  type ExportLimits,
  exportLimits,
  type ExportWishes,
} from '../adapter-kit/exporter/limits.ts'
import { Pace } from '../adapter-kit/exporter/pace.ts'
import type { Attempt, Consume, Outcome, Part } from '../adapter-kit/exporter/sending-queue.ts'
import type { Push } from '../adapter-kit/exporter/timeout.ts'
import { reportResultProblem } from '../adapter-kit/results.ts'
import { reasonOf } from '../adapter-kit/exporter/failure-class.ts'
import type { Snapshot } from '../config/snapshot.ts'
import { pause } from '../kernel/deadline.ts'
import { IntermixError } from '../kernel/errors.ts'
import { REPORT_DELIVERY_CONCURRENCY } from '../kernel/metrics/reports.ts'
import type { Clock, Gauge, Logger, Meter, Random } from '../kernel/ports.ts'
import { BATCH_PARTS } from './batch-parts.ts'
import { type DeliverBatch, type Owed, sizeOf } from './deliver-batch.ts'
import { DeliveryWatch } from './delivery-watch.ts'
import type { Ledger } from './ledger.ts'

/** A running handler, with the bounds of its calls. */
export interface DeliverTarget {
  readonly handler: AnyHandler
  readonly timeoutMs: number
  readonly limits: ExportLimits
  /** Where it sends reports, as far as its adapter says. */
  readonly address?: string | undefined
}

/** The handlers of a config that take reports, by name. `base` holds for what their adapters do not say. */
export function deliverTargets(
  snapshot: Snapshot,
  handlers: ReadonlyMap<string, AnyHandler>,
  base: ExportWishes = {},
): ReadonlyMap<string, DeliverTarget> {
  const targets = new Map<string, DeliverTarget>()
  for (const [name, handler] of handlers) {
    const config = snapshot.handlers.get(name)
    if (config === undefined || handler.report === undefined) continue
    const limits = exportLimits(base, config.adapter.reportLimits)
    const address = config.adapter.target?.(config.params)
    targets.set(name, { handler, timeoutMs: config.reportTimeoutMs, limits, address })
  }
  return targets
}

/** The handlers of a config that want their batches in order. */
export function orderedOf(handlers: Snapshot['handlers']): ReadonlySet<string> {
  const ordered = [...handlers.values()].filter(({ adapter }) => adapter.reportLimits?.ordered === true)
  return new Set(ordered.map(({ name }) => name))
}

export interface HandlerDeliveryOptions {
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  readonly meter: Meter
  readonly ledger: Ledger
  /** Full name of the handler. */
  readonly handler: string
  readonly mayRetry?: () => boolean
  /** Whether a batch has ended, as far as is remembered; asked of those that others had before. */
  readonly hasSettled?: (id: string) => Promise<boolean>
}

/** Batches that a process remembers to have delivered: Redis may be away when that should be written down. */
const REMEMBERED = 2000
const DELIVERED = { kind: 'delivered' } as const

export class HandlerDelivery {
  readonly #options: HandlerDeliveryOptions
  readonly #watch: DeliveryWatch
  readonly #pace: Pace
  readonly #concurrency: Gauge
  /** Ids with their lives, oldest first. */
  readonly #delivered = new Set<string>()
  #target: DeliverTarget | undefined
  #exporter: Consume<DeliverBatch> | undefined

  /** @param target `undefined` for a handler that has vanished: then no batch gets a try. */
  constructor(options: HandlerDeliveryOptions, target: DeliverTarget | undefined) {
    this.#options = options
    this.#watch = new DeliveryWatch(options)
    this.#pace = new Pace(options.clock, options.random, DEFAULT_EXPORT_LIMITS.concurrency)
    this.#concurrency = options.meter.gauge(REPORT_DELIVERY_CONCURRENCY)({ handler: options.handler })
    this.target = target
  }

  get target(): DeliverTarget | undefined {
    return this.#target
  }

  /** Batches under way end with the target that they had. */
  set target(target: DeliverTarget | undefined) {
    this.#target = target
    this.#pace.most = this.limits.concurrency
    this.#exporter = target && this.#exporterTo(target)
    this.#concurrency.set(target === undefined ? 0 : this.concurrency)
  }

  get limits(): ExportLimits {
    return this.#target?.limits ?? DEFAULT_EXPORT_LIMITS
  }

  /** Calls at once, for now: fewer than the limit while the backend has trouble. */
  get concurrency(): number {
    return this.#pace.concurrency
  }

  /** One try of a batch; that it was delivered is counted. Rejects where the ledger is out of reach for long. */
  async consume(batch: DeliverBatch, attempt: Attempt): Promise<Outcome<DeliverBatch>> {
    const { clock, ledger, handler } = this.#options
    const { owed, ...rest } = batch
    if (owed !== undefined) return this.#counted(owed, rest)
    if (batch.count === 0) return DELIVERED
    const { id, count, replays } = batch
    const life = `${id} ${replays}`
    const isKnown = this.#delivered.has(life)
    if (!isKnown && attempt.takenOver && (await this.#options.hasSettled?.(id)) === true) return DELIVERED
    if (this.#exporter === undefined) {
      const error = new IntermixError('NOT_FOUND', `handler ${handler} is not in the config any more`)
      return { kind: 'ended', why: 'no-handler', error }
    }
    const outcome = isKnown ? DELIVERED : await this.#exporter(batch, attempt)
    if (this.#target !== undefined) this.#concurrency.set(this.concurrency)
    if (outcome.kind === 'part') return this.#inParts(batch, outcome)
    if (outcome.kind === 'delivered') {
      this.#remember(life)
      await persistently(clock, () => ledger.settle({ id, handler, delivered: count }))
    }
    return outcome
  }

  #remember(life: string): void {
    this.#delivered.add(life)
    if (this.#delivered.size <= REMEMBERED) return
    for (const oldest of this.#delivered) {
      this.#delivered.delete(oldest)
      break
    }
  }

  #inParts({ id }: DeliverBatch, part: Part<DeliverBatch>): Part<DeliverBatch> {
    const ended = part.ended.map(({ batch, outcome }) => {
      return {
        batch,
        why: outcome.why === 'failed' ? outcome.why : ('refused' as const),
        reason: reasonOf(outcome.error),
      }
    })
    const { delivered, more, rest, next } = part
    return { ...this.#counted({ id, delivered, more, ended }, rest), ...(next === undefined ? {} : { next }) }
  }

  /** What a queue has to do for a batch that was taken apart; the same again does nothing twice. */
  #counted(owed: Owed, rest: DeliverBatch): Part<DeliverBatch> {
    const { clock, ledger, handler } = this.#options
    const { id, delivered, more } = owed
    const ended = owed.ended.map(({ batch, why, reason }) => {
      return { batch, outcome: { kind: 'ended' as const, why, error: new IntermixError('BACKEND_REFUSED', reason) } }
    })
    const parts = [rest, ...more, ...ended.map(({ batch }) => batch)].filter(({ count }) => count > 0)
    const waits = parts.map((batch) => ({ id: batch.id, count: batch.count, bytes: sizeOf(batch) }))
    const count = () => persistently(clock, () => ledger.settle({ id, handler, delivered, rest: waits }))
    return { kind: 'part', delivered, ended, more, rest, ledger: { note: { ...rest, owed }, count } }
  }

  #exporterTo({ handler, timeoutMs, limits }: DeliverTarget): Consume<DeliverBatch> {
    const { handler: name, clock, random, mayRetry } = this.#options
    return createExporter(pushTo(handler), {
      name: `handler ${name}`,
      clock,
      random,
      timeoutMs,
      retries: limits.retries,
      ordered: limits.ordered,
      observer: this.#watch,
      pace: this.#pace,
      parts: BATCH_PARTS,
      ...(mayRetry === undefined ? {} : { mayRetry }),
    })
  }
}

// Called as a method, so that handlers may be classes.
function pushTo({ report, aggregate }: AnyHandler): Push<DeliverBatch> {
  return (batch, call) => {
    const { handler, template } = batch
    const context = { ...call, batchId: batch.id }
    if (batch.aggregate === undefined && report?.[template] !== undefined) {
      return believed(report[template]?.(batch.instances, context), batch.count)
    }
    if (batch.aggregate !== undefined && aggregate?.[template] !== undefined) {
      return aggregate[template]?.(batch.aggregate, context)
    }
    throw new IntermixError('INVALID_CONFIG', `handler ${handler} does not take template ${template}`)
  }
}

type Answer = Awaited<ReturnType<Push<DeliverBatch>>>

async function believed(pending: Answer | Promise<Answer>, size: number): Promise<Answer> {
  const answer = await pending
  const problem = reportResultProblem(answer, size)
  if (problem !== undefined) throw new IntermixError('INTERNAL', `the adapter's answer makes no sense: ${problem}`)
  return answer
}

const FIRST_WAIT_MS = 100
/** Short, so that it is written down before another worker takes over what was not. */
const MAX_WAIT_MS = 800
const PERSISTENCE_MS = 12_000

/** Retries what must not be forgotten once a backend has been called; rejects where that does not help for long. */
export async function persistently(clock: Clock, task: () => Promise<unknown>): Promise<void> {
  const end = clock.monotonic() + PERSISTENCE_MS
  for (let wait = FIRST_WAIT_MS; ; wait = Math.min(MAX_WAIT_MS, wait * 2)) {
    try {
      await task()
      return
    } catch (error) {
      if (clock.monotonic() >= end) throw error
      await pause(clock, wait)
    }
  }
}
