// Whether Redis can be used: a small write, where the role writes. A PING is answered by a replica, by a server that cannot
// keep anything, and by any node of a cluster.

import { IntermixError } from '../kernel/errors.ts'
import type { RedisRole } from '../kernel/metrics/process.ts'
import type { Clock } from '../kernel/ports.ts'
import type { RedisClient } from './create-client.ts'
import { describeFailure } from './failure-reason.ts'
import type { Noted } from './link-log.ts'
import type { RedisTarget } from '../kernel/redis-url.ts'
import { isForbidden, isFull } from './trouble.ts'

/** What is written expires by itself. */
const KEPT_MS = 1000
const AGAIN_MS = 1000

/** What sets how long a call may take; of `revocations` nothing does, it is the longest that makes sense. */
const SETTINGS: Readonly<Record<RedisRole, string | undefined>> = {
  cache: '--redis-timeout',
  queue: '--queue-redis-timeout',
  handlers: '--queue-redis-timeout',
  revocations: undefined,
  config: undefined,
}

export interface ProbeOptions {
  readonly role: RedisRole
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
  /** The least time, in ms, after which it answered, answers that came too late included. */
  #bestMs = Number.POSITIVE_INFINITY
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
    const ask = (command: (client: RedisClient) => Promise<unknown>) =>
      run((client) => this.#timed(command(client)), timeoutMs)
    const write = (key: string) => ask((client) => client.set(key, '', 'PX', KEPT_MS))
    const asked =
      first === undefined
        ? [ask((client) => client.ping())]
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
    const { role, target } = this.#options
    const { kind, tls } = target
    if (cause instanceof Error) return describeFailure(cause, { kind, tls })
    const setting = SETTINGS[role]
    if (setting !== undefined && this.#bestMs > timeoutMs && this.#bestMs < Number.POSITIVE_INFINITY) {
      const best = Math.ceil(this.#bestMs)
      return `it answers after ${best} ms at best, not within ${timeoutMs} ms: allow several times as much with ${setting}`
    }
    const advice = setting === undefined ? '' : `, or allow more with ${setting}`
    return `it does not answer within ${timeoutMs} ms: see what keeps it busy${advice}`
  }

  /** Notes when an answer comes, even one that nobody waits for any more. */
  #timed(answer: Promise<unknown>): Promise<unknown> {
    const { clock } = this.#options
    const sentAt = clock.monotonic()
    const came = () => {
      this.#bestMs = Math.min(this.#bestMs, clock.monotonic() - sentAt)
    }
    answer.then(came, () => undefined)
    return answer
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
