// Counters that outlive a process, for adapters whose backend pulls (Prometheus).

/** What is counted in one way, such as a metric: its fields share a bound. */
export interface CounterGroup {
  /** Without `|`. */
  readonly name: string
  /** How many fields there may be in all registers together, each counted once. */
  readonly maxFields: number
  /** The field that takes what belongs to further fields; it is always there. */
  readonly overflow: string
  /** What the fields of all groups may take when they are exposed, in all registers together. */
  readonly maxBytes: number
}

/** One change of a field: its numbers are added to, or set. */
export interface CounterChange {
  readonly group: CounterGroup
  /** Opaque to the store. */
  readonly field: string
  readonly add?: readonly number[]
  readonly set?: readonly number[]
}

/** A field as it stands in this process's memory. The object stays the same as long as the field is there. */
export interface CounterEntry {
  readonly group: string
  readonly field: string
  readonly numbers: readonly number[]
  /** What was exposed before the store lost its latest writes: less than that is not shown. */
  readonly floor?: readonly number[]
  /** Milliseconds since the epoch of the last change. */
  readonly changedAt: number
}

/** What this process answers for. */
export interface HeldRegisters {
  /** The entries of each register, by the register's number and by group. */
  readonly registers: ReadonlyMap<string, ReadonlyMap<string, ReadonlyMap<string, CounterEntry>>>
  /** Differs whenever anything in the registers does. */
  readonly revision: number
  /** How long ago, in milliseconds, it was certain that no other process answers for these registers; 0 while that is so. */
  readonly staleMs: number
}

/**
 * Numbers by field, kept per process in a *register*, and not lost when the process is killed: registers have numbers
 * from 0 on, each is written by one process, and whoever takes it over goes on counting in it. A batch that was applied
 * is not applied again, whichever process retries it.
 */
export interface DurableCounters {
  /**
   * Applies all changes of a batch at once, or none if the batch was applied before. Rejects when the store is out of
   * reach.
   * @returns how many changes went to the overflow of their group.
   */
  apply(batchId: string, changes: readonly CounterChange[]): Promise<number>
  /**
   * The registers that this process answers for: its own, and those of processes that have died, which it adopted. Each
   * register is in exactly one live process's answer. Read from memory: it waits for the store only where this process
   * has just started or has stood still, and never long.
   */
  held(): Promise<HeldRegisters>
  /** Removes the entries of which this is said from the registers that this process answers for. */
  forget(isOver: (entry: CounterEntry) => boolean): Promise<void>
}
