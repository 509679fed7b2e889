// Long work in short slices. A config of 10,000 rules takes a second of the processor, and a process that serves
// meanwhile must not stand still: such work is written as a generator that yields where it may pause, and whoever runs it
// decides whether it does.

import type { Clock } from '../kernel/ports.ts'

/** Work that yields wherever it can be interrupted: at least once in what takes about a millisecond. */
export type Sliced<T> = Generator<undefined, T, undefined>

/** Runs work to its end, or in slices. */
export type Run = <T>(work: Sliced<T>) => T | Promise<T>

/** What a slice may take, in ms. */
const SLICE_MS = 5

/** Runs work to its end at once. */
export function atOnce<T>(work: Sliced<T>): T {
  for (;;) {
    const step = work.next()
    if (step.done === true) return step.value
  }
}

/** Runs work in slices of about 5 ms; between them the event loop does whatever else is due. */
export async function inSlices<T>(work: Sliced<T>, clock: Pick<Clock, 'monotonic'>): Promise<T> {
  for (;;) {
    const end = clock.monotonic() + SLICE_MS
    do {
      const step = work.next()
      if (step.done === true) return step.value
    } while (clock.monotonic() < end)
    await new Promise((resolve) => setImmediate(resolve))
  }
}
