// Has caches give memory back before the process runs out of it, a little at a time, and take it again when there is room for long.

import { CACHE_GIVEN_BACK_BYTES, CACHE_MEMORY_STEPS_TOTAL } from '../../kernel/metrics/cache.ts'
import type { Clock, Logger, Meter, ProcessMemory } from '../../kernel/ports.ts'

/** Caches that can do with less than they may have. */
export interface YieldingCaches {
  /** What they hold, in bytes. */
  readonly heldBytes: number
  /** What they may hold now; they come down to it little by little. */
  readonly allowedBytes: number
  /** What they may hold where memory is plenty. */
  readonly mostBytes: number
  /** Sets what they may hold now. */
  allow(bytes: number): void
}

export interface MemoryWatchOptions {
  readonly clock: Clock
  readonly log: Logger
  readonly meter: Meter
  readonly memory: ProcessMemory
  readonly caches: YieldingCaches
}

/**
 * Shares of what the process may have. V8 collects garbage at the latest half way between what lives and the end of its heap: whoever
 * sees 85 % in use has 70 % alive, and below 75 % half.
 */
const SCARCE = 0.85
const URGENT = 0.93
const PLENTY = 0.75
/** Short enough for a heap that fills within a second. */
const LOOK_MS = 100
/** Between steps, for garbage to be collected and for what is asked to show. */
const PAUSE_MS = 5_000
const URGENT_PAUSE_MS = 1_000
const CALM_MS = 60_000
/** Of what caches hold, what is given back at once; and of what they may hold, what is taken again. */
const STEP = 0.1
/** Below that nothing is to be had. */
const LEAST_BYTES = 1024 * 1024

export class MemoryWatch {
  readonly #options: MemoryWatchOptions
  readonly #steps: Record<'given_back' | 'taken_again', () => void>
  #steppedAt = Number.NEGATIVE_INFINITY
  #scarceAt = Number.NEGATIVE_INFINITY
  #cancel: (() => void) | undefined

  constructor(options: MemoryWatchOptions) {
    const steps = options.meter.counter(CACHE_MEMORY_STEPS_TOTAL)
    this.#options = options
    this.#steps = {
      given_back: () => steps({ kind: 'given_back' }).add(),
      taken_again: () => steps({ kind: 'taken_again' }).add(),
    }
  }

  start(): void {
    this.#cancel = this.#options.clock.after(LOOK_MS, () => {
      this.#look()
      this.start()
    })
  }

  stop(): void {
    this.#cancel?.()
  }

  #look(): void {
    const { clock, memory, caches } = this.#options
    const now = clock.monotonic()
    const used = memory.usedShare()
    if (used >= PLENTY) this.#scarceAt = now
    if (used >= SCARCE) this.#giveBack(now, used)
    else if (now - Math.max(this.#scarceAt, this.#steppedAt) >= CALM_MS && caches.allowedBytes < caches.mostBytes)
      this.#takeAgain(now)
  }

  #giveBack(now: number, used: number): void {
    const { log, caches } = this.#options
    const { heldBytes: held, allowedBytes: allowed, mostBytes: most } = caches
    // What was to be given is on its way still.
    if (held > allowed || now - this.#steppedAt < (used >= URGENT ? URGENT_PAUSE_MS : PAUSE_MS)) return
    // Room that they do not use yet is no room any more.
    const next = Math.floor(Math.max(Math.min(LEAST_BYTES, most), held * (1 - STEP)))
    if (next >= allowed) return
    const facts = { used: Number(used.toFixed(3)), heldBytes: held, allowedBytes: next, mostBytes: most }
    if (allowed >= most) log.warn(facts, 'the memory of this process is nearly used up: caches give some back')
    else log.debug(facts, 'caches give back memory')
    this.#allow(next, now, 'given_back')
  }

  #takeAgain(now: number): void {
    const { log, caches } = this.#options
    const { mostBytes: most } = caches
    const next = Math.min(most, Math.ceil(caches.allowedBytes * (1 + STEP)))
    if (next === most) log.info({ mostBytes: most }, 'caches may hold as much again as they should')
    this.#allow(next, now, 'taken_again')
  }

  #allow(bytes: number, now: number, kind: 'given_back' | 'taken_again'): void {
    const { caches, meter } = this.#options
    this.#steppedAt = now
    caches.allow(bytes)
    this.#steps[kind]()
    meter
      .gauge(CACHE_GIVEN_BACK_BYTES)()
      .set(caches.mostBytes - caches.allowedBytes)
  }
}
