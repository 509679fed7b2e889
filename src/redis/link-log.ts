// What the log says of a link: each change with its reason; of one that comes and goes, that it does, and when it is over.

import { REDIS_STATE_CHANGES_TOTAL, type RedisRole } from '../kernel/metrics/process.ts'
import type { Clock, Logger, Meter } from '../kernel/ports.ts'

/** So many changes within the window are told as one. */
const FLAPS = 3
const WINDOW_MS = 30_000
/** Different reasons that are told of one outage. */
const MAX_REASONS = 10

export interface LinkLogOptions {
  readonly role: RedisRole
  /** Without a password. */
  readonly url: string
  readonly clock: Clock
  readonly log: Logger
  readonly meter: Meter
}

/** Of a Redis that is up: what began or ended to be amiss, in words. */
export interface Noted {
  readonly began?: string
  readonly ended?: string
}

export type LinkState = 'up' | 'down'

export class LinkLog {
  readonly #options: LinkLogOptions
  readonly #changes: Readonly<Record<LinkState, { add(): void }>>
  /** Of the latest changes, on the monotonic clock. */
  readonly #latest: number[] = []
  readonly #told = new Set<string>()
  #state: LinkState | undefined
  #reason: string | undefined
  /** Since it comes and goes: how often it has. */
  #flaps = 0
  #cancel: (() => void) | undefined

  constructor(options: LinkLogOptions) {
    const { meter, role } = options
    this.#options = options
    const changes = meter.counter(REDIS_STATE_CHANGES_TOTAL)
    this.#changes = { up: changes({ role, state: 'up' }), down: changes({ role, state: 'down' }) }
  }

  /** The link has come up or gone down; or its reason to be down is another one. */
  set(state: LinkState, reason: string | undefined): void {
    const isFirst = this.#state === undefined
    if (state === this.#state) return this.#tellReason(reason)
    this.#state = state
    this.#reason = state === 'up' ? undefined : reason
    this.#told.clear()
    if (!isFirst) this.#count(state)
    if (this.#flaps === 0) this.#tell(state, reason)
    else if (this.#flaps === FLAPS)
      this.#options.log.warn(
        { ...this.#fields(), changes: FLAPS, withinMs: WINDOW_MS },
        'Redis comes and goes: told again when it is steady',
      )
    else this.#options.log.debug(this.#fields(), `Redis is ${state}`)
  }

  note({ began, ended }: Noted): void {
    const { role, url, log } = this.#options
    if (began !== undefined) log.warn({ redis: role, url, reason: began }, 'Redis is up, but not for everything')
    if (ended !== undefined) log.info({ redis: role, url, reason: ended }, 'this is over: Redis is up')
  }

  stop(): void {
    this.#cancel?.()
  }

  #count(state: LinkState): void {
    const { clock } = this.#options
    const now = clock.monotonic()
    this.#changes[state].add()
    if (this.#flaps > 0) this.#flaps++
    else {
      while ((this.#latest[0] ?? now) <= now - WINDOW_MS) this.#latest.shift()
      if (this.#latest.push(now) >= FLAPS) this.#flaps = FLAPS
    }
    if (this.#flaps === 0) return
    this.#cancel?.()
    this.#cancel = clock.after(WINDOW_MS, () => this.#settle())
  }

  #settle(): void {
    const { log } = this.#options
    const fields = { ...this.#fields(), changes: this.#flaps }
    this.#flaps = 0
    this.#latest.length = 0
    if (this.#state === 'up') log.info(fields, 'Redis is steady again: it is up')
    else log.warn(fields, 'Redis is steady again: it is down, and things go on without it')
  }

  #tell(state: LinkState, reason: string | undefined): void {
    const { log } = this.#options
    if (state === 'up') return log.info(this.#fields(), 'Redis is up')
    if (reason !== undefined) this.#told.add(reason)
    log.warn(this.#fields(), 'Redis is down: going on without it')
  }

  /** What is found out later explains more. */
  #tellReason(reason: string | undefined): void {
    if (this.#state === 'up' || reason === undefined) return
    this.#reason = reason
    if (this.#flaps > 0) return
    if (this.#told.has(reason) || this.#told.size >= MAX_REASONS) return
    this.#told.add(reason)
    this.#options.log.warn(this.#fields(), 'Redis is down: what is known of it')
  }

  #fields(): object {
    const { role, url } = this.#options
    return { redis: role, url, ...(this.#reason === undefined ? {} : { reason: this.#reason }) }
  }
}
