// Counters of a handler in memory, for a process that works without Redis.

import type { CounterChange, DurableCounters, FieldGuard } from '../adapter-kit/durable-counters.ts'

// Older batches cannot come back: retries of a batch end long before that many others have passed.
const REMEMBERED_BATCHES = 10_000

/** One register that lives as long as the process. */
export class MemoryCounters implements DurableCounters {
  readonly #name: string
  readonly #fields = new Map<string, number>()
  readonly #batches = new Set<string>()

  constructor(name = 'local') {
    this.#name = name
  }

  async apply(batchId: string, changes: readonly CounterChange[]): Promise<void> {
    if (this.#batches.has(batchId)) return
    this.#batches.add(batchId)
    for (const oldest of this.#batches) {
      if (this.#batches.size <= REMEMBERED_BATCHES) break
      this.#batches.delete(oldest)
    }
    for (const { field, add, set } of changes) {
      if (set !== undefined) this.#fields.set(field, set)
      if (add !== undefined) this.#fields.set(field, (this.#fields.get(field) ?? 0) + add)
    }
  }

  async registers(): Promise<ReadonlyMap<string, ReadonlyMap<string, number>>> {
    return new Map([[this.#name, new Map(this.#fields)]])
  }

  async forget(register: string, guard: FieldGuard, fields: readonly string[]): Promise<void> {
    if (register !== this.#name) return
    if (this.#fields.get(guard.field) !== guard.value) return
    for (const field of fields) this.#fields.delete(field)
  }
}
