// The link to Redis that hot paths use: every call is bounded and fails at once while Redis is known to be away.

import { onExpiry } from '../kernel/deadline.ts'
import { IntermixError } from '../kernel/errors.ts'
import { REDIS_CALLS_TOTAL, REDIS_UP, type RedisRole } from '../kernel/metrics/process.ts'
import type { Clock, Counter, Logger, Meter, Random } from '../kernel/ports.ts'
import { Breaker } from './breaker.ts'
import { createRedisClient, type RedisClient } from './create-client.ts'
import { ConnectionWatch } from './connection-watch.ts'
import { LinkLog, type Noted } from './link-log.ts'
import { Probe, type ProbeOptions } from './probe.ts'
import { Refusals } from './refusals.ts'
import type { RedisAccess } from './redis-access.ts'
import { parseRedisUrl, redactRedisUrl } from '../kernel/redis-url.ts'
import { isAway, isForbidden } from './trouble.ts'
import { WriteBatch } from './write-batch.ts'

const DEFAULT_COMMAND_TIMEOUT_MS = 50
const BREAKER_THRESHOLD = 5
const BREAKER_OPEN_MS = 1000
const FIRST_PROBE_MS = 1000
// A connection whose peer has vanished without a word is given up after this long without an answer.
const SOCKET_TIMEOUT_MS = 5000

export interface RedisLinkOptions {
  readonly access: RedisAccess
  /** `cache` may lose data at any time; `queue` holds what must not be lost, and so does `revocations`; `handlers` is what they make of it. */
  readonly role: RedisRole
  /**
   * Keys that may be written at any time to find out whether Redis can be used: on a cluster, one of each slot that the role
   * needs, else the first one. Without any, it is asked for a PING, which a replica answers, too.
   */
  readonly probeKeys?: () => readonly string[]
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
  /** Hears what another client of the same user was refused with: what is refused by rights, or for lack of memory, is in `reason`. */
  heed(error: Error): void
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
  readonly #watch: ConnectionWatch
  readonly #probe: Probe
  readonly #refusals: Refusals
  readonly #told: LinkLog
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
  constructor(options: RedisLinkOptions) {
    this.#options = options
    this.timeoutMs = options.commandTimeoutMs ?? DEFAULT_COMMAND_TIMEOUT_MS
    const { access, clock, random, log, meter, role } = options
    const target = parseRedisUrl(access.url)
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
    const noted = (change: Noted) => this.#noted(change)
    this.#told = new LinkLog({ role, url: redactRedisUrl(access.url), clock, log, meter })
    this.#refusals = new Refusals({ user: target.username ?? 'default', role, clock, onChange: noted })
    const run: ProbeOptions['run'] = (command, timeoutMs) => this.#bounded(command, timeoutMs)
    this.#probe = new Probe({ role, keys: options.probeKeys ?? (() => []), target, clock, run, onChange: noted })
    this.#breaker = new Breaker({
      threshold: BREAKER_THRESHOLD,
      openMs: BREAKER_OPEN_MS,
      clock,
      random,
      // Its first command opens connections to the nodes of a cluster.
      probe: (isFirst) => this.#ask(isFirst ? Math.max(FIRST_PROBE_MS, this.timeoutMs) : this.timeoutMs),
      onChange: () => this.#changed(),
    })
    this.client = createRedisClient(access, { socketTimeout: SOCKET_TIMEOUT_MS }, random, ({ message: reason }) =>
      log.warn({ redis: role, reason }, 'Redis: what that file held before is used on'),
    )
    this.#batch = new WriteBatch(this.client)
    const onError = (err: Error) => log.debug({ redis: role, err }, 'Redis error')
    this.#watch = new ConnectionWatch({ client: this.client, target, clock, onError, onChange: () => this.#changed() })
    this.client.on('ready', () => {
      this.#connected = true
      this.#breaker.verify()
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
    if (!this.#connected) return this.#watch.reason
    const reasons = [this.#probe.reason, this.#breaker.open ? undefined : this.#refusals.reason]
    const words = reasons.filter((reason) => reason !== undefined).join('; ')
    return words === '' ? undefined : words
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

  heed(error: Error): void {
    if (error.name === 'ReplyError') this.#refusals.heed(error)
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#connected = false
    for (const part of [this.#breaker, this.#probe, this.#refusals, this.#watch, this.#told]) part.stop()
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
            if (heard) this.#failed()
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
    const isReply = error instanceof Error && error.name === 'ReplyError'
    if (error instanceof IntermixError || error instanceof TypeError || error instanceof RangeError)
      return this.#said(error)
    if (isReply && !isAway(error)) {
      this.#refusals.heed(error)
      return this.#said(isForbidden(error) ? unavailable('Redis does not allow it to its user', error) : error)
    }
    this.#calls.failed.add()
    this.#failed()
    return unavailable('Redis failed', error)
  }

  /** Replies of a working Redis, and mistakes of the caller, say nothing about the connection. */
  #said(error: Error): Error {
    this.#calls.ok.add()
    this.#breaker.succeeded()
    return error
  }

  #failed(): void {
    this.#breaker.failed()
    this.#probe.suspect(this.timeoutMs)
  }

  #ask(timeoutMs: number): Promise<boolean | undefined> {
    return this.#connected ? this.#probe.ask(timeoutMs) : Promise.resolve(false)
  }

  #noted(change: Noted): void {
    this.#told.note(change)
    for (const listener of this.#reasonListeners) listener()
  }

  #changed(): void {
    const state = this.state()
    if (!this.#closed) this.#told.set(state, this.reason())
    const isNew = state !== this.#reported
    this.#reported = state
    if (isNew) for (const listener of state === 'up' ? this.#upListeners : this.#downListeners) listener()
    for (const listener of this.#reasonListeners) listener()
  }
}

async function invoke<T>(operation: (client: RedisClient) => Promise<T>, client: RedisClient): Promise<T> {
  return operation(client)
}

function unavailable(message: string, cause?: unknown): IntermixError {
  return new IntermixError('REDIS_UNAVAILABLE', message, cause === undefined ? undefined : { cause })
}
