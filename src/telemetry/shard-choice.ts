// Which shard something is added to: that of its id, or another one while that does not answer. A shard that has failed is
// left alone for a while; then one add asks whether it is back.

import { IntermixError } from '../kernel/errors.ts'
import type { Clock } from '../kernel/ports.ts'
import { redisTrouble } from '../redis/trouble.ts'
import { type QueueShards, shardOf } from './queue-shards.ts'

const FIRST_REST_MS = 1_000
const MAX_REST_MS = 8_000

interface Standing {
  failures: number
  /** On the monotonic clock. */
  restsUntil: number
}

export interface ShardChoiceOptions {
  readonly clock: Clock
  readonly shards: Pick<QueueShards, 'own' | 'say'>
  /** Whether a shard can take nothing for lack of memory. */
  readonly isFull?: (shard: number) => boolean
}

/** The shards of one queue, as one who adds to it sees them. */
export class ShardChoice {
  readonly #options: ShardChoiceOptions
  readonly #standings: readonly Standing[]

  constructor(options: ShardChoiceOptions) {
    this.#options = options
    this.#standings = Array.from({ length: options.shards.own }, () => ({ failures: 0, restsUntil: 0 }))
  }

  /**
   * Tries an add at one shard after the other, until one takes it. What was tried before may be there too: adds are found
   * out by their ids later. Rejects as the last try did.
   * @param only the one shard that may have it, where order counts
   */
  async add<T>(id: string, to: (shard: number) => Promise<T>, only?: number): Promise<T> {
    await this.#options.shards.say()
    let failure: unknown
    for (const shard of only === undefined ? this.#inOrder(id) : [only]) {
      const standing = this.#standings[shard]
      // Others need not wait for what this one finds out.
      if (standing !== undefined && standing.failures > 0) this.#rest(standing)
      try {
        const result = await to(shard)
        if (standing !== undefined) standing.failures = 0
        return result
      } catch (error) {
        const isAway = redisTrouble(error) !== undefined
        if (isAway && standing !== undefined) {
          standing.failures++
          this.#rest(standing)
        }
        failure = error
        if (!isAway && !(error instanceof IntermixError && error.code === 'OVERLOADED')) break
      }
    }
    throw failure
  }

  #inOrder(id: string): readonly number[] {
    const count = this.#standings.length
    if (count === 1) return [0]
    const first = shardOf(id, count)
    const all = Array.from({ length: count }, (_, i) => (first + i) % count)
    const now = this.#options.clock.monotonic()
    const isWell = (shard: number) =>
      (this.#standings[shard]?.restsUntil ?? 0) <= now && this.#options.isFull?.(shard) !== true
    return [...all.filter(isWell), ...all.filter((shard) => !isWell(shard))]
  }

  #rest(standing: Standing): void {
    const restMs = Math.min(FIRST_REST_MS * 2 ** Math.max(0, standing.failures - 1), MAX_REST_MS)
    standing.restsUntil = this.#options.clock.monotonic() + restMs
  }
}
