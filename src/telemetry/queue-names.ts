// The names of queues and keys. Each queue has a hash tag of its own, so that a cluster can spread them; those of reports
// that were accepted under different rules share one, and with it the server whose memory is looked at. A queue may be cut
// into shards: queues of their own, whose tags lie as far from each other as so many can.

import { createHash } from 'node:crypto'
import { keySlot, nameInSlot, SLOTS } from '../redis/key-slot.ts'

/** Names under a prefix of letters, digits, `-`, `_` and `.`. The shard 0 is the queue that is there without shards. */
export interface QueueNames {
  /**
   * The queue of what was accepted under the report rules with this digest. Without one: of what any worker may evaluate
   * under the rules that it has, as replayed reports and those of versions that knew no digest.
   */
  reports(rules?: string, shard?: number): string
  readonly deadLetters: string
  deliver(handler: string, shard?: number): string
  /** The key prefix that BullMQ gets for a queue. */
  keyPrefix(queue: string): string
  /** Sorted set of how many shards queues have had → when somebody last said so, in ms. */
  readonly shards: string
  /** A key that a queue has as long as anything is or was in it. */
  metaKey(queue: string): string
  /** Keys of the ledger, in one slot. */
  readonly ledger: LedgerKeys
}

export interface LedgerKeys {
  readonly totals: string
  readonly held: string
  readonly arrived: string
  readonly nodes: string
  /** When each of the nodes gave its last sign. */
  readonly signed: string
  /** How far the search for old arrivals has come. */
  readonly reached: string
  readonly seen: readonly [string, string]
}

const DEFAULT_QUEUE_PREFIX = 'intermix'

/** Digits of a digest in the name of a queue. */
const DIGEST_DIGITS = 16
const RULES_IN_NAME = /(?<=-reports)-[0-9a-f]{16}(?=$|-s[1-9][0-9]*$)/
const SHARD_IN_NAME = /^(.*)-s([1-9][0-9]*)$/
const MAX_REMEMBERED = 10_000

/** What the names of a mesh begin with: meshes share a Redis, and nothing of their reports. */
export function meshPrefix(prefix: string, mesh: string | undefined): string {
  return mesh === undefined ? prefix : `${prefix}.${mesh}`
}

export function queueNames(prefix: string = DEFAULT_QUEUE_PREFIX): QueueNames {
  const keyPrefix = (queue: string) => `{${tagOf(queue.replace(RULES_IN_NAME, ''))}}`
  return {
    reports: (rules, shard = 0) =>
      `${prefix}-reports${rules === undefined ? '' : `-${rules.slice(0, DIGEST_DIGITS)}`}${suffixOf(shard)}`,
    deadLetters: `${prefix}-dead-letters`,
    deliver: (handler, shard = 0) =>
      `${prefix}-deliver-${createHash('sha256').update(handler).digest('hex').slice(0, 16)}${suffixOf(shard)}`,
    keyPrefix,
    metaKey: (queue) => `${keyPrefix(queue)}:${queue}:meta`,
    shards: `{${prefix}-reports}:shards`,
    ledger: {
      totals: `{${prefix}-ledger}:totals`,
      held: `{${prefix}-ledger}:held`,
      arrived: `{${prefix}-ledger}:arrived`,
      nodes: `{${prefix}-ledger}:nodes`,
      signed: `{${prefix}-ledger}:signed`,
      reached: `{${prefix}-ledger}:reached`,
      seen: [`{${prefix}-ledger}:seen-even`, `{${prefix}-ledger}:seen-odd`],
    },
  }
}

function suffixOf(shard: number): string {
  return shard === 0 ? '' : `-s${shard}`
}

const tags = new Map<string, string>()

/** Looking for a tag takes some 0.1 ms, and it stays the same. */
function tagOf(queue: string): string {
  const [, base, shard] = SHARD_IN_NAME.exec(queue) ?? []
  if (base === undefined) return queue
  const known = tags.get(queue)
  if (known !== undefined) return known
  const tag = nameInSlot(queue, Math.round(keySlot(base) + SLOTS * placeOf(Number(shard))) % SLOTS)
  if (tags.size >= MAX_REMEMBERED) tags.clear()
  tags.set(queue, tag)
  return tag
}

/**
 * Where a shard lies among all slots, from the first one on: thirds, then sixths, twelfths … So the first 3, 6, 12 … shards
 * are spread evenly, whatever their number will be, and most clusters have 3 or 6 masters with even parts. (A van der
 * Corput sequence of the bases 3, 2, 2, …)
 */
function placeOf(shard: number): number {
  let [rest, place, part, base] = [shard, 0, 1, 3]
  while (rest > 0) {
    part /= base
    place += (rest % base) * part
    rest = Math.floor(rest / base)
    base = 2
  }
  return place
}
