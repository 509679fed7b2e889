// A slot that this process holds: its entries in memory, as they stand in Redis at a version.

import { CounterRegister, type CounterWrite, keyOf } from '../../adapter-kit/counter-register.ts'
import type { CounterEntry } from '../../adapter-kit/durable-counters.ts'
import type { RedisLink } from '../connection.ts'

const PAGE = 500
const TIMEOUT_MS = 2000
/** How often it is read again where it changed meanwhile. */
const TRIES = 3

export interface SlotKeys {
  readonly slots: string
  /** Entries by number. */
  entries(slot: number): string
  /** What the numbers stand for: long texts, which are written and sent once. */
  names(slot: number): string
}

/** How writes are put into words for Redis. */
export interface NumberedWrites {
  /** Pairs of number and name, of what Redis does not know so far. */
  readonly names: readonly (readonly [number, string])[]
  /** By write. */
  readonly numbers: readonly number[]
}

export class Slot {
  readonly number: number
  readonly #link: RedisLink
  readonly #keys: SlotKeys
  readonly register = new CounterRegister()
  /** -1 until it has been read. */
  version = -1
  readonly #numbers = new Map<string, number>()
  #nextNumber = 0

  constructor(number: number, link: RedisLink, keys: SlotKeys) {
    this.number = number
    this.#link = link
    this.#keys = keys
  }

  /** Keys of entries and names. */
  get keys(): readonly [string, string] {
    return [this.#keys.entries(this.number), this.#keys.names(this.number)]
  }

  /** Numbers for writes; those that are new are taken once the writes are committed. */
  numbered(writes: readonly CounterWrite[]): NumberedWrites {
    const names: [number, string][] = []
    const numbers = writes.map(({ key }) => {
      const known = this.#numbers.get(key)
      if (known !== undefined) return known
      names.push([this.#nextNumber + names.length, key])
      return this.#nextNumber + names.length - 1
    })
    return { names, numbers }
  }

  /** The number of an entry; `undefined` where Redis does not know it. */
  numberOf({ group, field }: CounterEntry): number | undefined {
    return this.#numbers.get(keyOf(group, field))
  }

  /** Whether Redis has another version than the one that is known here. */
  async hasMoved(): Promise<boolean> {
    return (await this.#readVersion()) !== this.version
  }

  /**
   * Reads it, in pages; for its holder, which writes nothing meanwhile. Where Redis has lost the latest writes, what was
   * exposed before stays: a counter that falls would be taken for one that began anew. Where it has lost all, it does.
   */
  async load(): Promise<void> {
    for (let tries = 0; tries < TRIES; tries++) {
      const before = await this.#readVersion()
      const { found, known } = await this.#readEntries()
      if ((await this.#readVersion()) !== before) continue
      this.#replace(found, before > 0 && before < this.version)
      this.#numbers.clear()
      this.#nextNumber = 0
      for (const [number, name] of known) this.#setNumber(name, Number(number))
      this.version = before
      return
    }
  }

  /** Takes over what was written. */
  commit(writes: readonly CounterWrite[], { names }: NumberedWrites, now: number, version: number): void {
    for (const [number, name] of names) this.#setNumber(name, number)
    for (const { group, field, numbers, isSet } of writes) {
      this.register.put(group.name, field, numbers, now)
      if (isSet) this.register.unfloor(group.name, field)
    }
    this.version = version
  }

  /** What has been removed from Redis. */
  remove(entries: readonly CounterEntry[], version: number): void {
    for (const entry of entries) {
      this.register.delete(entry)
      this.#numbers.delete(keyOf(entry.group, entry.field))
    }
    this.version = version
  }

  #setNumber(name: string, number: number): void {
    this.#numbers.set(name, number)
    this.#nextNumber = Math.max(this.#nextNumber, number + 1)
  }

  #replace(found: CounterRegister, isOlder: boolean): void {
    for (const entry of this.register.entries()) {
      const now = found.get(entry.group, entry.field)
      if (isOlder) this.register.floor(entry)
      else if (now === undefined) this.register.delete(entry)
    }
    for (const { group, field, numbers, changedAt } of found.entries()) {
      this.register.put(group, field, numbers, changedAt)
    }
  }

  async #readVersion(): Promise<number> {
    const version = await this.#link.run((client) => client.hget(this.#keys.slots, `v:${this.number}`), TIMEOUT_MS)
    return Number(version ?? 0)
  }

  async #readEntries(): Promise<{ found: CounterRegister; known: ReadonlyMap<string, string> }> {
    const [entries, names] = this.keys
    const known = new Map<string, string>()
    for await (const [number, name] of this.#pairs(names)) {
      // What is no number was not put there by this program.
      if (/^\d{1,15}$/.test(number)) known.set(number, name)
    }
    const found = new CounterRegister()
    for await (const [number, text] of this.#pairs(entries)) {
      const name = known.get(number)
      if (name !== undefined) readEntry(found, name, text)
    }
    return { found, known }
  }

  async *#pairs(key: string): AsyncGenerator<readonly [string, string]> {
    let cursor = '0'
    do {
      const [next, page] = await this.#link.run((client) => client.hscan(key, cursor, 'COUNT', PAGE), TIMEOUT_MS)
      for (let i = 0; i + 1 < page.length; i += 2) yield [page[i] ?? '', page[i + 1] ?? '']
      cursor = next
    } while (cursor !== '0')
  }
}

/** An entry as it is kept in Redis: when it changed, and its numbers. */
export function entryText(numbers: readonly number[], changedAt: number): string {
  return `${changedAt} ${numbers.join(' ')}`
}

/** What is no entry is left out. Sums may be infinite, or no number any more. */
function readEntry(register: CounterRegister, key: string, text: string): void {
  const at = key.indexOf('|')
  const [changedAt = '', ...numbers] = text.split(' ')
  if (at < 0 || !NUMBER.test(changedAt) || numbers.length === 0 || !numbers.every((number) => NUMBER.test(number)))
    return
  register.put(key.slice(0, at), key.slice(at + 1), numbers.map(Number), Number(changedAt))
}

const NUMBER = /^(NaN|-?(Infinity|\d+(\.\d+)?(e[+-]\d+)?))$/
