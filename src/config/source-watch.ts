// When a source of config is looked at: soon after it hints at a change, and from time to time without a hint, since hints
// are only hints.

import type { Clock } from '../kernel/ports.ts'
import type { ConfigSource } from './config-source.ts'

export interface SourceWatchOptions {
  readonly source: Pick<ConfigSource, 'watch'>
  readonly clock: Clock
  /** Looks at the source once and applies what has changed. Never rejects. */
  readonly look: () => Promise<void>
  /** How often the source is looked at when no hint came, in ms. Default 1000. */
  readonly pollMs?: number | undefined
  /** How long after a hint the source is read, in ms: editors write in several steps. Default 100. */
  readonly debounceMs?: number | undefined
}

export class SourceWatch {
  readonly #options: SourceWatchOptions
  #looking: Promise<void> | undefined
  #lookAgain = false
  #endWatch: () => void = () => undefined
  #cancelPoll: () => void = () => undefined
  #cancelDebounce: () => void = () => undefined
  #closed = false

  constructor(options: SourceWatchOptions) {
    this.#options = options
  }

  get closed(): boolean {
    return this.#closed
  }

  start(): void {
    this.#endWatch = this.#options.source.watch(() => this.#soon())
    this.#schedulePoll()
  }

  /** Looks now, once more where a look is under way; resolves when that is done. Never rejects. */
  async lookNow(): Promise<void> {
    this.#lookAgain = true
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined
    })
    await this.#looking
  }

  close(): void {
    this.#closed = true
    this.#endWatch()
    this.#cancelPoll()
    this.#cancelDebounce()
  }

  async #look(): Promise<void> {
    while (this.#lookAgain && !this.#closed) {
      this.#lookAgain = false
      await this.#options.look()
    }
  }

  #soon(): void {
    if (this.#closed) return
    this.#cancelDebounce()
    this.#cancelDebounce = this.#options.clock.after(this.#options.debounceMs ?? 100, () => void this.lookNow())
  }

  #schedulePoll(): void {
    if (this.#closed) return
    this.#cancelPoll = this.#options.clock.after(this.#options.pollMs ?? 1000, () => {
      void this.lookNow().then(() => this.#schedulePoll())
    })
  }
}
