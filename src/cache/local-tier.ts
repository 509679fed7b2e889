// The node's own verdicts, bounded by entries and by bytes. Room is made by S3-FIFO: `node load/eviction.ts` holds it against
// LRU, which finds less in more time.

import type { Counter } from '../kernel/ports.ts'
import { keyFingerprint } from './key-fingerprint.ts'
import { S3Cache } from './s3-cache.ts'
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
  readonly #entries: S3Cache<string, VerdictEntry>
  readonly #maxEntries: number
  readonly #maxEntryBytes: number
  readonly #refused: Counter

  constructor({ maxEntries, maxBytes, onEvict, refused }: LocalTierOptions) {
    // One entry may take at most a hundredth of the room.
    this.#maxEntryBytes = Math.max(4096, Math.floor(maxBytes / 100))
    this.#refused = refused
    this.#maxEntries = maxEntries
    this.#entries = new S3Cache({ maxBytes, fingerprint: keyFingerprint, onEvict })
  }

  get size(): number {
    return this.#entries.size
  }

  get bytes(): number {
    return this.#entries.bytes
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
      this.#entries.set(key, entry, size)
      while (this.#entries.size > this.#maxEntries) this.#entries.evict()
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
