// The node's own verdicts, bounded by entries and by bytes. Room is made by S3-FIFO: `node load/eviction.ts` holds it against
// LRU, which finds less in more time.

import type { Counter } from '../kernel/ports.ts'
import { keyFingerprint } from './key-fingerprint.ts'
import type { LookupWatch } from './lookup-watch.ts'
import { S3Cache } from './s3-cache.ts'
import { entryBytes, type VerdictEntry } from './verdict-entry.ts'

export interface LocalTierOptions {
  readonly maxEntries: number
  readonly maxBytes: number
  /** Called for each entry that room was made from. */
  readonly onEvict: () => void
  /** Counts entries that are too large to be kept. */
  readonly refused: Counter
  /** Hears of look-ups and of what they found. */
  readonly watch?: LookupWatch | undefined
}

/** How an entry comes. */
export interface StoreOptions {
  /** Whether a check looked for it, and has not found it. */
  readonly isAsked: boolean
  /** How long it is served after its end, while it is refreshed. */
  readonly servedForMs: number
}

const ASKED: StoreOptions = { isAsked: true, servedForMs: 0 }

/** Where the verdicts of each handler are kept. */
export interface LocalTiers {
  of(handler: string): LocalTier
  /** The same, where there is one already: for whoever only looks. */
  known(handler: string): LocalTier | undefined
  clear(): void
}

/** Keeps the verdicts of all handlers in one tier. */
export function sharedTier(tier: LocalTier): LocalTiers {
  return { of: () => tier, known: () => tier, clear: () => tier.clear() }
}

export class LocalTier {
  readonly #entries: S3Cache<string, VerdictEntry>
  readonly #maxEntries: number
  readonly #watch: LookupWatch | undefined
  readonly #refused: Counter
  #maxEntryBytes = 0

  constructor({ maxEntries, maxBytes, onEvict, refused, watch }: LocalTierOptions) {
    this.#refused = refused
    this.#watch = watch
    this.#maxEntries = maxEntries
    this.#entries = new S3Cache({ maxBytes, fingerprint: keyFingerprint, onEvict })
    this.maxBytes = maxBytes
  }

  get size(): number {
    return this.#entries.size
  }

  get bytes(): number {
    return this.#entries.bytes
  }

  /** Of the bytes, the share that entries take by themselves: their keys are a part of them. */
  get density(): number {
    return 1
  }

  get maxBytes(): number {
    return this.#entries.maxBytes
  }

  /** Sets another bound; what is too much goes at once. */
  set maxBytes(bytes: number) {
    this.#entries.maxBytes = bytes
    // One entry may take at most a hundredth of the room.
    this.#maxEntryBytes = Math.max(4096, Math.floor(bytes / 100))
  }

  get(key: string): VerdictEntry | undefined {
    return this.#entries.get(key)
  }

  /**
   * An entry that `get` gave is served.
   * @param until when an entry would be served no more that were fetched now
   */
  served(key: string, entry: VerdictEntry, until: number): void {
    if (this.#watch === undefined) return
    const fingerprint = keyFingerprint(key)
    if (this.#watch.found(fingerprint)) this.#watch.sampled(fingerprint, entryBytes(key, entry), until)
  }

  /** Looks without counting as a use. */
  peek(key: string): VerdictEntry | undefined {
    return this.#entries.peek(key)
  }

  set(key: string, entry: VerdictEntry, { isAsked, servedForMs }: StoreOptions = ASKED): void {
    const size = entryBytes(key, entry)
    if (size <= this.#maxEntryBytes) {
      if (this.#watch !== undefined) {
        const former = this.#entries.peek(key)
        const formerUntil = former && former.freshUntil + servedForMs
        this.#watch.stored(keyFingerprint(key), size, entry.freshUntil + servedForMs, isAsked, formerUntil)
      }
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
    this.#watch?.cleared()
  }
}
