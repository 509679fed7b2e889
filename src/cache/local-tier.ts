// The node's own verdicts: an LRU bounded by entries and by bytes.

import { LRUCache } from 'lru-cache'
import type { Counter } from '../kernel/ports.ts'
import { entryBytes, type VerdictEntry } from './verdict-entry.ts'

export interface LocalTierOptions {
  readonly maxEntries: number
  readonly maxBytes: number
  /** Called for each entry that room was made from. */
  readonly onEvict: () => void
  /** Counts entries that are too large to be kept. */
  readonly refused: Counter
}

export class LocalTier {
  readonly #entries: LRUCache<string, VerdictEntry>
  readonly #maxEntries: number
  readonly #maxEntryBytes: number
  readonly #refused: Counter

  constructor({ maxEntries, maxBytes, onEvict, refused }: LocalTierOptions) {
    // One entry may take at most a hundredth of the room.
    this.#maxEntryBytes = Math.max(4096, Math.floor(maxBytes / 100))
    this.#refused = refused
    this.#maxEntries = maxEntries
    // Not given the number of entries: it would set up lists for all of them.
    this.#entries = new LRUCache({
      maxSize: maxBytes,
      dispose: (_entry, _key, reason) => {
        if (reason === 'evict') onEvict()
      },
    })
  }

  get size(): number {
    return this.#entries.size
  }

  get bytes(): number {
    return this.#entries.calculatedSize
  }

  get(key: string): VerdictEntry | undefined {
    return this.#entries.get(key)
  }

  /** Looks without counting as a use. */
  peek(key: string): VerdictEntry | undefined {
    return this.#entries.peek(key)
  }

  set(key: string, entry: VerdictEntry): void {
    const size = entryBytes(key, entry)
    if (size <= this.#maxEntryBytes) {
      this.#entries.set(key, entry, { size })
      while (this.#entries.size > this.#maxEntries) this.#entries.pop()
      return
    }
    // What it was to replace must not outlive it.
    this.#entries.delete(key)
    this.#refused.add()
  }

  delete(key: string): void {
    this.#entries.delete(key)
  }

  clear(): void {
    this.#entries.clear()
  }
}
