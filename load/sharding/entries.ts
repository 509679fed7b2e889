// Cached answers as counters see them: a key, and until when it holds. What makes room is the code of the real caches.

import { type Linked, SecondChance } from '../../src/cache/second-chance.ts'

interface Entry extends Linked<Entry> {
  readonly key: number
  freshUntil: number
}

export class Entries {
  readonly #max: number
  readonly #byKey = new Map<number, Entry>()
  readonly #order = new SecondChance<Entry>()

  constructor(max: number) {
    this.#max = max
  }

  get size(): number {
    return this.#byKey.size
  }

  /** Until when it holds, where it does at `now`. */
  find(key: number, now: number): number | undefined {
    const entry = this.#byKey.get(key)
    if (entry === undefined || entry.freshUntil <= now) return undefined
    entry.isUsed = true
    return entry.freshUntil
  }

  keep(key: number, freshUntil: number): void {
    const former = this.#byKey.get(key)
    if (former !== undefined) this.#order.remove(former)
    const entry: Entry = { key, freshUntil, bytes: 1, isUsed: false, older: undefined, newer: undefined }
    this.#byKey.set(key, entry)
    this.#order.add(entry)
    if (this.#order.size <= this.#max) return
    const victim = this.#order.victim()
    if (victim === undefined) return
    this.#order.remove(victim)
    this.#byKey.delete(victim.key)
  }
}
