// What the tests of the guard share: a meter that remembers, and a guard on a clock of its own.

import type { Meter, MetricSpec } from '../../src/kernel/ports.ts'
import { createGuard, type GuardLimits } from '../../src/policy/guard.ts'
import { FakeClock } from '../helpers/clock.ts'

class MemoryMeter implements Meter {
  readonly values = new Map<string, number>()

  counter(spec: MetricSpec) {
    return (...labels: string[]) => ({ add: (count = 1) => this.#change(spec, labels, (value) => value + count) })
  }

  gauge(spec: MetricSpec) {
    return (...labels: string[]) => ({ set: (value: number) => this.#change(spec, labels, () => value) })
  }

  histogram(spec: MetricSpec) {
    return (...labels: string[]) => ({ observe: () => this.#change(spec, labels, (value) => value + 1) })
  }

  #change(spec: MetricSpec, labels: readonly string[], change: (value: number) => number): void {
    const key = [spec.name, ...labels].join(' ')
    this.values.set(key, change(this.values.get(key) ?? 0))
  }
}

/** A guard of handler `h` with a timeout of 1 s; random numbers are all a half. */
export function guardOnFakeClock(limits: GuardLimits = {}, timeoutMs = 1_000) {
  const clock = new FakeClock()
  const meter = new MemoryMeter()
  const guard = createGuard({ handler: { name: 'h', timeoutMs }, clock, random: () => 0.5, meter, limits })
  return {
    clock,
    guard,
    deadline: (ms = 10_000) => ({ deadline: clock.monotonic() + ms }),
    metric: (...key: string[]) => meter.values.get(key.join(' ')) ?? 0,
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
