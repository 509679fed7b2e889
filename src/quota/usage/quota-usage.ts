// What the limits of all handlers are used for, in this process and, over Redis, in all.

import type { LimitOutcome } from '../../adapter-kit/limits.ts'
import type { Clock } from '../../kernel/ports.ts'
import type { RedisLink } from '../../redis/connection.ts'
import { type SeenCounter, usedShare } from './counter-usage.ts'
import { type ToldCounters, UsageBoard } from './usage-board.ts'
import type { WatchedLimits } from './watched-limits.ts'

export interface QuotaUsageOptions {
  /** `undefined`: this process is all there is. */
  readonly link: RedisLink | undefined
  readonly clock: Clock
  readonly prefix: string
  /** Of this process. */
  readonly id: string
}

export const USAGE_ORDERS = ['used', 'refused', 'near'] as const
/** Most asked for, most refused, or nearest to the limit. */
export type UsageOrder = (typeof USAGE_ORDERS)[number]

/** A counter, as all processes see it. */
export interface UsedCounter extends Omit<SeenCounter, 'held' | 'ageMs'> {
  readonly handler: string
  /** Whether it was looked at just now; else it is as some process heard it last. */
  readonly isCurrent: boolean
  /** What processes held ahead of need when they told last, by process. */
  readonly holders: Readonly<Record<string, number>>
}

export interface UsageQuestion {
  readonly by: UsageOrder
  readonly limit: number
  /** Full name. */
  readonly handler?: string | undefined
}

/** One process tells no more counters; each handler gets its part. */
const MOST_TOLD = 1_000

export class QuotaUsage {
  readonly #options: QuotaUsageOptions
  readonly #limits = new Map<string, WatchedLimits>()
  readonly #board: UsageBoard | undefined

  constructor(options: QuotaUsageOptions) {
    const { link } = options
    this.#options = options
    this.#board = link && new UsageBoard({ ...options, link, tell: () => this.#told() })
  }

  /** Whether the counters are those of all processes. */
  get isShared(): boolean {
    return this.#board !== undefined
  }

  /** @returns ends it */
  add(handler: string, limits: WatchedLimits): () => void {
    this.#limits.set(handler, limits)
    return () => this.#limits.delete(handler)
  }

  /** Something was charged. */
  note(): void {
    this.#board?.note()
  }

  /** The counters that come first. Rejects with REDIS_UNAVAILABLE. */
  async top({ by, limit, handler }: UsageQuestion): Promise<UsedCounter[]> {
    const found = [...(await this.#all()).values()].filter((each) => handler === undefined || each.handler === handler)
    const first = found
      .filter((each) => weightOf(each, by) > 0)
      .sort((a, b) => weightOf(b, by) - weightOf(a, by))
      .slice(0, limit)
    const looked = await Promise.all(first.map((each) => this.#look(each)))
    return looked.filter((each) => weightOf(each, by) > 0).sort((a, b) => weightOf(b, by) - weightOf(a, by))
  }

  /** What is told of the counters of a handler; nothing while Redis is away. */
  async of(handler: string): Promise<UsedCounter[]> {
    const all = await this.#all().catch(() => new Map<string, UsedCounter>())
    return [...all.values()].filter((each) => each.handler === handler)
  }

  close(): void {
    this.#board?.close()
  }

  async #look(counter: UsedCounter): Promise<UsedCounter> {
    const unknown = (): LimitOutcome | undefined => undefined
    const now = await this.#limits.get(counter.handler)?.look(counter).catch(unknown)
    return now === undefined ? counter : { ...counter, left: now.left, resetMs: now.resetMs, isCurrent: true }
  }

  /** By handler and key; what several processes see of one is added up. */
  async #all(): Promise<Map<string, UsedCounter>> {
    const told = new Map(await this.#board?.read())
    // What this process knows now is newer than what it told.
    told.set(this.#options.id, this.#told())
    const found = new Map<string, UsedCounter & { readonly ageMs: number }>()
    for (const [process, handlers] of told)
      for (const [handler, counters] of Object.entries(handlers))
        for (const seen of counters) {
          const id = `${handler} ${seen.key}`
          found.set(id, joined(found.get(id), handler, process, seen))
        }
    return found
  }

  #told(): ToldCounters {
    const most = Math.floor(MOST_TOLD / Math.max(1, this.#limits.size))
    return Object.fromEntries([...this.#limits].map(([handler, limits]) => [handler, limits.seen().slice(0, most)]))
  }
}

type Joined = UsedCounter & { readonly ageMs: number }

function joined(known: Joined | undefined, handler: string, process: string, seen: SeenCounter): Joined {
  const { held, ...counter } = seen
  const newest = known === undefined || seen.ageMs < known.ageMs ? counter : known
  return {
    ...newest,
    handler,
    isCurrent: false,
    asked: (known?.asked ?? 0) + seen.asked,
    refused: (known?.refused ?? 0) + seen.refused,
    holders: { ...known?.holders, ...(held > 0 ? { [process]: held } : {}) },
  }
}

function weightOf({ asked, refused, rule, left }: UsedCounter, by: UsageOrder): number {
  if (by === 'near') return usedShare(rule, left)
  return by === 'used' ? asked : refused
}
