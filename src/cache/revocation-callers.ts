// Callers that keep answers of this node and follow its revocations over streams of their own: the node has applied a
// revocation when they have, too. They are many, so that nothing is written of each anywhere.

import { onExpiry } from '../kernel/deadline.ts'
import type { Clock } from '../kernel/ports.ts'
import type { CallersBehind, Epoch } from '../kernel/revocation.ts'
import type { Revocations } from './revocations.ts'

/** One caller, as long as its stream lasts. */
export interface RevocationCaller {
  /**
   * It has applied all up to there.
   * @param behind callers of its own that it waits for
   */
  confirm(epoch: Epoch | undefined, behind?: CallersBehind): void
  /** Its stream has ended: it finds out by itself that it is out of touch. */
  leave(): void
}

/** Those that have not in time. */
export interface LateCallers extends CallersBehind {
  /** The lowest number that one of them lacks; 0: it knows another generation. */
  readonly lacks: number
}

/** How long a caller is waited for. */
export const CALLER_PATIENCE_MS = 1_500
const MAX_NAMED = 20

interface Caller {
  readonly name: string
  epoch: Epoch | undefined
  /** Who of its own callers it waits for. */
  behind: CallersBehind | undefined
}

interface Behind {
  /** Since when, on the clock that stands while this process does. */
  readonly since: number
  isLate: boolean
}

export class RevocationCallers {
  readonly #clock: Clock
  readonly #revocations: Revocations
  readonly #callers = new Set<Caller>()
  readonly #behind = new Map<Caller, Behind>()
  readonly #listeners = new Set<() => void>()
  #cancel: (() => void) | undefined
  #hasBeen = false

  constructor({ clock, revocations }: { readonly clock: Clock; readonly revocations: Revocations }) {
    this.#clock = clock
    this.#revocations = revocations
    revocations.onChange(() => {
      for (const caller of this.#callers) this.#place(caller)
    })
  }

  /** Whether there has ever been one: it may be anywhere now. */
  get hasBeen(): boolean {
    return this.#hasBeen
  }

  /** @param name for people; several may have the same */
  join(name: string): RevocationCaller {
    this.#hasBeen = true
    const caller: Caller = { name, epoch: undefined, behind: undefined }
    this.#callers.add(caller)
    this.#place(caller)
    return {
      confirm: (epoch, behind) => {
        const before = caller.epoch
        caller.behind = behind && { ...behind, names: behind.names.slice(0, MAX_NAMED) }
        caller.epoch = epoch
        if (before?.generation !== epoch?.generation || before?.sequence !== epoch?.sequence) this.#advance(caller)
      },
      leave: () => {
        this.#callers.delete(caller)
        this.#forget(caller)
      },
    }
  }

  /**
   * Up to which revocation of the present generation this node and all callers have applied all, not counting those that are
   * late; -1 where one of them does not know the generation yet.
   */
  confirmed(): number {
    let lowest = this.#revocations.epoch.sequence
    for (const [caller, { isLate }] of this.#behind) if (!isLate) lowest = Math.min(lowest, this.#known(caller))
    return lowest
  }

  /** Up to which one all callers have applied all, those that are late as well. */
  known(): number {
    let lowest = this.#revocations.epoch.sequence
    for (const caller of this.#behind.keys()) lowest = Math.min(lowest, this.#known(caller))
    return lowest
  }

  /** Those that have not confirmed, late or not; `undefined` where all have. */
  behind(): CallersBehind | undefined {
    return named(this.#behind.keys())
  }

  /** `undefined` where nobody is. */
  late(): LateCallers | undefined {
    const late = Array.from(this.#behind).flatMap(([caller, { isLate }]) => (isLate ? [caller] : []))
    const found = named(late)
    const lacks = late.reduce((lowest, caller) => Math.min(lowest, this.#known(caller) + 1), Number.POSITIVE_INFINITY)
    return found && { ...found, lacks }
  }

  /** Calls back when nobody is waited for any more, and when one of those that were late no longer is. */
  onSettled(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Resolves when nobody is waited for. */
  settled(): Promise<void> {
    if (!this.#isWaiting()) return Promise.resolve()
    return new Promise((resolve) => {
      const end = this.onSettled(() => {
        if (this.#isWaiting()) return
        end()
        resolve()
      })
    })
  }

  #known({ epoch }: Caller): number {
    return epoch?.generation === this.#revocations.epoch.generation ? epoch.sequence : -1
  }

  #place(caller: Caller): void {
    const isBehind = this.#known(caller) < this.#revocations.epoch.sequence
    if (!isBehind) return this.#forget(caller)
    if (this.#behind.has(caller)) return
    this.#behind.set(caller, { since: this.#clock.attentive(), isLate: false })
    this.#watch()
  }

  /** Who comes nearer has time again. */
  #advance(caller: Caller): void {
    const behind = this.#behind.get(caller)
    if (behind?.isLate === false) this.#behind.delete(caller)
    this.#place(caller)
    if (behind?.isLate === false && !this.#behind.has(caller)) this.#tellIfSettled()
  }

  #forget(caller: Caller): void {
    if (this.#behind.delete(caller)) this.#tellIfSettled()
  }

  #isWaiting(): boolean {
    for (const { isLate } of this.#behind.values()) if (!isLate) return true
    return false
  }

  #tellIfSettled(): void {
    if (this.#isWaiting()) return
    for (const listener of Array.from(this.#listeners)) listener()
  }

  /** One timer for all of them. */
  #watch(): void {
    if (this.#cancel !== undefined) return
    let first = Number.POSITIVE_INFINITY
    for (const { since, isLate } of this.#behind.values()) if (!isLate) first = Math.min(first, since)
    if (first === Number.POSITIVE_INFINITY) return
    const leftMs = first + CALLER_PATIENCE_MS - this.#clock.attentive()
    this.#cancel = onExpiry(this.#clock, leftMs, () => {
      this.#cancel = undefined
      const now = this.#clock.attentive()
      for (const behind of this.#behind.values()) behind.isLate ||= now - behind.since >= CALLER_PATIENCE_MS
      this.#watch()
      this.#tellIfSettled()
    })
  }
}

/** Who has callers of its own that it waits for stands for these. */
function named(callers: Iterable<Caller>): CallersBehind | undefined {
  let count = 0
  const names: string[] = []
  for (const { name, behind } of callers) {
    count += behind?.count ?? 1
    const all = behind === undefined ? [name] : behind.names.map((each) => `${each} behind ${name}`)
    names.push(...all.slice(0, MAX_NAMED - names.length))
  }
  return count === 0 ? undefined : { count, names }
}
