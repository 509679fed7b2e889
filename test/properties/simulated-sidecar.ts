// A sidecar of the simulation: the first-level cache before one node, which it asks what it does not know.

import { Revocations } from '../../src/cache/revocations.ts'
import { FirstLevelCache } from '../../src/client/first-level-cache.ts'
import type { AttributeBag } from '../../src/kernel/attribute-bag.ts'
import type { CheckOptions, CheckOutcome } from '../../src/kernel/services.ts'
import { givenAgain } from '../../src/cache/answer-life.ts'
import { AnswerBatches } from '../../src/wire/batch/answer-batch.ts'
import { AnswerBatchWriter } from '../../src/wire/batch/answer-batch-writer.ts'
import type { FakeClock } from '../helpers/clock.ts'
import { WrongAnswer } from './judge.ts'
import type { SimulatedNode } from './simulated-node.ts'

export interface Told {
  readonly outcome: CheckOutcome
  /** Whether the sidecar had the answer. */
  readonly isKept: boolean
}

const NOTHING = { add: () => undefined }

export class SimulatedSidecar {
  readonly revocations = new Revocations()
  readonly #clock: FakeClock
  readonly #node: SimulatedNode
  readonly #cache: FirstLevelCache
  readonly #writer = new AnswerBatchWriter({ maxWords: 100, maxBytes: 4_000 })
  readonly #batches = new AnswerBatches()

  constructor(clock: FakeClock, node: SimulatedNode) {
    this.#clock = clock
    this.#node = node
    this.#cache = new FirstLevelCache({
      maxEntries: 200,
      maxBytes: 1_000_000,
      revocations: this.revocations,
      maxAgeMs: () => Number.POSITIVE_INFINITY,
      onEvict: () => undefined,
      notKept: {
        life: NOTHING,
        shape: NOTHING,
        size: NOTHING,
        reads: NOTHING,
        mismatch: {
          add() {
            throw new WrongAnswer('a question has another answer at the sidecar')
          },
        },
      },
    })
  }

  check(bag: AttributeBag, asked: Pick<CheckOptions, 'charging' | 'deduplicationId'>): Told | Promise<Told> {
    const askedAt = this.#clock.monotonic()
    const wanted = { config: this.#node.state().snapshot.id, charging: asked.charging ?? 'all', bag }
    const kept = this.#cache.find(wanted, askedAt)
    if (kept !== undefined) {
      const answer = givenAgain(kept.answer, askedAt, kept.answer.usesLeft, [])
      return { outcome: { answer, quotas: new Map(), answeredAt: askedAt }, isKept: true }
    }
    const options = { timeoutMs: 10_000, keepsAnswer: true, shape: true, ...asked } as const
    const outcome = this.#node.engine.check(bag, options)
    const keep = (told: CheckOutcome): Told => {
      // As over the stream, with so few words that it begins anew now and then.
      this.#writer.add(0, told)
      this.#batches.read(this.#writer.take(), {
        answered: (_, answer) => {
          this.#cache.keep(wanted, answer, { askedAt, now: this.#clock.monotonic(), refreshAfter: 1 })
        },
        failed: () => undefined,
        leaving: () => undefined,
      })
      return { outcome: told, isKept: false }
    }
    return outcome instanceof Promise ? outcome.then(keep) : keep(outcome)
  }
}
