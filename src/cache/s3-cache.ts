// A cache by keys that makes room by S3-FIFO, bounded by bytes.

import { type Queued, S3Fifo, used } from './s3-fifo.ts'

class Entry<K, V> implements Queued<Entry<K, V>> {
  readonly key: K
  value: V
  readonly bytes: number
  readonly fingerprint: number
  uses = 0
  isMain = false
  older: Entry<K, V> | undefined = undefined
  newer: Entry<K, V> | undefined = undefined

  constructor(key: K, value: V, bytes: number, fingerprint: number) {
    this.key = key
    this.value = value
    this.bytes = bytes
    this.fingerprint = fingerprint
  }
}

export interface S3CacheOptions<K> {
  readonly maxBytes: number
  /** A hash of 32 bits. */
  fingerprint(key: K): number
  /** Called for each entry that room was made from. */
  readonly onEvict?: () => void
}

export class S3Cache<K, V> {
  readonly #entries = new Map<K, Entry<K, V>>()
  #queues = new S3Fifo<Entry<K, V>>()
  readonly #options: S3CacheOptions<K>
  #maxBytes: number

  constructor(options: S3CacheOptions<K>) {
    this.#options = options
    this.#maxBytes = options.maxBytes
  }

  get size(): number {
    return this.#queues.size
  }

  get bytes(): number {
    return this.#queues.bytes
  }

  get(key: K): V | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined) return undefined
    used(entry)
    return entry.value
  }

  /** Looks without counting as a use. */
  peek(key: K): V | undefined {
    return this.#entries.get(key)?.value
  }

  set(key: K, value: V, bytes: number): void {
    const former = this.#entries.get(key)
    const entry = new Entry(key, value, bytes, former?.fingerprint ?? this.#options.fingerprint(key))
    if (former === undefined) {
      this.#queues.add(entry)
    } else {
      this.#queues.replace(former, entry)
    }
    this.#entries.set(key, entry)
    this.#trim()
  }

  delete(key: K): void {
    const entry = this.#entries.get(key)
    if (entry === undefined) return
    this.#entries.delete(key)
    this.#queues.remove(entry)
  }

  /** Makes room from one entry. @returns whether there was one */
  evict(): boolean {
    const victim = this.#queues.evict()
    if (victim === undefined) return false
    this.#entries.delete(victim.key)
    this.#options.onEvict?.()
    return true
  }

  get maxBytes(): number {
    return this.#maxBytes
  }

  /** Sets another bound; what is too much goes at once. */
  set maxBytes(bytes: number) {
    this.#maxBytes = bytes
    this.#trim()
  }

  clear(): void {
    this.#entries.clear()
    // To unlink a million entries stalls the process.
    this.#queues = new S3Fifo()
  }

  #trim(): void {
    while (this.bytes > this.#maxBytes && this.evict());
  }
}
