// The names of queues and keys: each queue has a hash tag of its own, so that a cluster can spread them.

import { createHash } from 'node:crypto'

/** Names under a prefix of letters, digits, `-`, `_` and `.`. */
export interface QueueNames {
  readonly reports: string
  readonly deadLetters: string
  deliver(handler: string): string
  /** The key prefix that BullMQ gets for a queue. */
  keyPrefix(queue: string): string
  /** Hash of the ledger of handlers. */
  readonly ledger: string
  /** Key that says a ledger event was counted. */
  ledgerEvent(id: string): string
}

const DEFAULT_QUEUE_PREFIX = 'intermix'

export function queueNames(prefix: string = DEFAULT_QUEUE_PREFIX): QueueNames {
  return {
    reports: `${prefix}-reports`,
    deadLetters: `${prefix}-dead-letters`,
    deliver: (handler) => `${prefix}-deliver-${createHash('sha256').update(handler).digest('hex').slice(0, 16)}`,
    keyPrefix: (queue) => `{${queue}}`,
    ledger: `{${prefix}-ledger}`,
    ledgerEvent: (id) => `{${prefix}-ledger}:seen:${id}`,
  }
}
