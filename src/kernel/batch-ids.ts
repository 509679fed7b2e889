// Names report batches: unique over all nodes and restarts without asking anybody.

import type { Clock, Random } from './ports.ts'

export interface BatchIds {
  /** The process that takes the batches, as no other one is called: `<node>-<start>`. */
  readonly process: string
  /** The next id: `<process>-<n>`. */
  readonly next: () => string
}

/**
 * To be made once in a process: `start` is the time and 52 random bits, so a node that comes back under its old name does
 * not repeat itself. Letters, digits and `-` only.
 */
export function createBatchIds(options: {
  readonly nodeId: string
  readonly clock: Pick<Clock, 'now'>
  readonly random: Random
}): BatchIds {
  const node = options.nodeId.replaceAll(/[^A-Za-z0-9-]/g, '-').slice(0, 64)
  const chance = Math.floor(options.random() * 2 ** 52)
  const process = `${node}-${options.clock.now().toString(36)}${chance.toString(36).padStart(11, '0')}`
  let made = 0
  return { process, next: () => `${process}-${(made++).toString(36)}` }
}
