// Counters that outlive a process, for adapters whose backend pulls (Prometheus).

/** One change of a register: add to a field, or set it. Field names are opaque to the store. */
export interface CounterChange {
  readonly field: string
  readonly add?: number
  readonly set?: number
}

/** A field and the value it had when it was read. */
export interface FieldGuard {
  readonly field: string
  readonly value: number
}

/**
 * A set of numbers by field, kept per process (its *register*) and not lost when the process is killed. A batch that
 * was applied is not applied again, whichever process retries it.
 */
export interface DurableCounters {
  /** Applies all changes of a batch at once, or none if the batch was applied before. Rejects when the store is out of reach. */
  apply(batchId: string, changes: readonly CounterChange[]): Promise<void>
  /**
   * The registers that this process answers for: its own, and those of processes that have died, which it adopted.
   * Each register is in exactly one live process's answer.
   */
  registers(): Promise<ReadonlyMap<string, ReadonlyMap<string, number>>>
  /** Removes fields of a register unless the guarding field has changed meanwhile. Absent where nothing is ever removed. */
  forget?(register: string, guard: FieldGuard, fields: readonly string[]): Promise<void>
}
