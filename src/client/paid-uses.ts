// Uses of answers that have paid for quotas: those that nobody has used when their time is over are given back, so that
// others may have them.

import type { StoredAnswer } from '../cache/answer-cache.ts'
import type { Clock } from '../kernel/ports.ts'

/** Uses that were paid for together, and until when they may be used. */
interface Lot {
  readonly until: number
  uses: number
}

interface Held {
  readonly answer: StoredAnswer
  readonly giveBack: (uses: number) => void
  /** Those that end first are used first. */
  readonly lots: Lot[]
  cancel: () => void
}

/** The part that one caller may have. */
const SHARE = 0.5

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
   * Watches over an answer that was just kept. It takes over the uses of the one whose place it takes, each until its own end.
   * @param giveBack is called with those that are left then
   */
  watch(answer: StoredAnswer, former: StoredAnswer | undefined, giveBack: (uses: number) => void): void {
    const lots: Lot[] = [{ until: answer.freshUntil, uses: answer.usesLeft }]
    const before = former === undefined ? undefined : this.#held.get(former)
    if (before !== undefined) {
      before.cancel()
      this.#held.delete(before.answer)
      settle(before)
      lots.push(...before.lots)
      answer.usesLeft += before.answer.usesLeft
      before.answer.usesLeft = 0
    }
    const held: Held = {
      answer,
      giveBack,
      lots: lots.toSorted((one, other) => one.until - other.until),
      cancel: () => {},
    }
    this.#held.set(answer, held)
    this.#wait(held)
  }

  /**
   * Takes uses for a caller that keeps the answer, too: half of those at most that may be used until its end.
   * @returns how many
   */
  handOn(answer: StoredAnswer, wanted: number): number {
    const held = this.#held.get(answer)
    if (held === undefined) return 0
    settle(held)
    const last = held.lots.at(-1)
    if (last === undefined || last.until < answer.freshUntil) return 0
    const uses = Math.max(0, Math.min(Math.floor(last.uses * SHARE), wanted))
    last.uses -= uses
    answer.usesLeft -= uses
    return uses
  }

  /** Gives back all that is held. */
  close(): void {
    for (const held of this.#held.values()) {
      held.cancel()
      this.#end(held, Number.POSITIVE_INFINITY)
    }
  }

  #wait(held: Held): void {
    const [first] = held.lots
    if (first === undefined) this.#held.delete(held.answer)
    else held.cancel = this.#clock.after(first.until - this.#clock.monotonic(), () => this.#end(held, first.until))
  }

  /** Nobody finds those any more that end by then. */
  #end(held: Held, until: number): void {
    const { answer, lots, giveBack } = held
    settle(held)
    let left = 0
    for (let lot = lots[0]; lot !== undefined && lot.until <= until; lot = lots[0]) {
      left += lot.uses
      lots.shift()
    }
    answer.usesLeft -= left
    if (left > 0) giveBack(left)
    this.#wait(held)
  }
}

/** Takes from the lots what has been used of them. */
function settle({ answer, lots }: Held): void {
  let used = -answer.usesLeft
  for (const { uses } of lots) used += uses
  for (const lot of lots) {
    const taken = Math.min(used, lot.uses)
    lot.uses -= taken
    used -= taken
  }
}
