// One register of counters in memory, and how batches become changes of it.

import type { CounterChange, CounterEntry, CounterGroup } from './durable-counters.ts'

type Entry = { -readonly [K in keyof CounterEntry]: CounterEntry[K] }
type Write = { -readonly [K in keyof CounterWrite]: CounterWrite[K] }

/** A field's numbers as they will be. */
export interface CounterWrite {
  readonly key: string
  readonly group: CounterGroup
  readonly field: string
  readonly numbers: number[]
  /** Whether the bounds have a say: the register lacks the field so far, and it is no overflow. */
  readonly isNew: boolean
  /** Whether the last change set it. */
  readonly isSet: boolean
}

// What a line has beside the labels.
const LINE_BYTES = 64

export class CounterRegister {
  readonly groups = new Map<string, Map<string, Entry>>()

  get(group: string, field: string): CounterEntry | undefined {
    return this.groups.get(group)?.get(field)
  }

  put(group: string, field: string, numbers: readonly number[], changedAt: number): void {
    const fields = this.groups.get(group) ?? new Map<string, Entry>()
    this.groups.set(group, fields)
    const entry = fields.get(field)
    if (entry === undefined) fields.set(field, { group, field, numbers, changedAt })
    else Object.assign(entry, { numbers, changedAt })
  }

  /** From now on the entry shows no less than now, though what is kept has fallen to nothing or to what is put next. */
  floor(entry: CounterEntry): void {
    const own = this.groups.get(entry.group)?.get(entry.field)
    if (own !== undefined) Object.assign(own, { floor: shownNumbers(own), numbers: own.numbers.map(() => 0) })
  }

  /** The entry shows what is kept again. */
  unfloor(group: string, field: string): void {
    delete this.groups.get(group)?.get(field)?.floor
  }

  delete({ group, field }: CounterEntry): void {
    const fields = this.groups.get(group)
    fields?.delete(field)
    if (fields?.size === 0) this.groups.delete(group)
  }

  *entries(): Iterable<CounterEntry> {
    for (const fields of this.groups.values()) yield* fields.values()
  }
}

/** What a register will be once the changes of some batches are applied. The register itself is left as it is. */
export class RegisterDraft {
  readonly #register: CounterRegister
  readonly #refused: ReadonlySet<string>
  readonly #writes = new Map<string, Write>()

  /** @param refused keys of fields that the bound of their group does not let in. */
  constructor(register: CounterRegister, refused: ReadonlySet<string> = new Set()) {
    this.#register = register
    this.#refused = refused
  }

  get writes(): readonly CounterWrite[] {
    return [...this.#writes.values()]
  }

  /** Adds the changes of a batch. @returns how many of them go to an overflow. */
  take(changes: readonly CounterChange[]): number {
    let overflowed = 0
    for (const { group, field, add, set } of changes) {
      const isRefused = this.#refused.size > 0 && this.#refused.has(keyOf(group.name, field))
      if (isRefused) overflowed++
      const write = this.#write(group, isRefused ? group.overflow : field)
      const { numbers } = write
      write.isSet = set !== undefined
      if (set !== undefined) numbers.splice(0, numbers.length, ...set)
      for (const [i, amount] of (add ?? []).entries()) numbers[i] = (numbers[i] ?? 0) + amount
    }
    return overflowed
  }

  #write(group: CounterGroup, field: string): Write {
    const key = keyOf(group.name, field)
    const known = this.#writes.get(key)
    if (known !== undefined) return known
    const entry = this.#register.get(group.name, field)
    const numbers = [...(entry?.numbers ?? [])]
    const isNew = entry === undefined && field !== group.overflow
    const write = { key, group, field, numbers, isNew, isSet: false }
    this.#writes.set(key, write)
    return write
  }
}

/** What is to be exposed of an entry: what is kept, and no less than what was exposed before. */
export function shownNumbers({ numbers, floor }: CounterEntry): readonly number[] {
  return floor === undefined ? numbers : numbers.map((number, i) => Math.max(number, floor[i] ?? number))
}

/** Names a field among those of all groups. */
export function keyOf(group: string, field: string): string {
  return `${group}|${field}`
}

/** What a field adds to an exposition, in bytes, roughly: one line for each of its numbers. */
export function exposedBytes(field: string, numbers: readonly number[]): number {
  return numbers.length * (field.length + LINE_BYTES)
}
