// How much of its memory this process uses.

import { getHeapSpaceStatistics, getHeapStatistics } from 'node:v8'
import type { Logger, ProcessMemory } from '../kernel/ports.ts'

/**
 * What the heap's limit counts for the young generation, three times 64 MiB: what lives long has the rest. Where flags make it smaller,
 * memory is taken for scarce a little early.
 */
const YOUNG_BYTES = 3 * 64 * 1024 * 1024
const YOUNG = /^new_/

/** Of what a process may have, what caches may take without being the reason that it ends. */
const CACHE_SHARE = 0.7

/** Says so where caches may hold more than there is room for: they will give it back, but whoever set that expects more of them. */
export function warnOfCacheMemory(log: Logger, cacheBytes: number, roomBytes: number): void {
  if (cacheBytes <= CACHE_SHARE * roomBytes) return
  const facts = { cacheBytes, roomBytes: Math.floor(roomBytes) }
  log.warn(
    facts,
    'caches may hold more than this process has memory for; --max-old-space-size in NODE_OPTIONS is that of its heap',
  )
}

/** What of the heap what lives long may have, or what the container has for this process, in bytes. */
export function roomBytes(processes: number): number {
  return Math.min(oldHeapBytes(), containerBytes(processes))
}

function oldHeapBytes(): number {
  const { heap_size_limit: heap } = getHeapStatistics()
  return Math.max(heap / 4, heap - YOUNG_BYTES)
}

function containerBytes(processes: number): number {
  // Without a limit it is 0, or more than any process has.
  return (process.constrainedMemory() || Number.POSITIVE_INFINITY) / processes
}

/** @param processes that share the container */
export function processMemory(processes: number): ProcessMemory {
  const container = containerBytes(processes)
  const old = oldHeapBytes()
  return {
    usedShare() {
      let used = 0
      for (const space of getHeapSpaceStatistics()) if (!YOUNG.test(space.space_name)) used += space.space_used_size
      return Math.max(used / old, process.memoryUsage.rss() / container)
    },
  }
}
