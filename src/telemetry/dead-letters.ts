// Dead letters: what could not be delivered, kept with the reason until an operator replays or drops it.

import type { Job, Queue } from 'bullmq'
import { IntermixError } from '../kernel/errors.ts'
import type { RedisLink } from '../redis/connection.ts'
import type { DeliverJob } from './deliver-batch.ts'
import { jobOptions } from './job-options.ts'
import type { DeadBatch, SharedLedger } from './ledger.ts'
import { LinkQueue } from './link-queue.ts'
import type { ParcelJob } from './parcel.ts'
import { queueNames } from './queue-names.ts'

/** One dead letter. `handler` is `fan-out` where the reports could not even be read; then `count` counts records. */
export interface DeadLetter {
  readonly version: 1
  /** By `letterId`: the batch that died, and how often it had been replayed before. */
  readonly id: string
  readonly handler: string
  /** Template of the instances; empty for reports. */
  readonly template: string
  /** Where the handler would have sent it, as far as its adapter can say (`AdapterDefinition.target`). */
  readonly target?: string
  readonly count: number
  readonly reason: string
  readonly attempts: number
  /** Milliseconds since the epoch. */
  readonly firstFailureAt: number
  readonly lastFailureAt: number
  readonly replays: number
  readonly content:
    | { readonly kind: 'instances'; readonly job: DeliverJob }
    | { readonly kind: 'reports'; readonly job: ParcelJob }
}

/** Each death of a batch is a letter of its own, so that a replay and the next death cannot get mixed up. */
export function letterId(batchId: string, replays: number): string {
  return replays === 0 ? batchId : `${batchId}-r${replays}`
}

/** Which letters are meant; what is left out holds for all. */
export interface LetterFilter {
  /** The handler's full name, or its name alone: then those of all namespaces. */
  readonly handler?: string | undefined
  readonly template?: string | undefined
  /** Text that the reason contains, whatever its case. */
  readonly reason?: string | undefined
  /** Bounds of the last failure, in milliseconds since the epoch. */
  readonly before?: number | undefined
  readonly after?: number | undefined
}

/** Whether a filter means this letter. */
function isMeant(letter: DeadLetter, { handler, template, reason, before, after }: LetterFilter): boolean {
  return (
    (handler === undefined || letter.handler === handler || letter.handler.startsWith(`${handler}.`)) &&
    (template === undefined || letter.template === template) &&
    (reason === undefined || letter.reason.toLowerCase().includes(reason.toLowerCase())) &&
    (before === undefined || letter.lastFailureAt < before) &&
    (after === undefined || letter.lastFailureAt > after)
  )
}

const DEFAULT_MAX_DEAD_LETTERS = 10_000
/** Letters read at once: a letter holds a whole batch, and there may be thousands. */
const READ_AT_ONCE = 10
/** A replay that was cut short is replayed again, and the ledger does not know for what it is. */
const REMEMBER_REPLAY_MS = 3_600_000
const TIMEOUT_MS = 5000

export interface DeadLettersOptions {
  readonly link: RedisLink
  readonly ledger: SharedLedger
  readonly prefix?: string
  /** Beyond this many the oldest are dropped and counted. 10 000 unless set. */
  readonly maxLetters?: number
  /** Bytes of all letters beyond which the oldest are dropped and counted, asked each time. Unbounded unless set. */
  readonly maxBytes?: () => number
}

/** The dead letters in Redis. */
export class DeadLetters {
  readonly #options: DeadLettersOptions
  readonly #queue: LinkQueue
  /** Queues that letters were put back on: as many as there are handlers. */
  readonly #targets = new Map<string, LinkQueue>()

  constructor(options: DeadLettersOptions) {
    const names = queueNames(options.prefix)
    this.#options = options
    this.#queue = new LinkQueue(options.link, names.deadLetters, names.keyPrefix(names.deadLetters))
  }

  /** Adds a letter; adding it again does nothing. Makes room by dropping the oldest. */
  async add(letter: DeadLetter): Promise<void> {
    await this.#run((queue) => queue.add('dead-letter', letter, { jobId: letter.id }))
    await this.#options.ledger.bury(entryOf(letter))
    await this.#makeRoom()
  }

  /** Bytes of all letters, as the ledger has them. */
  async bytes(): Promise<number> {
    let bytes = 0
    for (const { deadBytes } of (await this.#options.ledger.read()).values()) bytes += deadBytes
    return bytes
  }

  count(): Promise<number> {
    return this.#run((queue) => queue.getWaitingCount())
  }

  /**
   * Those that the filter means of the letters that are there now, oldest first. Holds a few at a time, and their ids.
   * @param onLooked called with how many were looked at so far, of how many
   */
  async *matching(
    filter: LetterFilter = {},
    onLooked: (looked: number, total: number) => void = () => undefined,
  ): AsyncGenerator<DeadLetter, void> {
    const ids = await this.#run((queue) => queue.getRanges(['waiting'], 0, -1, true))
    for (let at = 0; at < ids.length; at += READ_AT_ONCE) {
      const letters = await Promise.all(ids.slice(at, at + READ_AT_ONCE).map((id) => this.get(id)))
      // One that is not there any more was replayed or dropped by somebody else.
      for (const letter of letters) if (letter !== undefined && isMeant(letter, filter)) yield letter
      onLooked(Math.min(ids.length, at + READ_AT_ONCE), ids.length)
    }
  }

  /** The first of those that `matching` finds. */
  async list({ limit, ...filter }: LetterFilter & { readonly limit: number }): Promise<DeadLetter[]> {
    const found: DeadLetter[] = []
    for await (const letter of this.matching(filter)) {
      found.push(letter)
      if (found.length >= limit) break
    }
    return found
  }

  async get(id: string): Promise<DeadLetter | undefined> {
    const job = await this.#run<Job | undefined>((queue) => queue.getJob(id))
    return job?.data as DeadLetter | undefined
  }

  /** Puts a letter back on the queue it came from, with the same batch id. @throws IntermixError NOT_FOUND */
  async replay(id: string): Promise<DeadLetter> {
    const letter = await this.#existing(id)
    const names = queueNames(this.#options.prefix)
    const replays = letter.replays + 1
    const { content } = letter
    const target = content.kind === 'reports' ? names.reports() : names.deliver(letter.handler)
    // What the fan-out makes of replayed reports needs ids of its own: those of the first try may be remembered. They are
    // evaluated under the rules of now, which may have been mended meanwhile.
    const data =
      content.kind === 'reports'
        ? { ...content.job, id: `${letter.id}-again`, replays, rules: undefined }
        : { ...content.job, replays }
    // Before it can be delivered: what has ended is never taken out again.
    await this.#options.ledger.take(entryOf(letter), content.kind === 'reports' ? `${letter.id}-again` : undefined)
    await this.#queueOf(target).run(
      (to) =>
        to.add(content.kind === 'reports' ? 'reports' : 'deliver', data, jobOptions(`${id}-again`, REMEMBER_REPLAY_MS)),
      TIMEOUT_MS,
    )
    await this.#remove(letter.id)
    return letter
  }

  /** Removes a letter for good and counts its loss. @throws IntermixError NOT_FOUND */
  async drop(id: string): Promise<DeadLetter> {
    const letter = await this.#existing(id)
    await this.#discard(letter, 'operator')
    return letter
  }

  async close(): Promise<void> {
    await Promise.all([this.#queue, ...this.#targets.values()].map((queue) => queue.close()))
  }

  #queueOf(name: string): LinkQueue {
    let queue = this.#targets.get(name)
    if (queue === undefined) {
      queue = new LinkQueue(this.#options.link, name, queueNames(this.#options.prefix).keyPrefix(name))
      this.#targets.set(name, queue)
    }
    return queue
  }

  async #makeRoom(): Promise<void> {
    const { maxLetters = DEFAULT_MAX_DEAD_LETTERS, maxBytes } = this.#options
    let letters = (await this.count()) - maxLetters
    let bytes = maxBytes === undefined ? 0 : (await this.bytes()) - maxBytes()
    while (letters > 0 || bytes > 0) {
      const oldest = await this.#page(0, READ_AT_ONCE)
      for (const letter of oldest) {
        if (letters <= 0 && bytes <= 0) return
        await this.#discard(letter, 'dead-letters-full')
        letters -= 1
        bytes -= entryOf(letter).bytes
      }
      if (oldest.length < READ_AT_ONCE) return
    }
  }

  async #existing(id: string): Promise<DeadLetter> {
    const letter = await this.get(id)
    if (letter === undefined) throw new IntermixError('NOT_FOUND', `there is no dead letter '${id}'`)
    return letter
  }

  async #discard(letter: DeadLetter, reason: string): Promise<void> {
    const { id, handler, life } = entryOf(letter)
    await this.#options.ledger.settle({ id, handler, life, dropped: { [reason]: letter.count } })
    await this.#remove(letter.id)
  }

  async #remove(id: string): Promise<void> {
    await this.#run((queue) => queue.remove(id))
  }

  async #page(start: number, size: number): Promise<DeadLetter[]> {
    const jobs = await this.#run<Job[]>((queue) => queue.getJobs(['waiting'], start, start + size - 1, true))
    return jobs.filter((job) => job !== undefined && job !== null).map((job) => job.data as DeadLetter)
  }

  #run<T>(operation: (queue: Queue) => Promise<T>): Promise<T> {
    return this.#queue.run(operation, TIMEOUT_MS)
  }
}

/** A letter as the ledger has it: a batch keeps its id, whereas what becomes of reports again has ids of its own. */
function entryOf({ id, handler, count, replays, content }: DeadLetter): DeadBatch {
  const batch = content.kind === 'instances' && typeof content.job.id === 'string' ? content.job.id : id
  return { id: batch, handler, count, bytes: JSON.stringify(content).length, life: replays }
}
