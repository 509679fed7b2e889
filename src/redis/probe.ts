// Whether Redis can be used: a small write, where the role writes. A PING is answered by a replica, by a server that cannot
// keep anything, and by any node of a cluster.

import { IntermixError } from '../kernel/errors.ts'
import type { Clock } from '../kernel/ports.ts'
import type { RedisClient } from './create-client.ts'
import { describeFailure } from './failure-reason.ts'
import type { Noted } from './link-log.ts'
import type { RedisTarget } from '../kernel/redis-url.ts'
import { isForbidden, isFull } from './trouble.ts'

/** What is written expires by itself. */
const KEPT_MS = 1000
const AGAIN_MS = 1000

export interface ProbeOptions {
  /** Keys that the role may write, on a cluster one of each slot that it needs. Empty: no write, but a PING. */
  readonly keys: () => readonly string[]
  readonly target: RedisTarget
  readonly clock: Clock
  /** Runs one command within its time; rejects as links do. */
  readonly run: (command: (client: RedisClient) => Promise<unknown>, timeoutMs: number) => Promise<unknown>
  /** Hears of a cluster of which a part is out of use. */
  readonly onChange: (change: Noted) => void
}

export class Probe {
  readonly #options: ProbeOptions
  #reason: string | undefined
  #isPart = false
  #cancel: (() => void) | undefined
  #askedAt = Number.NEGATIVE_INFINITY
  #stopped = false

  constructor(options: ProbeOptions) {
    this.#options = options
  }

  /** Why the latest probe found it unfit; or, of a cluster that is of use, which part of it is not. */
  get reason(): string | undefined {
    return this.#reason
  }

  /** `true` where at least one key can be written, `undefined` where this process did not listen long enough to tell. */
  async ask(timeoutMs: number): Promise<boolean | undefined> {
    const { keys, clock, run } = this.#options
    this.#askedAt = clock.monotonic()
    const [first, ...others] = keys()
    const write = (key: string) => run((client) => client.set(key, '', 'PX', KEPT_MS), timeoutMs)
    const asked =
      first === undefined
        ? [run((client) => client.ping(), timeoutMs)]
        : [first, ...(this.#options.target.kind === 'cluster' ? others : [])].map(write)
    const failures = await Promise.all(asked.map(failureOf))
    if (this.#stopped) return undefined
    const failed = failures.filter((failure) => failure !== undefined)
    const unheard = failed.filter(({ backend }) => backend === 'unheard')
    if (unheard.length === failures.length) return undefined
    const [failure] = failed.filter((each) => !unheard.includes(each))
    this.#cancel?.()
    const words = failure === undefined ? undefined : this.#wordsFor(failure, timeoutMs)
    const isPart = words !== undefined && failed.length < failures.length
    this.#tell(isPart ? `a part of the cluster is out of use: ${words}` : words, isPart)
    if (isPart) this.#cancel = clock.after(AGAIN_MS, () => void this.ask(timeoutMs))
    return words === undefined || isPart
  }

  /** Something failed, which may be but a part of a cluster. */
  suspect(timeoutMs: number): void {
    const { clock, target } = this.#options
    if (target.kind === 'cluster' && clock.monotonic() - this.#askedAt >= AGAIN_MS) void this.ask(timeoutMs)
  }

  stop(): void {
    this.#stopped = true
    this.#cancel?.()
  }

  #wordsFor({ cause }: IntermixError, timeoutMs: number): string {
    const { kind, tls } = this.#options.target
    if (cause instanceof Error) return describeFailure(cause, { kind, tls })
    return `it does not answer within ${timeoutMs} ms: see what keeps it busy, or allow more with --redis-timeout`
  }

  #tell(reason: string | undefined, isPart: boolean): void {
    const before = this.#isPart ? this.#reason : undefined
    this.#reason = reason
    this.#isPart = isPart
    if (before === (isPart ? reason : undefined)) return
    const { onChange } = this.#options
    if (before !== undefined) onChange({ ended: before })
    if (isPart && reason !== undefined) onChange({ began: reason })
  }
}

/** A server that answers is of use, although it has no room for a write, or this user no right to make it. */
async function failureOf(answer: Promise<unknown>): Promise<IntermixError | undefined> {
  try {
    await answer
    return undefined
  } catch (error) {
    const failure = IntermixError.from(error)
    const { cause } = failure
    return cause instanceof Error && (isFull(cause) || isForbidden(cause)) ? undefined : failure
  }
}
