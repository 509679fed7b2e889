// The room for reports in Redis: for each shard of their queue, the memory of the server that owns it.

import type { Clock } from '../kernel/ports.ts'
import type { RedisLink } from '../redis/connection.ts'
import { MemoryCredit } from './memory-credit.ts'
import { type MemoryLook, QueueMemory } from './queue-memory.ts'

/** The rest is for the workers: what they make of reports is larger than reports are. */
export const REPORT_MARKS = { stopAt: 0.7, resumeAt: 0.65 }

export interface ReportRoomOptions {
  readonly link: RedisLink
  readonly clock: Clock
  /** Name of the queue at present, of a shard. */
  readonly queueOf: (shard: number) => string
  readonly shards: number
  /** Called after each look at a shard. */
  readonly onLook: () => void
}

export class ReportRoom {
  readonly #shards: readonly { readonly memory: QueueMemory; readonly credit: MemoryCredit }[]

  constructor({ link, clock, queueOf, shards, onLook }: ReportRoomOptions) {
    this.#shards = Array.from({ length: shards }, (_, shard) => {
      const memory = new QueueMemory({ link, queue: () => queueOf(shard) })
      const credit = new MemoryCredit(memory, clock, REPORT_MARKS)
      memory.onLook(onLook)
      return { memory, credit }
    })
  }

  /** What the latest looks found, of shards that were looked at. */
  get looks(): readonly MemoryLook[] {
    return this.#shards.map(({ memory }) => memory.last).filter((look) => look !== undefined)
  }

  /** Whether a shard's server was too full at the latest look. */
  isFull(shard: number): boolean {
    return this.#shards[shard]?.credit.holding === true
  }

  /** What was found at the servers that are too full, as many as shards lie there. */
  get full(): readonly MemoryLook[] {
    return this.#shards.flatMap(({ memory, credit }) => (credit.holding && memory.last ? [memory.last] : []))
  }

  /** @throws IntermixError as `MemoryCredit.acquire` */
  async acquire(shard: number, bytes: number): Promise<void> {
    await this.#shards[shard]?.credit.acquire(bytes)
  }

  /** Looks at all; a look that fails says nothing. */
  async look(): Promise<void> {
    await Promise.allSettled(this.#shards.map(({ memory }) => memory.look()))
  }

  /** Forgets what was found. */
  reset(): void {
    for (const { credit } of this.#shards) credit.reset()
  }

  close(): void {
    for (const { credit } of this.#shards) credit.close()
  }
}
