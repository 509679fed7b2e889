// Uses of answers that have paid for quotas: those that nobody has used when their time is over are given back, so that
// others may have them.

import type { StoredAnswer } from '../cache/answer-cache.ts'
import type { Clock } from '../kernel/ports.ts'

interface Held {
  readonly answer: StoredAnswer
  readonly giveBack: (uses: number) => void
  readonly cancel: () => void
}

export class PaidUses {
  readonly #clock: Pick<Clock, 'after' | 'monotonic'>
  readonly #held = new Map<StoredAnswer, Held>()

  constructor(clock: Pick<Clock, 'after' | 'monotonic'>) {
    this.#clock = clock
  }

  /** Answers that hold uses. */
  get size(): number {
    return this.#held.size
  }

  /**
   * Watches over an answer that was just kept. It takes over the uses of the one whose place it takes: they have not ended.
   * @param giveBack is called at the end of its life where uses are left
   */
  watch(answer: StoredAnswer, former: StoredAnswer | undefined, giveBack: (uses: number) => void): void {
    const now = this.#clock.monotonic()
    const held = former === undefined ? undefined : this.#held.get(former)
    if (held !== undefined && held.answer.freshUntil > now) {
      held.cancel()
      this.#held.delete(held.answer)
      answer.usesLeft += held.answer.usesLeft
      held.answer.usesLeft = 0
    }
    const cancel = this.#clock.after(Math.max(0, answer.freshUntil - now), () => this.#end(answer))
    this.#held.set(answer, { answer, giveBack, cancel })
  }

  /** Gives back all that is held. */
  close(): void {
    for (const [answer, { cancel }] of this.#held) {
      cancel()
      this.#end(answer)
    }
  }

  #end(answer: StoredAnswer): void {
    const held = this.#held.get(answer)
    if (held === undefined) return
    this.#held.delete(answer)
    const { usesLeft } = answer
    if (usesLeft <= 0) return
    // Nobody finds it any more who could use them.
    answer.usesLeft = 0
    held.giveBack(usesLeft)
  }
}
