// Counters in memory, for a process that works without Redis: one register that lives as long as the process.

import type { Clock } from '../kernel/ports.ts'
import { CounterRegister, type CounterWrite, exposedBytes, keyOf, RegisterDraft } from './counter-register.ts'
import type { CounterChange, CounterEntry, DurableCounters, HeldRegisters } from './durable-counters.ts'

// Older batches cannot come back: retries of a batch end long before that many others have passed.
const REMEMBERED_BATCHES = 10_000

export class MemoryCounters implements DurableCounters {
  readonly #clock: Pick<Clock, 'now'>
  readonly #register = new CounterRegister()
  readonly #registers: HeldRegisters['registers']
  readonly #batches = new Set<string>()
  /** Fields that count towards the bounds: by group, with their bytes. */
  readonly #admitted = new Map<string, Map<string, number>>()
  #bytes = 0
  #revision = 0

  /** @param register its number: 0 unless other processes of the node have registers too. */
  constructor(clock: Pick<Clock, 'now'>, register = '0') {
    this.#clock = clock
    this.#registers = new Map([[register, this.#register.groups]])
  }

  apply(batchId: string, changes: readonly CounterChange[]): Promise<number> {
    if (this.#batches.has(batchId)) return Promise.resolve(0)
    this.#batches.add(batchId)
    for (const oldest of this.#batches) {
      if (this.#batches.size <= REMEMBERED_BATCHES) break
      this.#batches.delete(oldest)
    }
    let draft = new RegisterDraft(this.#register)
    draft.take(changes)
    const refused = this.#admit(draft.writes)
    let overflowed = 0
    if (refused.size > 0) {
      draft = new RegisterDraft(this.#register, refused)
      overflowed = draft.take(changes)
    }
    const now = this.#clock.now()
    for (const { group, field, numbers } of draft.writes) this.#register.put(group.name, field, numbers, now)
    this.#revision++
    return Promise.resolve(overflowed)
  }

  held(): Promise<HeldRegisters> {
    return Promise.resolve({ registers: this.#registers, revision: this.#revision, staleMs: 0 })
  }

  forget(isOver: (entry: CounterEntry) => boolean): Promise<void> {
    for (const entry of this.#register.entries()) {
      if (!isOver(entry)) continue
      this.#register.delete(entry)
      const admitted = this.#admitted.get(entry.group)
      this.#bytes -= admitted?.get(entry.field) ?? 0
      admitted?.delete(entry.field)
      this.#revision++
    }
    return Promise.resolve()
  }

  /** Lets new fields in as long as the bounds allow. @returns the keys of those that they do not. */
  #admit(writes: readonly CounterWrite[]): ReadonlySet<string> {
    const refused = new Set<string>()
    for (const { group, field, numbers, isNew } of writes) {
      if (!isNew) continue
      const admitted = this.#admitted.get(group.name) ?? new Map<string, number>()
      this.#admitted.set(group.name, admitted)
      const bytes = exposedBytes(field, numbers)
      if (admitted.size >= group.maxFields || this.#bytes + bytes > group.maxBytes) {
        refused.add(keyOf(group.name, field))
      } else {
        admitted.set(field, bytes)
        this.#bytes += bytes
      }
    }
    return refused
  }
}
