// Limits of the simulated world: counters that grant so much in each window of time, at whatever node they are charged. What is
// charged may be used until its window ends, a second at most: so callers may pay ahead.

import type { Clock } from '../../src/kernel/ports.ts'
import { chargeText, type Standing, windowOf } from './verdicts.ts'

/** A charge of one counter. */
export interface WindowCharge {
  /** Full names. */
  readonly handler: string
  readonly instance: string
  readonly salt: number
  readonly dimensions: ReadonlyMap<string, unknown>
  readonly amount: number
  readonly bestEffort: boolean
}

export interface WindowOutcome {
  readonly counter: string
  /** Which of its windows it was charged in. */
  readonly window: number
  readonly amount: number
  readonly granted: number
  readonly code: number
  readonly standing: Standing
  readonly validForMs: number
  /** When it was charged, and until when what was granted may be used. */
  readonly at: number
  readonly usableUntil: number
}

/** What was charged under one id: the last outcome of each charge, by handler and text. */
export type WindowOutcomes = ReadonlyMap<string, WindowOutcome>

/** What nobody uses is given back within a second after it could have been used for a second: it was charged no earlier. */
const SURELY_CHARGED_MS = 2_000
export const MOST_USABLE_MS = 1_000
const USED_UP = 8
const NONE: WindowOutcomes = new Map()

interface Counter {
  window: number
  used: number
}

export class WindowLimits {
  readonly #clock: Clock
  readonly #counters = new Map<string, Counter>()
  readonly #outcomes = new Map<string, Map<string, WindowOutcome>>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Charges all, or where one grants nothing, none. A charge that is heard again under its id has been granted already. */
  charge(id: string, charges: readonly WindowCharge[]): readonly WindowOutcome[] {
    const all = this.#outcomes.get(id) ?? new Map<string, WindowOutcome>()
    if (id !== '') this.#outcomes.set(id, all)
    const known = charges.map((charge) => all.get(textOf(charge)))
    const grants = charges.map((charge, i) => known[i]?.granted ?? this.#free(charge))
    const isRefused = charges.some(({ amount }, i) => amount > 0 && grants[i] === 0)
    return charges.map((charge, i) => {
      const granted = isRefused ? 0 : (grants[i] ?? 0)
      if (known[i] === undefined) this.#counter(charge).used += granted
      const outcome = this.#outcome(charge, granted, charge.amount > 0 && grants[i] === 0)
      all.set(textOf(charge), outcome)
      return outcome
    })
  }

  /** Takes back what surely counts still. */
  giveBack(charge: WindowCharge): void {
    const { windowMs } = windowOf(charge.salt, charge.instance, charge.dimensions)
    if (this.#clock.monotonic() % windowMs < SURELY_CHARGED_MS) return
    const counter = this.#counter(charge)
    counter.used -= charge.amount
    if (counter.used < 0) throw new Error(`more is given back of ${counterOf(charge)} than was charged`)
  }

  outcomesOf(id: string): WindowOutcomes {
    return this.#outcomes.get(id) ?? NONE
  }

  forget(id: string): void {
    this.#outcomes.delete(id)
  }

  #free(charge: WindowCharge): number {
    const { amount, bestEffort } = charge
    const left = windowOf(charge.salt, charge.instance, charge.dimensions).limit - this.#counter(charge).used
    return left >= amount ? amount : bestEffort ? Math.max(0, left) : 0
  }

  #outcome(charge: WindowCharge, granted: number, isOver: boolean): WindowOutcome {
    const { limit, windowMs, isExact } = windowOf(charge.salt, charge.instance, charge.dimensions)
    const counter = this.#counter(charge)
    const at = this.#clock.monotonic()
    const restMs = windowMs - (at % windowMs)
    const usableMs = isExact ? 0 : Math.min(MOST_USABLE_MS, restMs)
    const left = limit - counter.used
    const standing = { amount: limit, windowMs, left, resetMs: restMs, retryAfterMs: isOver ? restMs : 0, usableMs }
    const code = isOver ? USED_UP : 0
    const common = { counter: counterOf(charge), window: counter.window, amount: charge.amount }
    return { ...common, granted, code, standing, validForMs: Math.floor(restMs), at, usableUntil: at + usableMs }
  }

  #counter(charge: WindowCharge): Counter {
    const name = counterOf(charge)
    const window = windowAt(charge, this.#clock.monotonic())
    let counter = this.#counters.get(name)
    if (counter?.window !== window) this.#counters.set(name, (counter = { window, used: 0 }))
    return counter
  }
}

type Counted = Pick<WindowCharge, 'handler' | 'instance' | 'salt' | 'dimensions'>

export function counterOf({ handler, instance, salt, dimensions }: Counted): string {
  return `${salt} ${handler} ${chargeText(instance, 0, dimensions)}`
}

function windowAt({ salt, instance, dimensions }: Counted, at: number): number {
  return Math.floor(at / windowOf(salt, instance, dimensions).windowMs)
}

function textOf({ handler, instance, amount, dimensions }: WindowCharge): string {
  return `${handler} ${chargeText(instance, amount, dimensions)}`
}
