// What nodes have told of revocations, and how sure it is that all are known.
//
// Revocations are numbered in generations. Where nodes share a Redis, generations are numbered too, and a later one voids all
// that was answered under those before it: so one of them is followed, that with the highest number which an open link tells. It
// is no other one that counts, though it was higher once: where a Redis begins anew with nothing, its numbers do, too. A
// node without a Redis is a mesh of its own: its generation says nothing of what other nodes answered, and several are followed
// beside each other.
//
// Who tells others on what was heard here (`Retelling`) is told each of them, in the order in which they are applied, and that all is void that
// was answered under a generation which is left.
//
// A generation that was left and is met again begins at the number that a node tells then: what was answered below it is
// void, since what was revoked meanwhile is not known. So it does no harm to leave one, whatever the reason.

import { Revocations } from '../../cache/revocations.ts'
import type { AttributeBag } from '../../kernel/attribute-bag.ts'
import type { Clock } from '../../kernel/ports.ts'
import { type CallersBehind, type Epoch, OUT_OF_TOUCH_MS, type Revocation } from '../../kernel/revocation.ts'
import type { Heard, News } from '../../wire/batch/news.ts'

/** How old an answer may be before any node has said it. */
const FIRST_MAX_AGE_MS = 30_000

/** Tells callers of its own what is heard here. */
export interface Retelling {
  /** A generation is followed from now on: what was answered below is void. */
  followed(epoch: Epoch): void
  applied(generation: string, revocation: Revocation): void
  /** All that was answered under a generation is void. */
  left(generation: string): void
  /**
   * Up to which revocation of a generation these callers have confirmed all, of those up to `sequence`; `undefined` where one of
   * them may have answers from before that generation was followed.
   */
  confirmed(generation: string, sequence: number): number | undefined
  /** Those of them that have not; `undefined` where all have. */
  behind(): CallersBehind | undefined
}

/** One generation. */
interface Followed {
  readonly revocations: Revocations
  /** All revocations that had been acknowledged then are known, on the monotonic clock. */
  knownAt: number
  maxAgeMs: number
}

/** What one link has to do with it. */
export interface Teller {
  /** What the node at its end is to be told of what was heard, in the next question. */
  heard(): Omit<Heard, 'ask'>
  /**
   * Takes what the node tells.
   * @param sentAt when the question was sent that it answers, on the monotonic clock: all that it says was so then, or later;
   *   `undefined` where it answers none
   * @returns whether it brought something that is to be confirmed
   */
  take(news: News, sentAt: number | undefined): boolean
  /** The link is closed; it may tell again. */
  lost(): void
  /** The node is gone for good. */
  gone(): void
}

interface Telling {
  generation: string | undefined
  /** It has told something over the stream that is open. */
  isOpen: boolean
  /** It was asked over that stream. */
  hasAsked: boolean
}

export class HeardRevocations {
  readonly #clock: Clock
  readonly #retelling: Retelling | undefined
  readonly #tellers = new Set<Telling>()
  readonly #followed = new Map<string, Followed>()
  /** Until when all that is kept may be given without further word. */
  #surelyUntil = Number.NEGATIVE_INFINITY

  constructor(clock: Clock, retelling?: Retelling) {
    this.#clock = clock
    this.#retelling = retelling
  }

  /** Whether an answer may still be given; see `Revocations.allows`. */
  allows(epoch: Epoch, handlers: readonly string[], bag: AttributeBag): boolean {
    return this.#followed.get(epoch.generation)?.revocations.allows(epoch, handlers, bag) === true
  }

  /**
   * The oldest answer that may be given now, in ms. What was kept when the last word came was not revoked as far as it was known, so
   * it is given on for as long as an answer may be old: a revocation holds as soon as if that bound had been on the age of each
   * answer from the first, and hot answers do not end with the last node.
   */
  maxAgeMs(): number {
    const now = this.#clock.monotonic()
    if (now < this.#surelyUntil) return Number.POSITIVE_INFINITY
    let most = this.#followed.size === 0 ? FIRST_MAX_AGE_MS : Number.POSITIVE_INFINITY
    for (const { knownAt, maxAgeMs } of this.#followed.values()) {
      if (now - knownAt >= OUT_OF_TOUCH_MS + maxAgeMs) most = Math.min(most, maxAgeMs)
    }
    return most
  }

  /** How long ago, at most, all revocations that had been acknowledged were known here, in ms; infinity before the first word. */
  outOfTouchMs(): number {
    let knownAt = this.#followed.size === 0 ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY
    for (const followed of this.#followed.values()) knownAt = Math.min(knownAt, followed.knownAt)
    return this.#clock.monotonic() - knownAt
  }

  /** How old an answer may be, in ms, that is given by who is out of touch, as the strictest node has told. */
  partitionMaxAgeMs(): number {
    let most = this.#followed.size === 0 ? FIRST_MAX_AGE_MS : Number.POSITIVE_INFINITY
    for (const { maxAgeMs } of this.#followed.values()) most = Math.min(most, maxAgeMs)
    return most
  }

  teller(): Teller {
    const telling: Telling = { generation: undefined, isOpen: false, hasAsked: false }
    this.#tellers.add(telling)
    return {
      heard: () => this.#heardFor(telling),
      take: (news, sentAt) => this.#take(telling, news, sentAt),
      lost: () => {
        telling.isOpen = false
        telling.hasAsked = false
      },
      gone: () => {
        telling.isOpen = false
        this.#tellers.delete(telling)
        // Others go on with a numbered one, or leave it for the next.
        if (numberOf(telling.generation ?? '') === undefined) this.#leave(telling.generation)
        this.#reckon()
      },
    }
  }

  /** What others follow is confirmed when they have: they may give what was answered before. */
  #heardFor(telling: Telling): Omit<Heard, 'ask'> {
    const epoch = this.#epochFor(telling)
    if (epoch === undefined || this.#retelling === undefined) return { epoch }
    const { generation, sequence } = epoch
    const confirmed = this.#retelling.confirmed(generation, sequence)
    if (confirmed !== undefined && confirmed >= sequence) return { epoch }
    const known = confirmed === undefined ? undefined : { generation, sequence: confirmed }
    return { epoch: known, behind: this.#retelling.behind() }
  }

  /**
   * What is confirmed over a stream must not be undone by what it has told before, which may be on its way: so nothing is, but
   * by its first word, as long as it has not told the generation that is followed.
   */
  #epochFor(telling: Telling): Epoch | undefined {
    const { generation, isOpen, hasAsked } = telling
    telling.hasAsked = true
    if (!isOpen && hasAsked) return undefined
    const told = generation === undefined ? undefined : this.#followed.get(generation)
    if (told !== undefined) return told.revocations.epoch
    if (isOpen) return undefined
    for (const [name, { revocations }] of this.#followed) if (numberOf(name) !== undefined) return revocations.epoch
    return undefined
  }

  #take(telling: Telling, news: News, sentAt: number | undefined): boolean {
    const { epoch, outOfTouchMs, maxAgeMs } = news
    if (epoch === undefined) return false
    const before = telling.generation
    telling.generation = epoch.generation
    telling.isOpen = true
    // The node has voided all that it said before.
    if (before !== undefined && before !== epoch.generation) this.#leave(before)
    let followed = this.#followed.get(epoch.generation)
    const isNew = followed === undefined
    if (followed === undefined) {
      if (!this.#isNext(epoch.generation)) return false
      followed = { revocations: begun(epoch), knownAt: Number.NEGATIVE_INFINITY, maxAgeMs }
      this.#followed.set(epoch.generation, followed)
      this.#retelling?.followed(epoch)
    }
    const known = followed.revocations.epoch.sequence
    if (!isNew) this.#apply(followed.revocations, news)
    followed.maxAgeMs = maxAgeMs
    if (sentAt !== undefined) followed.knownAt = Math.max(followed.knownAt, sentAt - outOfTouchMs)
    this.#forgetSilent()
    this.#reckon()
    return isNew || followed.revocations.epoch.sequence > known
  }

  /** A node that is behind changes nothing. */
  #apply(known: Revocations, { epoch, revocations }: News): void {
    const { generation } = known.epoch
    const apply = (revocation: Revocation) => {
      known.apply(revocation)
      this.#retelling?.applied(generation, revocation)
    }
    for (const revocation of revocations) if (revocation.sequence === known.epoch.sequence + 1) apply(revocation)
    // There were others, and nobody knows which.
    const sequence = epoch?.sequence ?? 0
    if (known.epoch.sequence < sequence) apply({ sequence, target: { kind: 'all' } })
  }

  /** Whether to follow a generation that is not followed yet; the one that it takes the place of is left. */
  #isNext(generation: string): boolean {
    const number = numberOf(generation)
    if (number === undefined) return true
    for (const other of this.#followed.keys()) {
      const others = numberOf(other)
      if (others === undefined) continue
      if (others >= number && this.#isTold(other, true)) return false
      this.#drop(other)
    }
    return true
  }

  /** Leaves a generation that no link stands for any more. */
  #leave(generation: string | undefined): void {
    if (generation === undefined || this.#isTold(generation, false)) return
    this.#drop(generation)
  }

  #drop(generation: string): void {
    if (this.#followed.delete(generation)) this.#retelling?.left(generation)
  }

  #isTold(generation: string, byOpen: boolean): boolean {
    for (const teller of this.#tellers) {
      if (teller.generation === generation && (teller.isOpen || !byOpen)) return true
    }
    return false
  }

  /** All that was answered under a generation is too old when it was not heard for so long; it would bound what others say. */
  #forgetSilent(): void {
    if (this.#followed.size < 2) return
    const now = this.#clock.monotonic()
    for (const [name, { knownAt, maxAgeMs }] of this.#followed) {
      if (now - knownAt >= OUT_OF_TOUCH_MS + maxAgeMs && !this.#isTold(name, true)) this.#drop(name)
    }
  }

  #reckon(): void {
    let first = this.#followed.size === 0 ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY
    for (const { knownAt, maxAgeMs } of this.#followed.values()) first = Math.min(first, knownAt + maxAgeMs)
    this.#surelyUntil = first + OUT_OF_TOUCH_MS
  }
}

/** Whatever was answered before this is void: what was revoked until then is not known. */
function begun({ generation, sequence }: Epoch): Revocations {
  const revocations = new Revocations()
  revocations.restart(generation, sequence)
  revocations.revokeBelow(sequence)
  return revocations
}

/** Those that are told in Redis have one, as its scripts name them; `undefined` for those of a node that is a mesh of its own. */
function numberOf(generation: string): number | undefined {
  const digits = /\/(\d{1,15})@\d+$/.exec(generation)?.[1]
  return digits === undefined ? undefined : Number(digits)
}
