// An environment for trying out an adapter without Intermix around it: time stands still until it is moved, what the
// adapter does to the outside world is recorded, and nothing leaves the process unless a `fetch` is given.

import { IntermixError } from '../kernel/errors.ts'
import type { Clock, Logger, Meter } from '../kernel/ports.ts'
import type { AdapterEnvironment, CallContext } from './define-adapter.ts'
import type { DurableCounters } from './durable-counters.ts'
import { piecesOf, partsOf } from './exposed-part.ts'
import type { Limits } from './limits.ts'
import { MemoryCounters } from './memory-counters.ts'

/** A clock that moves only by `advance`. */
export class ManualClock implements Clock {
  #now: number
  #timers: { readonly at: number; readonly callback: () => void }[] = []

  constructor(now = 1_700_000_000_000) {
    this.#now = now
  }

  now(): number {
    return this.#now
  }

  monotonic(): number {
    return this.#now
  }

  attentive(): number {
    return this.#now
  }

  turn(callback: () => void): () => void {
    return this.after(0, callback)
  }

  after(ms: number, callback: () => void): () => void {
    const timer = { at: this.#now + ms, callback }
    this.#timers.push(timer)
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer)
    }
  }

  /** How many timers wait. */
  get pending(): number {
    return this.#timers.length
  }

  /** Moves time on, running due timers in order and letting promises settle after each. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms
    for (;;) {
      const due = this.#timers.filter((timer) => timer.at <= end).sort((a, b) => a.at - b.at)[0]
      if (due === undefined) break
      this.#timers = this.#timers.filter((timer) => timer !== due)
      this.#now = Math.max(this.#now, due.at)
      due.callback()
      await settle()
    }
    this.#now = end
    await settle()
  }
}

/** Lets everything that only waits for promises run. */
function settle(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}

export interface TestEnvironmentOptions {
  /** Default: every request fails, as with an unreachable backend. */
  readonly fetch?: typeof fetch
  readonly redis?: NonNullable<AdapterEnvironment['redis']>
  readonly clock?: Clock
  /** Default: in memory. */
  readonly counters?: DurableCounters
  /** Default: there are none. */
  readonly limits?: Limits
}

/** The environment together with what the adapter did in it. */
export interface TestEnvironment extends AdapterEnvironment {
  readonly fetches: string[]
  readonly schedules: { readonly everyMs: number; readonly task: (signal: AbortSignal) => void | Promise<void> }[]
  readonly exposed: Map<string, () => Promise<string>>
  readonly logged: { readonly level: string; readonly message: string; readonly fields: object }[]
}

/** Builds an environment whose random numbers are always a half. */
export function createTestEnvironment(options: TestEnvironmentOptions = {}): TestEnvironment {
  const fetches: string[] = []
  const schedules: TestEnvironment['schedules'] = []
  const exposed: TestEnvironment['exposed'] = new Map()
  const logged: { level: string; message: string; fields: object }[] = []
  const clock = options.clock ?? new ManualClock()
  const request = options.fetch ?? (() => Promise.reject(new IntermixError('BACKEND_FAILED', 'there is no network')))
  return {
    handlerName: 'test.handler.default',
    clock,
    random: () => 0.5,
    log: recordingLogger(logged),
    meter: silentMeter(),
    fetch: (input, init) => {
      fetches.push(input instanceof Request ? input.url : String(input))
      return request(input, init)
    },
    schedule: (everyMs, task) => {
      schedules.push({ everyMs, task })
    },
    counters: options.counters ?? new MemoryCounters(clock),
    expose: (path, _contentType, render) => {
      exposed.set(path, async () => piecesOf(partsOf(await render())).join(''))
    },
    ...(options.redis === undefined ? {} : { redis: options.redis }),
    ...(options.limits === undefined ? {} : { limits: options.limits }),
    fetches,
    schedules,
    exposed,
    logged,
  }
}

/** A call that ends after `timeoutMs` on the environment's clock; `signal` replaces the one that never aborts. */
export function createCall(
  env: AdapterEnvironment,
  timeoutMs = 1_000,
  signal: AbortSignal = new AbortController().signal,
): CallContext {
  return { signal, deadline: env.clock.monotonic() + timeoutMs }
}

function recordingLogger(logged: { level: string; message: string; fields: object }[]): Logger {
  const at = (level: string) => (fields: object, message: string) => {
    logged.push({ level, message, fields })
  }
  const logger: Logger = {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: () => logger,
  }
  return logger
}

function silentMeter(): Meter {
  const nothing = () => undefined
  return {
    counter: () => () => ({ add: nothing }),
    gauge: () => () => ({ set: nothing }),
    histogram: () => () => ({ observe: nothing }),
  }
}
