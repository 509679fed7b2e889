// The link to Redis that hot paths use: every call is bounded and fails at once while Redis is known to be away.

import { onExpiry } from '../kernel/deadline.ts'
import { IntermixError } from '../kernel/errors.ts'
import { REDIS_CALLS_TOTAL, REDIS_UP, type RedisRole } from '../kernel/metrics/process.ts'
import type { Clock, Counter, Logger, Meter, Random } from '../kernel/ports.ts'
import { Breaker } from './breaker.ts'
import { createRedisClient, type RedisClient } from './create-client.ts'
import { onRefusal, reasonOf } from './failure-reason.ts'
import type { RedisAccess } from './redis-access.ts'
import { redactRedisUrl } from '../kernel/redis-url.ts'
import { WriteBatch } from './write-batch.ts'

const DEFAULT_COMMAND_TIMEOUT_MS = 50
const BREAKER_THRESHOLD = 5
const BREAKER_OPEN_MS = 1000
// A connection whose peer has vanished without a word is given up after this long without an answer.
const SOCKET_TIMEOUT_MS = 5000

export interface RedisLinkOptions {
  readonly access: RedisAccess
  /** `cache` may lose data at any time; `queue` holds what must not be lost, and so does `revocations`; `handlers` is what they make of it. */
  readonly role: RedisRole
  /** Bound of one call, in milliseconds; 50 unless set. */
  readonly commandTimeoutMs?: number
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  readonly meter: Meter
}

export interface RedisLink {
  /**
   * Runs one operation, which may be several commands. A late command may still be carried out by Redis, so operations
   * must be idempotent. Error replies of Redis to a command that it understood are passed on unchanged.
   * @throws IntermixError REDIS_UNAVAILABLE at once while the link is down, and when the operation's time is over.
   */
  run<T>(operation: (client: RedisClient) => Promise<T>, timeoutMs?: number): Promise<T>
  /** Bound of an operation that names none, in milliseconds. */
  readonly timeoutMs: number
  /** `down` while not connected and while the breaker is open. */
  state(): 'up' | 'down'
  /** Calls back whenever the link comes up, and at once when it is up; the returned function ends that. */
  onUp(callback: () => void): () => void
  /** Calls back whenever the link goes down; the returned function ends that. */
  onDown(callback: () => void): () => void
  /** Why the link is down, in words that say what to do; also while it is up but something is refused. `undefined`: all is well. */
  reason(): string | undefined
  /** Calls back whenever the state or what `reason` tells changes, and at once; the returned function ends that. */
  onReason(callback: () => void): () => void
  /** The underlying client for libraries that bring their own commands; their calls are not bounded by this link. */
  readonly client: RedisClient
  /** Disconnects; calls in flight are rejected. Safe twice. */
  close(): void
}

/**
 * Connects in the background and for ever.
 * @throws IntermixError INVALID_SETTING for a bad URL.
 */
export function connectRedis(options: RedisLinkOptions): RedisLink {
  return new Link(options)
}

class Link implements RedisLink {
  readonly client: RedisClient
  readonly timeoutMs: number
  readonly #options: RedisLinkOptions
  readonly #breaker: Breaker
  readonly #upListeners = new Set<() => void>()
  readonly #downListeners = new Set<() => void>()
  readonly #reasonListeners = new Set<() => void>()
  readonly #pending = new Set<(error: IntermixError) => void>()
  readonly #batch: WriteBatch
  readonly #calls: Record<'ok' | 'failed' | 'timeout' | 'stalled' | 'refused', Counter>
  #connected = false
  #closed = false
  /** `undefined` until the first connection has been made or refused: a Redis that is never there is told of too. */
  #reported: 'up' | 'down' | undefined
  /** What the connection failed with: a wrong password, for one, is not seen from outside. */
  #reason: string | undefined
  /** What Redis itself said when it refused the connection: that explains more than what came of it. */
  #refusal: string | undefined

  constructor(options: RedisLinkOptions) {
    this.#options = options
    this.timeoutMs = options.commandTimeoutMs ?? DEFAULT_COMMAND_TIMEOUT_MS
    const { meter, role } = options
    const calls = meter.counter(REDIS_CALLS_TOTAL)
    this.#calls = {
      ok: calls({ role, outcome: 'ok' }),
      failed: calls({ role, outcome: 'failed' }),
      timeout: calls({ role, outcome: 'timeout' }),
      stalled: calls({ role, outcome: 'stalled' }),
      refused: calls({ role, outcome: 'refused' }),
    }
    const up = meter.gauge(REDIS_UP)({ role })
    up.set(0)
    this.onUp(() => up.set(1))
    this.onDown(() => up.set(0))
    this.#breaker = new Breaker({
      threshold: BREAKER_THRESHOLD,
      openMs: BREAKER_OPEN_MS,
      clock: options.clock,
      random: options.random,
      probe: () => this.#probe(),
      onChange: () => this.#changed(),
    })
    this.client = createRedisClient(options.access, { socketTimeout: SOCKET_TIMEOUT_MS }, options.random, (problem) =>
      options.log.warn({ redis: role, reason: problem.message }, 'Redis: what that file held before is used on'),
    )
    this.#batch = new WriteBatch(this.client)
    this.client.on('error', (error: Error) => {
      this.#reason = reasonOf(error)
      options.log.debug({ redis: options.role, err: error }, 'Redis error')
    })
    onRefusal(this.client, (line) => this.#refused(line))
    this.client.on('ready', () => {
      this.#connected = true
      this.#reason = undefined
      this.#refusal = undefined
      this.#breaker.reset()
      this.#changed()
    })
    for (const event of ['close', 'end', 'reconnecting']) {
      this.client.on(event, () => {
        this.#connected = false
        this.#changed()
      })
    }
  }

  state(): 'up' | 'down' {
    return this.#connected && !this.#breaker.open ? 'up' : 'down'
  }

  onUp(callback: () => void): () => void {
    this.#upListeners.add(callback)
    if (this.state() === 'up') callback()
    return () => this.#upListeners.delete(callback)
  }

  onDown(callback: () => void): () => void {
    this.#downListeners.add(callback)
    return () => this.#downListeners.delete(callback)
  }

  reason(): string | undefined {
    if (this.state() === 'up') return undefined
    return this.#connected ? `it does not answer within ${this.timeoutMs} ms` : (this.#refusal ?? this.#reason)
  }

  onReason(callback: () => void): () => void {
    this.#reasonListeners.add(callback)
    callback()
    return () => this.#reasonListeners.delete(callback)
  }

  run<T>(operation: (client: RedisClient) => Promise<T>, timeoutMs?: number): Promise<T> {
    if (this.state() === 'down') {
      this.#calls.refused.add()
      return Promise.reject(unavailable('Redis is not reachable'))
    }
    return this.#bounded(operation, timeoutMs ?? this.timeoutMs)
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#connected = false
    this.#breaker.stop()
    for (const reject of this.#pending) reject(unavailable('the link to Redis is closed'))
    this.client.disconnect()
  }

  #bounded<T>(operation: (client: RedisClient) => Promise<T>, timeoutMs: number): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const { clock } = this.#options
      let cancel = () => {}
      const settle = (finish: () => void) => {
        if (!this.#pending.delete(abort)) return
        cancel()
        finish()
      }
      const abort = (error: IntermixError) => settle(() => reject(error))
      this.#pending.add(abort)
      this.#batch.add(() => {
        if (!this.#pending.has(abort)) return
        const listeningFrom = clock.attentive()
        cancel = onExpiry(clock, timeoutMs, () =>
          settle(() => {
            // Where this process did not listen, Redis has not failed.
            const heard = clock.attentive() - listeningFrom >= timeoutMs / 2
            this.#calls[heard ? 'timeout' : 'stalled'].add()
            if (heard) this.#breaker.failed()
            const message = `Redis did not answer within ${timeoutMs} ms`
            reject(
              heard ? unavailable(message) : new IntermixError('REDIS_UNAVAILABLE', message, { backend: 'unheard' }),
            )
          }),
        )
      })
      invoke(operation, this.client).then(
        (value) =>
          settle(() => {
            this.#calls.ok.add()
            this.#breaker.succeeded()
            resolve(value)
          }),
        (error: unknown) => settle(() => reject(this.#judge(error))),
      )
    })
  }

  /** Tells failures of the connection from answers that say no. */
  #judge(error: unknown): unknown {
    if (isAnswer(error)) {
      this.#calls.ok.add()
      this.#breaker.succeeded()
      return error
    }
    this.#calls.failed.add()
    this.#breaker.failed()
    return unavailable('Redis failed', error)
  }

  async #probe(): Promise<boolean | undefined> {
    if (!this.#connected) return false
    return this.#bounded((client) => client.ping(), this.timeoutMs).then(
      () => true,
      (error: unknown) => (error instanceof IntermixError && error.backend === 'unheard' ? undefined : false),
    )
  }

  /** The refusal may be read only at a later attempt than that which was told of. */
  #refused(line: string): void {
    if (line === this.#refusal) return
    this.#refusal = line
    const { log, role, access } = this.#options
    if (this.#reported === 'down')
      log.warn({ redis: role, url: redactRedisUrl(access.url), reason: line }, 'Redis refuses the connection')
  }

  #changed(): void {
    const state = this.state()
    if (state === this.#reported) return
    this.#reported = state
    const { log, role, access } = this.#options
    if (this.#closed) log.debug({ redis: role }, 'Redis link closed')
    else if (state === 'up') log.info({ redis: role, url: redactRedisUrl(access.url) }, 'Redis is up')
    else {
      const reason = this.reason()
      log.warn({ redis: role, url: redactRedisUrl(access.url), reason }, 'Redis is down: going on without it')
    }
    for (const listener of this.#reasonListeners) listener()
    for (const listener of state === 'up' ? this.#upListeners : this.#downListeners) listener()
  }
}

async function invoke<T>(operation: (client: RedisClient) => Promise<T>, client: RedisClient): Promise<T> {
  return operation(client)
}

const AWAY = /^(LOADING|READONLY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|NOAUTH|UNBLOCKED)/

/** Replies of a working Redis, and mistakes of the caller, say nothing about the connection. */
function isAnswer(error: unknown): boolean {
  if (error instanceof IntermixError || error instanceof TypeError || error instanceof RangeError) return true
  return error instanceof Error && error.name === 'ReplyError' && !AWAY.test(error.message)
}

function unavailable(message: string, cause?: unknown): IntermixError {
  return new IntermixError('REDIS_UNAVAILABLE', message, cause === undefined ? undefined : { cause })
}
