// Refreshes verdicts that are wanted before they end, so that hot keys never wait for the backend and are young when an
// outage begins. Entries are looked at when their time comes, in slots of a tenth of a second: nothing is scanned.

import { EMPTY_BAG } from '../kernel/attribute-bag.ts'
import type { Clock } from '../kernel/ports.ts'
import { instanceBytes } from './instance-bytes.ts'
import { TokenBucket } from './token-bucket.ts'
import type { VerdictEntry } from './verdict-entry.ts'
import type { VerdictRequest } from './verdict-request.ts'

export interface RefreshAheadOptions {
  readonly clock: Clock
  /** Refreshes of one handler per second. */
  readonly perSecond: number
  /** Entries watched at once, and what they may take of memory now; further ones are not refreshed ahead. */
  readonly maxItems: number
  maxBytes(): number
  /** Hears of each entry that is not watched for want of room. */
  readonly onDrop: (handler: VerdictRequest['source']['handler']) => void
  readonly current: (key: string, handler: string) => VerdictEntry | undefined
  readonly refresh: (key: string, request: VerdictRequest, known: VerdictEntry) => void
}

/** The request that asked first is not kept alive, but for what a backend is asked with. */
interface Item {
  readonly key: string
  readonly source: VerdictRequest['source']
  readonly instance: VerdictRequest['instance']
  /** Of the entry that is watched, which is not held: the cache may have dropped it. */
  readonly createdAt: number
  readonly freshUntil: number
  readonly bytes: number
}

/** An item without its instance: itself, its key and its place in a list. */
const ITEM_BYTES = 170
const SLOT_MS = 100
/** The lead before the end: ten times what the last fetch took, within these bounds. */
const MIN_LEAD_MS = 50
const MAX_LEAD_SHARE = 0.2

export class RefreshAhead {
  readonly #options: RefreshAheadOptions
  readonly #slots = new Map<number, Item[]>()
  readonly #budgets = new Map<string, TokenBucket>()
  #items = 0
  #bytes = 0
  #nextSlot: number
  #cancel: (() => void) | undefined

  constructor(options: RefreshAheadOptions) {
    this.#options = options
    this.#nextSlot = slotOf(options.clock.monotonic())
  }

  /** Watches an entry that was just stored. */
  schedule(key: string, request: VerdictRequest, entry: VerdictEntry): void {
    if (this.#options.perSecond <= 0) return
    const life = entry.freshUntil - entry.createdAt
    const lead = Math.min(MAX_LEAD_SHARE * life, Math.max(MIN_LEAD_MS, 10 * entry.fetchMs))
    this.#put(entry.freshUntil - lead, {
      key,
      source: request.source,
      instance: request.instance,
      createdAt: entry.createdAt,
      freshUntil: entry.freshUntil,
      bytes: ITEM_BYTES + instanceBytes(request.instance),
    })
  }

  get bytes(): number {
    return this.#bytes
  }

  stop(): void {
    this.#cancel?.()
    this.#cancel = undefined
    this.#slots.clear()
    this.#items = 0
    this.#bytes = 0
  }

  #put(at: number, item: Item): void {
    const { maxItems, onDrop } = this.#options
    if (this.#items >= maxItems || this.#bytes + item.bytes > this.#options.maxBytes())
      return onDrop(item.source.handler)
    const slot = Math.max(slotOf(at), this.#nextSlot)
    const items = this.#slots.get(slot)
    if (items === undefined) this.#slots.set(slot, [item])
    else items.push(item)
    this.#items++
    this.#bytes += item.bytes
    this.#cancel ??= this.#options.clock.after(SLOT_MS, () => this.#tick())
  }

  #tick(): void {
    this.#cancel = undefined
    const now = slotOf(this.#options.clock.monotonic())
    // After a long pause of the process the slots in between are visited too, but not more of them than there are.
    if (now - this.#nextSlot > this.#slots.size + 10) {
      for (const slot of [...this.#slots.keys()].sort((a, b) => a - b)) if (slot <= now) this.#visit(slot)
      this.#nextSlot = now + 1
    }
    while (this.#nextSlot <= now) this.#visit(this.#nextSlot++)
    if (this.#items > 0) this.#cancel ??= this.#options.clock.after(SLOT_MS, () => this.#tick())
  }

  #visit(slot: number): void {
    const items = this.#slots.get(slot)
    if (items === undefined) return
    this.#slots.delete(slot)
    this.#items -= items.length
    for (const { bytes } of items) this.#bytes -= bytes
    for (const item of items) this.#consider(item)
  }

  #consider(item: Item): void {
    const { clock, current, refresh } = this.#options
    const { key, source } = item
    const entry = current(key, source.handler.name)
    if (entry?.createdAt !== item.createdAt || entry.freshUntil !== item.freshUntil) return
    const now = clock.monotonic()
    const bound = entry.staleUntil - entry.freshUntil
    // Hot: used since it was stored. Warm: used within the last quarter of the stale bound, kept young enough that at
    // least half of the bound is left when an outage begins.
    const wanted = now < entry.freshUntil ? entry.hits > 0 : now - entry.lastHitAt < bound / 4
    if (wanted && this.#spend(source.handler.name)) refresh(key, requestOf(item), entry)
    else if (now < entry.staleUntil - bound / 2) this.#put(entry.staleUntil - bound / 2, item)
  }

  #spend(handler: string): boolean {
    const { clock, perSecond } = this.#options
    const budget = this.#budgets.get(handler) ?? new TokenBucket(clock, perSecond)
    this.#budgets.set(handler, budget)
    return budget.take()
  }
}

/** What is fetched is checked against revocations when it is served. */
function requestOf({ source, instance }: Item): VerdictRequest {
  return { source, instance, bag: EMPTY_BAG, deadline: Number.POSITIVE_INFINITY }
}

function slotOf(time: number): number {
  return Math.floor(time / SLOT_MS)
}
