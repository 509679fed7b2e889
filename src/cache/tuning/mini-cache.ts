// Caches without values, which say what a cache of another size would have found. They make room by the very code by which the
// caches do that they stand for.

import { S3Cache } from '../s3-cache.ts'
import { type Linked, SecondChance } from '../second-chance.ts'

export interface MiniCache {
  /**
   * Looks for a key, and keeps it where it is not found or has ended.
   * @param until when what is kept now will end, on the clock of `now`
   * @returns whether it was found
   */
  ask(key: number, bytes: number, until: number, now: number): boolean
  /** Puts what was renewed ahead of need into the place of what is kept, where it is. */
  renew(key: number, bytes: number, until: number): void
  /** Sets its size; what is too much goes at once. */
  resize(maxBytes: number): void
  readonly size: number
  /** Whether it has made room since it was empty: before, a larger one would have kept the same. */
  readonly hasMadeRoom: boolean
  clear(): void
}

export type MiniCacheKind = keyof typeof MINI_CACHES

/** By what they stand for: whole answers, and verdicts of handlers. */
export const MINI_CACHES = {
  answers: (): MiniCache => new MiniAnswers(),
  verdicts: (): MiniCache => new MiniVerdicts(),
} as const

class Kept implements Linked<Kept> {
  readonly key: number
  readonly bytes: number
  until: number
  isUsed = false
  older: Kept | undefined = undefined
  newer: Kept | undefined = undefined

  constructor(key: number, bytes: number, until: number) {
    this.key = key
    this.bytes = bytes
    this.until = until
  }
}

/** As `answer-cache.ts` keeps answers. */
class MiniAnswers implements MiniCache {
  readonly #byKey = new Map<number, Kept>()
  readonly #kept = new SecondChance<Kept>()
  #maxBytes = 0
  hasMadeRoom = false

  get size(): number {
    return this.#kept.size
  }

  ask(key: number, bytes: number, until: number, now: number): boolean {
    const former = this.#byKey.get(key)
    if (former !== undefined && now < former.until) {
      former.isUsed = true
      return true
    }
    this.#put(former, key, bytes, until)
    return false
  }

  renew(key: number, bytes: number, until: number): void {
    const former = this.#byKey.get(key)
    if (former !== undefined) this.#put(former, key, bytes, until)
  }

  resize(maxBytes: number): void {
    this.#maxBytes = maxBytes
    this.#makeRoom()
  }

  clear(): void {
    for (const kept of this.#byKey.values()) this.#kept.remove(kept)
    this.#byKey.clear()
    this.hasMadeRoom = false
  }

  #put(former: Kept | undefined, key: number, bytes: number, until: number): void {
    if (former !== undefined) this.#kept.remove(former)
    const kept = new Kept(key, bytes, Math.floor(until))
    this.#byKey.set(key, kept)
    this.#kept.add(kept)
    kept.isUsed = true
    this.#makeRoom()
    kept.isUsed = false
  }

  #makeRoom(): void {
    while (this.#kept.size > 1 && this.#kept.bytes > this.#maxBytes) {
      const victim = this.#kept.victim()
      if (victim === undefined) return
      this.hasMadeRoom = true
      this.#kept.remove(victim)
      this.#byKey.delete(victim.key)
    }
  }
}

/** As `local-tier.ts` keeps verdicts. */
class MiniVerdicts implements MiniCache {
  /** Until when each is kept. */
  readonly #entries = new S3Cache<number, number>({
    maxBytes: 0,
    fingerprint: (key) => key,
    onEvict: () => {
      this.hasMadeRoom = true
    },
  })
  hasMadeRoom = false

  get size(): number {
    return this.#entries.size
  }

  ask(key: number, bytes: number, until: number, now: number): boolean {
    const kept = this.#entries.get(key)
    if (kept !== undefined && now < kept) return true
    this.#entries.set(key, Math.floor(until), bytes)
    return false
  }

  renew(key: number, bytes: number, until: number): void {
    if (this.#entries.peek(key) !== undefined) this.#entries.set(key, Math.floor(until), bytes)
  }

  resize(maxBytes: number): void {
    this.#entries.maxBytes = maxBytes
  }

  clear(): void {
    this.#entries.clear()
    this.hasMadeRoom = false
  }
}
