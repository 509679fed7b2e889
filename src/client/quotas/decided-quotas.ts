// What was decided under deduplication ids: whoever retries a request is told the same, and charged once. An id alone does not
// say that it is a retry: callers choose ids, and another request with the same one is charged to other counters.

import { LRUCache } from 'lru-cache'
import type { NodeGrant } from '../nodes/nodes.ts'

export type Grants = ReadonlyMap<string, NodeGrant>

/** For how long a retry may follow, in ms: Mixer's clients wait five seconds for each of a few tries. */
const REMEMBERED_MS = 60_000
const MAX_BYTES = 4 * 1024 * 1024
/** Without its texts. */
const DECISION_BYTES = 400

/** What was granted of one quota. */
export interface Decision {
  readonly grant: NodeGrant
  /** When it was so, on the monotonic clock in ms. */
  readonly at: number
  /** What of the request says to which counter that was charged. */
  readonly chargedTo: string
}

/** By the names of the quotas. */
export type Decisions = ReadonlyMap<string, Decision>

interface Decided {
  readonly decisions: Decisions | Promise<Decisions>
  readonly until: number
}

/** Bounded: the oldest are forgotten. */
export class DecidedQuotas {
  readonly #decided = new LRUCache<string, Decided>({
    maxSize: MAX_BYTES,
    sizeCalculation: ({ decisions }, id) => {
      let size = DECISION_BYTES + 2 * id.length
      if (!(decisions instanceof Promise)) for (const { chargedTo } of decisions.values()) size += 2 * chargedTo.length
      return size
    },
  })

  /** What was, or is being, decided under an id. */
  get(id: string | undefined, now: number): Decisions | Promise<Decisions> | undefined {
    if (id === undefined || id === '') return undefined
    const decided = this.#decided.get(id)
    return decided === undefined || now >= decided.until ? undefined : decided.decisions
  }

  /** The same, when it is decided; `undefined` also where that failed, as whoever waited for it has heard. */
  async settled(id: string | undefined, now: number): Promise<Decisions | undefined> {
    try {
      return await this.get(id, now)
    } catch {
      return undefined
    }
  }

  /** Remembers it; what cannot be decided is forgotten. */
  set(id: string | undefined, decisions: Decisions | Promise<Decisions>, now: number): void {
    if (id === undefined || id === '') return
    const until = now + REMEMBERED_MS
    this.#decided.set(id, { decisions, until })
    if (!(decisions instanceof Promise)) return
    const isLatest = () => this.#decided.peek(id)?.decisions === decisions
    decisions.then(
      (settled) => {
        // Now it is known how large they are.
        if (isLatest()) this.#decided.set(id, { decisions: settled, until })
      },
      () => {
        if (isLatest()) this.#decided.delete(id)
      },
    )
  }
}
