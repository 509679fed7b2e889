// Data that is fetched again and again (lists, pods): the last good copy serves until its time to live has passed.

import { IntermixError } from '../kernel/errors.ts'
import type { Clock, Logger, Random } from '../kernel/ports.ts'

const FIRST_RETRY_MS = 1_000

export interface RefreshingSourceOptions<T> {
  /** What is loaded, for errors and logs, such as `the list of http://…`. */
  readonly what: string
  readonly refreshMs: number
  /** How long a copy may be used after it was loaded, in milliseconds. */
  readonly ttlMs: number
  /** Loads a copy; `previous` is the last good one. The signal aborts when the source stops. */
  load(signal: AbortSignal, previous: T | undefined): Promise<T>
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
}

/**
 * Loads at once on `start`, then every `refreshMs` less up to a tenth. After a failure it retries after 1 s, 2 s, 4 s …
 * with jitter, never later than the usual refresh.
 */
export class RefreshingSource<T> {
  readonly #options: RefreshingSourceOptions<T>
  readonly #stopped = new AbortController()
  #copy: { readonly value: T; readonly loadedAt: number } | undefined
  #lastError: IntermixError | undefined
  #failures = 0
  #cancelTimer: (() => void) | undefined

  constructor(options: RefreshingSourceOptions<T>) {
    this.#options = options
  }

  /** Resolves after the first attempt, whether or not it succeeded. */
  async start(): Promise<void> {
    if (!this.#stopped.signal.aborted) await this.#refresh()
  }

  stop(): void {
    this.#stopped.abort()
    this.#cancelTimer?.()
  }

  /** The last good copy. Throws `BACKEND_FAILED` where there is none that is young enough. */
  current(): T {
    const { clock, ttlMs, what } = this.#options
    if (this.#copy !== undefined && clock.monotonic() - this.#copy.loadedAt <= ttlMs) return this.#copy.value
    const why = this.#lastError === undefined ? 'it has not been loaded yet' : this.#lastError.message
    throw new IntermixError('BACKEND_FAILED', `${what} is not available: ${why}`, { cause: this.#lastError })
  }

  async #refresh(): Promise<void> {
    const { clock, log, what } = this.#options
    // Age counts from before the request, so that a slow answer is not taken for a young one.
    const askedAt = clock.monotonic()
    try {
      const value = await this.#options.load(this.#stopped.signal, this.#copy?.value)
      this.#copy = { value, loadedAt: askedAt }
      this.#lastError = undefined
      this.#failures = 0
    } catch (error) {
      if (this.#stopped.signal.aborted) return
      this.#lastError = IntermixError.from(error)
      this.#failures += 1
      log.warn({ error: this.#lastError.message, failures: this.#failures }, `could not load ${what}`)
    }
    if (!this.#stopped.signal.aborted) this.#cancelTimer = clock.after(this.#nextDelay(), () => void this.#refresh())
  }

  #nextDelay(): number {
    const { refreshMs, random } = this.#options
    if (this.#failures === 0) return refreshMs * (1 - 0.1 * random())
    const backoff = Math.min(refreshMs, FIRST_RETRY_MS * 2 ** (this.#failures - 1))
    return backoff * (0.5 + 0.5 * random())
  }
}
