// Caches that make room in different ways, by the same keys and of the same bytes.

import { LRUCache } from 'lru-cache'
import { keyFingerprint } from '../../src/cache/key-fingerprint.ts'
import { S3Cache } from '../../src/cache/s3-cache.ts'
import { type Linked, SecondChance } from '../../src/cache/second-chance.ts'

/** Of an entry: each counts as much. */
const ENTRY_BYTES = 300

export interface Contender {
  /** Whether the key is there; what is not there is kept from now on. */
  ask(key: string): boolean
}

export const CONTENDERS = {
  'lru-cache': lru,
  'second chance': secondChance,
  's3-fifo': s3,
} as const

export type ContenderName = keyof typeof CONTENDERS

/** As the local tier had it: bounded by bytes. */
function lru(entries: number): Contender {
  const cache = new LRUCache<string, object>({ maxSize: entries * ENTRY_BYTES })
  return {
    ask(key) {
      if (cache.get(key) !== undefined) return true
      cache.set(key, {}, { size: ENTRY_BYTES })
      return false
    },
  }
}

function s3(entries: number): Contender {
  const cache = new S3Cache<string, object>({ maxBytes: entries * ENTRY_BYTES, fingerprint: keyFingerprint })
  return {
    ask(key) {
      if (cache.get(key) !== undefined) return true
      cache.set(key, {}, ENTRY_BYTES)
      return false
    },
  }
}

class Kept implements Linked<Kept> {
  readonly key: string
  readonly bytes = ENTRY_BYTES
  isUsed = false
  older: Kept | undefined = undefined
  newer: Kept | undefined = undefined

  constructor(key: string) {
    this.key = key
  }
}

/** As whole answers have it. */
function secondChance(entries: number): Contender {
  const byKey = new Map<string, Kept>()
  const list = new SecondChance<Kept>()
  return {
    ask(key) {
      const kept = byKey.get(key)
      if (kept !== undefined) {
        kept.isUsed = true
        return true
      }
      const entry = new Kept(key)
      byKey.set(key, entry)
      list.add(entry)
      entry.isUsed = true
      while (list.bytes > entries * ENTRY_BYTES) {
        const victim = list.victim()
        if (victim === undefined) break
        list.remove(victim)
        byKey.delete(victim.key)
      }
      entry.isUsed = false
      return false
    },
  }
}
