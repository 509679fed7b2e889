// What the tests of the guard share: a guard on a clock of its own, and what it logged and counted.

import type { Clock, Logger, Random } from '../../src/kernel/ports.ts'
import { createGuard } from '../../src/policy/guard.ts'
import type { PlaceLimits } from '../../src/policy/places.ts'
import { FakeClock } from '../helpers/clock.ts'
import { ReadableMeter } from '../redis/support.ts'

/** A log whose lines of level `warn` can be read. */
class WarningLog implements Logger {
  readonly warnings: { readonly fields: object; readonly message: string }[]
  readonly #fields: object

  constructor(fields: object = {}, warnings: WarningLog['warnings'] = []) {
    this.#fields = fields
    this.warnings = warnings
  }

  debug(): void {}
  info(): void {}
  error(): void {}

  warn(fields: object, message: string): void {
    this.warnings.push({ fields: { ...this.#fields, ...fields }, message })
  }

  child(fields: object): Logger {
    return new WarningLog({ ...this.#fields, ...fields }, this.warnings)
  }
}

/** A guard of handler `h` with a timeout of 1 s; random numbers are all a half. */
export function guardWith(clock: Clock, limits: PlaceLimits = {}, timeoutMs = 1_000, random: Random = () => 0.5) {
  const meter = new ReadableMeter()
  const log = new WarningLog()
  const guard = createGuard({ handler: { name: 'h', timeoutMs }, clock, random, meter, log, limits })
  return {
    guard,
    warnings: log.warnings,
    deadline: (ms = 10_000) => ({ deadline: clock.monotonic() + ms }),
    metric: (name: string, ...labels: string[]) => meter.value(name, ...labels),
  }
}

/** The same on a clock that the test moves. */
export function guardOnFakeClock(limits: PlaceLimits = {}, timeoutMs = 1_000, random: Random = () => 0.5) {
  const clock = new FakeClock()
  return {
    clock,
    ...guardWith(clock, limits, timeoutMs, random),
    /** Resolves after `ms` on the clock. */
    later: <T>(ms: number, value: T) =>
      new Promise<T>((resolve) => {
        clock.after(ms, () => resolve(value))
      }),
    /** Rejects after `ms` on the clock. */
    failLater: (ms: number, error: unknown) =>
      new Promise<never>((_, reject) => {
        clock.after(ms, () => reject(error))
      }),
  }
}

/** Waits for a value or an error without leaving a rejection unhandled. */
export async function outcomeOf(run: () => unknown): Promise<{ value: unknown } | { error: unknown }> {
  try {
    return { value: await run() }
  } catch (error) {
    return { error }
  }
}
