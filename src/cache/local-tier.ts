// The node's own verdicts: an LRU bounded by entries and by bytes.

import { LRUCache } from 'lru-cache'
import { entryBytes, type VerdictEntry } from './verdict-entry.ts'

export interface LocalTierOptions {
  readonly maxEntries: number
  readonly maxBytes: number
  /** Called for each entry that room was made from. */
  readonly onEvict: () => void
}

export class LocalTier {
  readonly #entries: LRUCache<string, VerdictEntry>

  constructor({ maxEntries, maxBytes, onEvict }: LocalTierOptions) {
    this.#entries = new LRUCache({
      max: maxEntries,
      maxSize: maxBytes,
      // One entry may take at most a hundredth of the room.
      maxEntrySize: Math.max(4096, Math.floor(maxBytes / 100)),
      sizeCalculation: (entry, key) => entryBytes(key, entry),
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
    this.#entries.set(key, entry)
  }

  delete(key: string): void {
    this.#entries.delete(key)
  }

  clear(): void {
    this.#entries.clear()
  }
}
