// How a worker treats the memory of Redis: deliveries free it and go on to the last; the fan-out needs more than it frees,
// and stops while there is a reserve left for them.

import { pause } from '../src/kernel/deadline.ts'
import { IntermixError } from '../src/kernel/errors.ts'
import { REPORT_HANDLER_SHARE_BYTES, REPORT_MEMORY_USED_RATIO } from '../src/kernel/metrics/reports.ts'
import type { Clock, Meter, Random } from '../src/kernel/ports.ts'
import { redisTrouble } from '../src/redis/trouble.ts'
import type { RedisLink } from '../src/redis/connection.ts'
import { ownerOf } from '../src/redis/key-slot.ts'
import { deadLetterShare, handlerShare } from '../src/telemetry/handler-share.ts'
import { MemoryCredit } from '../src/telemetry/memory-credit.ts'
import { type MemoryLook, QueueMemory } from '../src/telemetry/queue-memory.ts'
import { queueNames } from '../src/telemetry/queue-names.ts'
import { fullness, type QueueStanding } from '../src/telemetry/queue-standing.ts'

const WATCH_EVERY_MS = 1000
const MARKS = { stopAt: 0.85, resumeAt: 0.82 }
/** Of a handler's share: from here on batches may be dropped; below the other one they are not. */
const SHARE_IS_FULL = 0.9
const SHARE_HAS_ROOM = 0.7
const FIRST_WAIT_MS = 50
const MAX_WAIT_MS = 1000

export interface WorkerMemoryOptions {
  readonly link: RedisLink
  readonly clock: Clock
  readonly random: Random
  readonly meter: Meter
  readonly standing: QueueStanding
  /** Name of a queue that lies there always: where no other is named, its server is meant. */
  readonly queue: string
  /** The operator's bounds, in bytes. */
  readonly handlerQueueMaxBytes?: number | undefined
  readonly deadLettersMaxBytes?: number | undefined
}

interface Server {
  readonly queue: string
  readonly memory: QueueMemory
  readonly credit: MemoryCredit
}

/** Memory of the servers that hold the queues: each master of a cluster is looked at once, however many queues it has. */
export class WorkerMemory {
  readonly #options: WorkerMemoryOptions
  /** By address; by queue where the client does not know who owns it. */
  readonly #servers = new Map<string, Server>()
  readonly #listeners = new Set<() => void>()
  readonly #beyond = new Set<string>()
  #held = 0
  #cancelWatch: (() => void) | undefined
  #closed = false

  constructor(options: WorkerMemoryOptions) {
    this.#options = options
    this.#server(options.queue)
    this.#watchLater()
  }

  /** Bytes that the batches of one handler may take now. */
  get handlerShare(): number {
    return handlerShare(this.#look, this.#held, this.#options.handlerQueueMaxBytes)
  }

  /** Bytes that dead letters may take. */
  get deadLetterShare(): number {
    return deadLetterShare(this.#look, this.#options.deadLettersMaxBytes)
  }

  /** What waits for each handler, in bytes, as the ledger has it. */
  set held(bytes: ReadonlyMap<string, number>) {
    this.#held = [...bytes.values()].reduce((sum, each) => sum + each, 0)
    const share = this.handlerShare
    for (const [handler, held] of bytes) {
      if (held > SHARE_IS_FULL * share) this.#beyond.add(handler)
      else if (held < SHARE_HAS_ROOM * share) this.#beyond.delete(handler)
    }
    const names = [...this.#beyond].join(', ')
    const reason = `as much waits for ${names} as may (${share} bytes each): further reports for it are dropped, and counted`
    this.#options.standing.set('share', names === '' ? undefined : reason)
  }

  /** Whether the fan-out waits for memory. */
  get holding(): boolean {
    return [...this.#servers.values()].some(({ credit }) => credit.holding)
  }

  /** Whether Redis takes no writes at all, as far as is known. */
  get full(): boolean {
    return [...this.#servers.values()].some(({ memory: { last } }) => last !== undefined && isFull(last))
  }

  /** Calls back after each look; the returned function ends that. */
  onLook(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Whether the server of a queue leaves no room for further jobs, as far as is known. */
  isFull(queue: string): boolean {
    return this.#server(queue).credit.holding
  }

  /** Looks again soon: a write was refused. */
  suspect(): void {
    for (const { memory } of this.#servers.values()) void memory.look().catch(() => undefined)
  }

  /**
   * Waits until there is room in a queue for a write of so many bytes.
   * @throws IntermixError OVERLOADED once this process ends.
   */
  async room(queue: string, bytes: number): Promise<void> {
    if (this.#server(queue).credit.take(bytes)) return
    const isFull = (error: unknown) => error instanceof IntermixError && error.code === 'OVERLOADED'
    await this.#persist(
      () => this.roomNow(queue, bytes),
      (error) => isFull(error) || redisTrouble(error) !== undefined,
    )
  }

  /**
   * The same without waiting.
   * @throws IntermixError OVERLOADED where there is no room, REDIS_UNAVAILABLE
   */
  roomNow(queue: string, bytes: number): Promise<void> {
    return this.#server(queue).credit.acquire(bytes)
  }

  /**
   * Runs a task, again and again while Redis is full or away: that is no failure of what is in hand.
   * @throws what the task throws else; and its latest error once this process ends.
   */
  outlast<T>(task: () => Promise<T>): Promise<T> {
    return this.#persist(task, (error) => redisTrouble(error) !== undefined)
  }

  /** Ends all waiting. */
  close(): void {
    this.#closed = true
    this.#cancelWatch?.()
    for (const { credit } of this.#servers.values()) credit.close()
    this.#servers.clear()
  }

  get #look(): MemoryLook | undefined {
    let fullest: MemoryLook | undefined
    for (const { memory } of this.#servers.values()) {
      const { last } = memory
      if (last === undefined || last.limit === 0) continue
      if (fullest === undefined || last.used / last.limit > fullest.used / fullest.limit) fullest = last
    }
    return fullest
  }

  async #persist<T>(task: () => Promise<T>, isPassing: (error: unknown) => boolean): Promise<T> {
    for (let waitMs = FIRST_WAIT_MS; ; waitMs = Math.min(2 * waitMs, MAX_WAIT_MS)) {
      try {
        return await task()
      } catch (error) {
        if (this.#closed || !isPassing(error)) throw error
        await pause(this.#options.clock, waitMs * (0.5 + this.#options.random() / 2))
      }
    }
  }

  #server(queue: string): Server {
    const { link, clock } = this.#options
    const name = this.#addressOf(queue)
    const known = this.#servers.get(name)
    if (known !== undefined) return known
    const memory = new QueueMemory({ link, queue })
    const server = { queue, memory, credit: new MemoryCredit(memory, clock, MARKS) }
    memory.onLook((look) => this.#looked(look))
    this.#servers.set(name, server)
    return server
  }

  #addressOf(queue: string): string {
    return ownerOf(this.#options.link.client, queueNames().keyPrefix(queue)) ?? queue
  }

  /** Forgets servers whose queue has gone to another one: whoever has to do with a queue there brings them back. */
  #forgetMoved(): void {
    for (const [name, { queue, credit }] of this.#servers) {
      if (this.#addressOf(queue) === name) continue
      this.#servers.delete(name)
      credit.close()
    }
    // What shares are made of is always known.
    this.#server(this.#options.queue)
  }

  #looked(look: MemoryLook): void {
    const { standing, meter } = this.#options
    const after = `the rest is for deliveries, and the fan-out waits until it is less than ${MARKS.resumeAt * 100} %`
    const fullest = this.#look ?? look
    meter
      .gauge(REPORT_MEMORY_USED_RATIO)()
      .set(fullest.limit === 0 ? 0 : fullest.used / fullest.limit)
    meter.gauge(REPORT_HANDLER_SHARE_BYTES)().set(this.handlerShare)
    standing.set('fan-out', this.holding ? `Redis is nearly full, ${fullness(fullest)}: ${after}` : undefined)
    const stuck = `Redis is full, ${fullness(fullest)}: workers wait until it takes writes again; give it more, or free some`
    standing.set('full', this.full ? stuck : undefined)
    standing.checkPolicy(look)
    for (const listener of this.#listeners) listener()
  }

  #watchLater(): void {
    if (this.#closed) return
    this.#cancelWatch = this.#options.clock.after(WATCH_EVERY_MS, () => {
      const { link } = this.#options
      this.#forgetMoved()
      const looks = link.state() === 'down' ? [] : [...this.#servers.values()].map(({ memory }) => memory.look())
      void Promise.allSettled(looks).then(() => this.#watchLater())
    })
  }
}

function isFull({ used, limit }: MemoryLook): boolean {
  return limit > 0 && used >= limit
}
