// How much memory the node's own cache has where nobody says.

import { totalmem } from 'node:os'
import { getHeapStatistics } from 'node:v8'

/** Of what a process may have. */
const CACHE_SHARE = 0.25

/**
 * A quarter of what V8's heap may become, or of this process's part of what the container or the machine has.
 * @param processes that share the container
 */
export function defaultCacheMemory(processes: number): number {
  // Without a limit it is 0, or more than there is.
  const limit = process.constrainedMemory() || Number.POSITIVE_INFINITY
  const memory = Math.min(limit, totalmem()) / processes
  return Math.floor(CACHE_SHARE * Math.min(getHeapStatistics().heap_size_limit, memory))
}
