// Names report batches: unique over all nodes and restarts without asking anybody.

import type { DoorDependencies } from './door-dependencies.ts'

/**
 * Makes ids of the form `<node>-<start>-<n>`: `start` is the time and 52 random bits at the start of the process, so a
 * node that comes back under its old name does not repeat itself. Letters, digits and `-` only.
 */
export function createBatchIds(options: Pick<DoorDependencies, 'nodeId' | 'clock' | 'random'>): () => string {
  const node = options.nodeId.replaceAll(/[^A-Za-z0-9-]/g, '-').slice(0, 64)
  const chance = Math.floor(options.random() * 2 ** 52)
  const prefix = `${node}-${options.clock.now().toString(36)}${chance.toString(36).padStart(11, '0')}`
  let made = 0
  return () => `${prefix}-${(made++).toString(36)}`
}
