// How much of its memory this process uses.

import { getHeapSpaceStatistics, getHeapStatistics } from 'node:v8'
import type { ProcessMemory } from '../kernel/ports.ts'

/**
 * What the heap's limit counts for the young generation, three times 64 MiB: what lives long has the rest. Where flags make it smaller,
 * memory is taken for scarce a little early.
 */
const YOUNG_BYTES = 3 * 64 * 1024 * 1024
const YOUNG = /^new_/

/** @param processes that share the container */
export function processMemory(processes: number): ProcessMemory {
  // Without a limit it is 0, or more than any process has.
  const container = (process.constrainedMemory() || Number.POSITIVE_INFINITY) / processes
  const { heap_size_limit: heap } = getHeapStatistics()
  const old = Math.max(heap / 4, heap - YOUNG_BYTES)
  return {
    usedShare() {
      let used = 0
      for (const space of getHeapSpaceStatistics()) if (!YOUNG.test(space.space_name)) used += space.space_used_size
      return Math.max(used / old, process.memoryUsage.rss() / container)
    },
  }
}
