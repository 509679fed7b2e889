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
/** More of a name is not kept: those of a node stand in one field of Redis, and in the receipts of operators. */
const MAX_NAME = 150

interface Caller {
  readonly name: string
  epoch: Epoch | undefined
  /** Who of its own callers it waits for. */
  behind: CallersBehind | undefined
}

interface Behind {
  /** Since when, on the clock that stands while this process does. */
  since: number
  isLate: boolean
}

export class RevocationCallers {
  readonly #clock: Clock
  readonly #revocations: Revocations
  readonly #callers = new Set<Caller>()
  /** Those that have confirmed all: a revocation is new to these alone. */
  readonly #level = new Set<Caller>()
  readonly #behind = new Map<Caller, Behind>()
  readonly #listeners = new Set<() => void>()
  /** Those behind that are not late. */
  #waiting = 0
  #generation: string
  #cancel: (() => void) | undefined
  #hasBeen = false

  constructor({ clock, revocations }: { readonly clock: Clock; readonly revocations: Revocations }) {
    this.#clock = clock
    this.#revocations = revocations
    this.#generation = revocations.epoch.generation
    revocations.onChange(() => {
      const { generation } = revocations.epoch
      const isNew = generation !== this.#generation
      this.#generation = generation
      for (const caller of isNew ? this.#callers : this.#level) this.#place(caller)
    })
  }

  /** Whether there has ever been one: it may be anywhere now. */
  get hasBeen(): boolean {
    return this.#hasBeen
  }

  /** @param name for people; several may have the same */
  join(name: string): RevocationCaller {
    this.#hasBeen = true
    const caller: Caller = { name: cut(name), epoch: undefined, behind: undefined }
    this.#callers.add(caller)
    this.#place(caller)
    return {
      confirm: (epoch, behind) => {
        const before = caller.epoch
        caller.behind = behind && { ...behind, names: behind.names.slice(0, MAX_NAMED).map(cut) }
        caller.epoch = epoch
        if (before?.generation !== epoch?.generation || before?.sequence !== epoch?.sequence) this.#advance(caller)
      },
      leave: () => {
        this.#callers.delete(caller)
        this.#level.delete(caller)
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
    if (this.#waiting === 0) return Promise.resolve()
    return new Promise((resolve) => {
      const end = this.onSettled(() => {
        if (this.#waiting > 0) return
        end()
        resolve()
      })
    })
  }

  #known({ epoch }: Caller): number {
    return epoch?.generation === this.#revocations.epoch.generation ? epoch.sequence : -1
  }

  #place(caller: Caller): void {
    if (!this.#callers.has(caller)) return
    if (this.#known(caller) >= this.#revocations.epoch.sequence) {
      this.#level.add(caller)
      this.#forget(caller)
    } else if (!this.#behind.has(caller)) {
      this.#level.delete(caller)
      this.#behind.set(caller, { since: this.#clock.attentive(), isLate: false })
      this.#waiting++
      this.#watch()
    }
  }

  /** Who comes nearer has time again. */
  #advance(caller: Caller): void {
    const behind = this.#behind.get(caller)
    if (behind?.isLate === false) behind.since = this.#clock.attentive()
    this.#place(caller)
  }

  #forget(caller: Caller): void {
    const behind = this.#behind.get(caller)
    if (behind === undefined) return
    this.#behind.delete(caller)
    if (!behind.isLate) this.#waiting--
    this.#tellIfSettled()
  }

  #tellIfSettled(): void {
    if (this.#waiting > 0) return
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
      for (const behind of this.#behind.values()) {
        if (behind.isLate || now - behind.since < CALLER_PATIENCE_MS) continue
        behind.isLate = true
        this.#waiting--
      }
      this.#watch()
      this.#tellIfSettled()
    })
  }
}

/** Without half of a surrogate pair at its end. */
const cut = (name: string) => (name.length > MAX_NAME ? `${name.slice(0, MAX_NAME).toWellFormed()}…` : name)

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
