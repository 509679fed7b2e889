// Nodes that send what cannot be read, or more than is taken: counted, and told once in a while.

import { FIRST_LEVEL_NODE_FAULTS_TOTAL } from '../../kernel/metrics/first-level.ts'
import type { Clock, Logger, Meter } from '../../kernel/ports.ts'

/** How often such nodes leave a line: they are met again within a second. */
const LOG_MS = 10_000

interface NodeFaultsPorts {
  readonly clock: Pick<Clock, 'monotonic'>
  readonly log: Logger
  readonly meter: Meter
}

/** What is to be done when a node has sent such a thing. */
export function nodeFaults({ clock, log, meter }: NodeFaultsPorts): (error: Error, node: string) => void {
  const counted = meter.counter(FIRST_LEVEL_NODE_FAULTS_TOTAL)()
  let toldAt = Number.NEGATIVE_INFINITY
  return (error, node) => {
    counted.add()
    const now = clock.monotonic()
    if (now - toldAt < LOG_MS) return
    toldAt = now
    log.warn({ err: error, node }, 'a node sends what cannot be read, or too much: what it was sent over has ended')
  }
}
