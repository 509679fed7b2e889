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

interface Shard {
  readonly memory: QueueMemory
  readonly credit: MemoryCredit
  /** What the latest look found; unset where it failed: of a server that is away nothing is known. */
  look: MemoryLook | undefined
}

export class ReportRoom {
  readonly #shards: readonly Shard[]

  constructor({ link, clock, queueOf, shards, onLook }: ReportRoomOptions) {
    this.#shards = Array.from({ length: shards }, (_, shard) => {
      const memory = new QueueMemory({ link, queue: () => queueOf(shard) })
      const credit = new MemoryCredit(memory, clock, REPORT_MARKS)
      const each: Shard = { memory, credit, look: undefined }
      memory.onLook((look) => {
        each.look = look
        onLook()
      })
      return each
    })
  }

  /** What the latest looks found, of shards that answered. */
  get looks(): readonly MemoryLook[] {
    return this.#shards.map(({ look }) => look).filter((look) => look !== undefined)
  }

  /** Whether a shard's server was too full at the latest look. */
  isFull(shard: number): boolean {
    const { credit, look } = this.#shards[shard] ?? {}
    return credit?.holding === true && look !== undefined
  }

  /** What was found at the servers that are too full, as many as shards lie there. */
  get full(): readonly MemoryLook[] {
    return this.#shards.flatMap(({ credit, look }) => (credit.holding && look !== undefined ? [look] : []))
  }

  /** @throws IntermixError as `MemoryCredit.acquire` */
  async acquire(shard: number, bytes: number): Promise<void> {
    await this.#shards[shard]?.credit.acquire(bytes)
  }

  /** Looks at all. */
  async look(): Promise<void> {
    await Promise.all(
      this.#shards.map((shard) =>
        shard.memory.look().catch(() => {
          // One of several that is away must hold up nothing; where there is but one, the link itself knows.
          if (this.#shards.length > 1) shard.look = undefined
        }),
      ),
    )
  }

  /** Forgets what was found. */
  reset(): void {
    for (const { credit } of this.#shards) credit.reset()
  }

  close(): void {
    for (const { credit } of this.#shards) credit.close()
  }
}
