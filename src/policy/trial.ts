// How a config is tried: what the one behind it answers in its place, and when that begins to.

import { IntermixError } from '../kernel/errors.ts'
import type { Clock } from '../kernel/ports.ts'
import type { CheckOptions, CheckOutcome } from '../kernel/services.ts'
import type { PolicyState } from './handler-table.ts'

/** How a config is tried while others answer by the one before it. */
export interface Trial {
  /** The config before, which answers what the one on trial cannot decide. */
  readonly behind: PolicyState
  /** Namespaces whose requests the one on trial answers; `undefined`: those of all. */
  readonly namespaces: ReadonlySet<string> | undefined
}

/** As a request that is asked of one config after the other is asked: for this time alone, and from when it came. */
export function onceOf(options: CheckOptions, clock: Clock): CheckOptions & { readonly startedAt: number } {
  const { startedAt = clock.monotonic() } = options
  return { ...options, startedAt, uses: 1, shape: false, keepsAnswer: false }
}

/**
 * The answer of a request alone, which is not given again. Nobody gives back what it has paid for: that would be taken back
 * by another config than the one that charged it.
 */
export function unkept(outcome: CheckOutcome | Promise<CheckOutcome>): CheckOutcome | Promise<CheckOutcome> {
  return outcome instanceof Promise ? outcome.then(unkeptNow) : unkeptNow(outcome)
}

function unkeptNow(outcome: CheckOutcome): CheckOutcome {
  const answer = { ...outcome.answer, validForMs: 0, validUses: 0 }
  return { ...outcome, answer, shape: undefined, staleForMs: 0, isPaid: false }
}

/** What the config on trial could not decide, and the one behind it did. */
export function undecidedBefore(outcome: CheckOutcome | Promise<CheckOutcome>): CheckOutcome | Promise<CheckOutcome> {
  if (outcome instanceof Promise) return outcome.then(undecidedBefore)
  return { ...unkeptNow(outcome), isUndecided: true }
}

/** The time that a request has is divided: so much of it passes before another config begins to look at it. */
const PATIENT_SHARE = 0.5

/** Something that begins only when much of a request's time has passed, and then waits to hear whether it is wanted. */
export interface BegunLater<W, T> {
  /** Lets it go on, where it has begun; else it never will. @returns what comes of it; `undefined` where it has not begun */
  take(wanted: W): Promise<T> | undefined
  /** The outcome of the request: once that is there, nothing is begun any more, and what has begun ends. */
  until<O>(outcome: O | Promise<O>): O | Promise<O>
}

/** @param begin is called with what it is to wait for, which rejects where it is not wanted */
export function beginLater<W, T>(
  clock: Clock,
  { startedAt, timeoutMs }: { readonly startedAt: number; readonly timeoutMs: number },
  begin: (wanted: Promise<W>) => T | Promise<T> | undefined,
): BegunLater<W, T> {
  const { promise, resolve, reject } = Promise.withResolvers<W>()
  promise.catch(() => undefined)
  let begun: Promise<T> | undefined
  let isTaken = false
  return {
    take(wanted) {
      isTaken = true
      resolve(wanted)
      return begun
    },
    until(outcome) {
      if (!(outcome instanceof Promise)) return outcome
      const cancel = clock.after(Math.max(0, startedAt + timeoutMs * PATIENT_SHARE - clock.monotonic()), () => {
        const started = isTaken ? undefined : begin(promise)
        if (!(started instanceof Promise)) return
        begun = started
        // Whoever takes it hears of its failure.
        started.catch(() => undefined)
      })
      const end = () => {
        cancel()
        reject(new IntermixError('CANCELLED', 'the config on trial has answered'))
      }
      outcome.then(end, end)
      return outcome
    },
  }
}
