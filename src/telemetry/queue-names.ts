// The names of queues and keys. Each queue has a hash tag of its own, so that a cluster can spread them; those of reports
// that were accepted under different rules share one, and with it the server whose memory is looked at.

import { createHash } from 'node:crypto'

/** Names under a prefix of letters, digits, `-`, `_` and `.`. */
export interface QueueNames {
  /**
   * The queue of what was accepted under the report rules with this digest. Without one: of what any worker may evaluate
   * under the rules that it has, as replayed reports and those of versions that knew no digest.
   */
  reports(rules?: string): string
  readonly deadLetters: string
  deliver(handler: string): string
  /** The key prefix that BullMQ gets for a queue. */
  keyPrefix(queue: string): string
  /** Keys of the ledger, in one slot. */
  readonly ledger: LedgerKeys
}

export interface LedgerKeys {
  readonly totals: string
  readonly held: string
  readonly arrived: string
  readonly nodes: string
  readonly seen: readonly [string, string]
}

const DEFAULT_QUEUE_PREFIX = 'intermix'

/** Digits of a digest in the name of a queue. */
const DIGEST_DIGITS = 16
const RULES_IN_NAME = /(?<=-reports)-[0-9a-f]{16}$/

/** What the names of a mesh begin with: meshes share a Redis, and nothing of their reports. */
export function meshPrefix(prefix: string, mesh: string | undefined): string {
  return mesh === undefined ? prefix : `${prefix}.${mesh}`
}

export function queueNames(prefix: string = DEFAULT_QUEUE_PREFIX): QueueNames {
  return {
    reports: (rules) => `${prefix}-reports${rules === undefined ? '' : `-${rules.slice(0, DIGEST_DIGITS)}`}`,
    deadLetters: `${prefix}-dead-letters`,
    deliver: (handler) => `${prefix}-deliver-${createHash('sha256').update(handler).digest('hex').slice(0, 16)}`,
    keyPrefix: (queue) => `{${queue.replace(RULES_IN_NAME, '')}}`,
    ledger: {
      totals: `{${prefix}-ledger}:totals`,
      held: `{${prefix}-ledger}:held`,
      arrived: `{${prefix}-ledger}:arrived`,
      nodes: `{${prefix}-ledger}:nodes`,
      seen: [`{${prefix}-ledger}:seen-even`, `{${prefix}-ledger}:seen-odd`],
    },
  }
}
