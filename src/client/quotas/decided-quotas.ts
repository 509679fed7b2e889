// What was decided under deduplication ids: whoever retries a request is told the same, and charged once.

import { LRUCache } from 'lru-cache'
import type { NodeGrant } from '../nodes/nodes.ts'

export type Grants = ReadonlyMap<string, NodeGrant>

/** For how long a retry may follow, in ms: Mixer's clients wait five seconds for each of a few tries. */
const REMEMBERED_MS = 60_000
const MAX_BYTES = 4 * 1024 * 1024
/** Without its texts. */
const DECISION_BYTES = 400

interface Decided {
  readonly grants: Grants | Promise<Grants>
  readonly until: number
}

/** Bounded: the oldest are forgotten. */
export class DecidedQuotas {
  readonly #decided = new LRUCache<string, Decided>({
    maxSize: MAX_BYTES,
    sizeCalculation: (_, id) => DECISION_BYTES + 2 * id.length,
  })

  /** What was, or is being, granted under an id, by the names of the quotas. */
  get(id: string | undefined, now: number): Grants | Promise<Grants> | undefined {
    if (id === undefined || id === '') return undefined
    const decided = this.#decided.get(id)
    return decided === undefined || now >= decided.until ? undefined : decided.grants
  }

  /** The same, when it is decided; `undefined` also where that failed, as whoever waited for it has heard. */
  async settled(id: string | undefined, now: number): Promise<Grants | undefined> {
    try {
      return await this.get(id, now)
    } catch {
      return undefined
    }
  }

  /** Remembers it; what cannot be decided is forgotten. */
  set(id: string | undefined, grants: Grants | Promise<Grants>, now: number): void {
    if (id === undefined || id === '') return
    this.#decided.set(id, { grants, until: now + REMEMBERED_MS })
    if (!(grants instanceof Promise)) return
    grants.catch(() => {
      if (this.#decided.peek(id)?.grants === grants) this.#decided.delete(id)
    })
  }
}
