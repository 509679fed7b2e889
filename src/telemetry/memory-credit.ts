// Lets writes into Redis as far as there is memory for them. A look at the memory gives credit for a part of the room that
// was found, and writes use it up: so most writes need no look, and none is made on what was true long ago.

import { IntermixError } from '../kernel/errors.ts'
import type { Clock } from '../kernel/ports.ts'
import type { MemoryLook, QueueMemory } from './queue-memory.ts'

/** Of the room that a look finds, one writer takes so much: others look at the same time. */
const ROOM_PER_LOOK = 1 / 64
/** The first credit after Redis was away or full; each further one is twice as large. */
const FIRST_CREDIT_BYTES = 64 * 1024
const MAX_CREDIT_BYTES = 4 * 1024 * 1024
const CREDIT_MS = 1000

export interface MemoryMarks {
  /** Of the memory that Redis may use: from here on nothing is written. */
  readonly stopAt: number
  /** Below it writing goes on. */
  readonly resumeAt: number
}

/** The credit of one writer. */
export class MemoryCredit {
  readonly #memory: QueueMemory
  readonly #clock: Clock
  readonly #marks: MemoryMarks
  readonly #stopListening: () => void
  #left = 0
  /** Bytes let through since the latest look: they may have been on their way when the next one was made. */
  #taken = 0
  /** What the latest look found, less those. */
  #room = 0
  #until = 0
  #next = FIRST_CREDIT_BYTES
  #holding = false
  /** Whether the latest look has not let a write through yet that is larger than any credit. */
  #unused = false

  constructor(memory: QueueMemory, clock: Clock, marks: MemoryMarks) {
    this.#memory = memory
    this.#clock = clock
    this.#marks = marks
    this.#stopListening = memory.onLook((look) => this.#looked(look))
  }

  /** Whether Redis was too full at the latest look. */
  get holding(): boolean {
    return this.#holding
  }

  /** Uses up credit for a write of so many bytes, if there is enough; no look is made. */
  take(bytes: number): boolean {
    if (this.#holding || this.#left < bytes || this.#clock.monotonic() >= this.#until) return false
    this.#left -= bytes
    this.#taken += bytes
    return true
  }

  /**
   * Uses up credit, and looks where there is too little.
   * @throws IntermixError OVERLOADED where Redis is too full, REDIS_UNAVAILABLE; and what Redis refuses a look with.
   */
  async acquire(bytes: number): Promise<void> {
    while (!this.take(bytes)) {
      const { used, limit } = await this.#memory.look()
      // Where there is much room, a write may be larger than what is left to the mark.
      const isTooLarge = bytes > this.#room && used > limit / 2
      if (limit > 0 && isTooLarge) this.#holding = true
      if (this.#holding) {
        const share = `${Math.round((100 * used) / limit)} % of ${limit} bytes`
        throw new IntermixError('OVERLOADED', `the memory of Redis is used to ${share}`)
      }
      // A write may be larger than any credit: each look lets one such through.
      if (this.#unused) this.#left = Math.max(this.#left, bytes)
      this.#unused = false
    }
  }

  /** Forgets what was found: after Redis was away, writing begins gently. */
  reset(): void {
    this.#left = 0
    this.#next = FIRST_CREDIT_BYTES
  }

  close(): void {
    this.#stopListening()
  }

  #looked({ used, limit }: MemoryLook): void {
    const { stopAt, resumeAt } = this.#marks
    const held = this.#holding
    this.#holding = limit > 0 && used >= (held ? resumeAt : stopAt) * limit
    if (this.#holding) return this.reset()
    this.#room = limit === 0 ? Number.POSITIVE_INFINITY : stopAt * limit - used - this.#taken
    this.#taken = 0
    this.#left = Math.min(this.#room * ROOM_PER_LOOK, this.#next)
    this.#unused = true
    this.#until = this.#clock.monotonic() + CREDIT_MS
    this.#next = Math.min(this.#next * 2, MAX_CREDIT_BYTES)
  }
}
