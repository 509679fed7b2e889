// A slot that this process holds: its entries in memory, as they stand in Redis at a version.

import { CounterRegister, type CounterWrite } from '../../adapter-kit/counter-register.ts'
import type { RedisLink } from '../connection.ts'

const PAGE = 500
const TIMEOUT_MS = 2000
/** How often it is read again where it changed meanwhile. */
const TRIES = 3

export interface SlotKeys {
  readonly slots: string
  entries(slot: number): string
}

export class Slot {
  readonly number: number
  readonly #link: RedisLink
  readonly #keys: SlotKeys
  readonly register = new CounterRegister()
  /** -1 until it has been read. */
  version = -1

  constructor(number: number, link: RedisLink, keys: SlotKeys) {
    this.number = number
    this.#link = link
    this.#keys = keys
  }

  get key(): string {
    return this.#keys.entries(this.number)
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
      const found = await this.#readEntries()
      if ((await this.#readVersion()) !== before) continue
      this.#replace(found, before > 0 && before < this.version)
      this.version = before
      return
    }
  }

  /** Takes over what was written. */
  commit(writes: readonly CounterWrite[], now: number, version: number): void {
    for (const { group, field, numbers, isSet } of writes) {
      this.register.put(group.name, field, numbers, now)
      if (isSet) this.register.unfloor(group.name, field)
    }
    this.version = version
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

  async #readEntries(): Promise<CounterRegister> {
    const found = new CounterRegister()
    let cursor = '0'
    do {
      const [next, page] = await this.#link.run((client) => client.hscan(this.key, cursor, 'COUNT', PAGE), TIMEOUT_MS)
      for (let i = 0; i + 1 < page.length; i += 2) readEntry(found, page[i] ?? '', page[i + 1] ?? '')
      cursor = next
    } while (cursor !== '0')
    return found
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
