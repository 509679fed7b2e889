// Hears what happens to the connections of a client, and keeps why there is none.

import type { Socket } from 'node:net'
import { Cluster, Redis } from 'ioredis'
import { messageOf } from '../kernel/errors.ts'
import type { Clock } from '../kernel/ports.ts'
import { listenToCluster } from './cluster-failures.ts'
import type { RedisClient } from './create-client.ts'
import { diagnose, type Findings, lookCloser, type Place } from './diagnosis.ts'
import { type Attempt, describeFailure, explainFailure, isNoNews } from './failure-reason.ts'
import { onRefusal } from './first-line.ts'
import type { RedisTarget } from '../kernel/redis-url.ts'
import { listenToSentinels } from './sentinel-failures.ts'

/** Connections of our own that look for a reason are made no more often. */
const LOOK_EVERY_MS = 2000
/** A connection that is of no use for so long is looked at. */
const UNREADY_MS = 1000

export interface ConnectionWatchOptions {
  readonly client: RedisClient
  readonly target: RedisTarget
  readonly clock: Clock
  /** Hears of each failure, before it is explained. */
  readonly onError: (error: Error) => void
  readonly onChange: () => void
}

export class ConnectionWatch implements Findings {
  readonly #options: ConnectionWatchOptions
  #reason: string | undefined
  #isLooking = false
  #isReady = false
  #stopped = false
  #lookedAt = Number.NEGATIVE_INFINITY
  #cancel: (() => void) | undefined

  constructor(options: ConnectionWatchOptions) {
    const { client, target, onError } = options
    this.#options = options
    client.on('error', onError)
    client.on('ready', () => {
      this.#isReady = true
      this.#reason = undefined
    })
    client.on('close', () => {
      this.#isReady = false
      this.#cancel?.()
    })
    if (client instanceof Cluster) listenToCluster(client, target, this)
    else this.#listenTo(client)
    if (client instanceof Redis && target.kind === 'sentinel') listenToSentinels(client, target, this)
  }

  /** Why there is no connection: the latest that was found out. */
  get reason(): string | undefined {
    return this.#reason
  }

  tell(words: string): void {
    if (this.#stopped || words === this.#reason) return
    this.#reason = words
    this.#options.onChange()
  }

  look(find: () => Promise<string | undefined>): void {
    const { clock } = this.#options
    if (this.#isReady || this.#stopped || this.#isLooking) return
    if (clock.monotonic() - this.#lookedAt < LOOK_EVERY_MS) return
    this.#lookedAt = clock.monotonic()
    this.#isLooking = true
    void find()
      .catch((error: unknown) => messageOf(error))
      .then((words) => {
        this.#isLooking = false
        if (words !== undefined && !this.#isReady) this.tell(words)
      })
  }

  stop(): void {
    this.#stopped = true
    this.#cancel?.()
  }

  /** The one connection to a server, or to the master that sentinels name. */
  #listenTo(client: Redis): void {
    const { target, clock } = this.#options
    const { kind } = target
    const attempt: Attempt = { kind, tls: target.tls }
    const say = (words: string) => (kind === 'single' ? words : `the master that the sentinels name: ${words}`)
    let place: Place | undefined = kind === 'single' ? target.nodes[0] : undefined
    client.on('error', (error: Error) => {
      if (isNoNews(error)) return
      if (explainFailure(error, attempt) !== undefined || place === undefined)
        return this.tell(say(describeFailure(error, attempt)))
      const at = place
      this.look(async () => say(await lookCloser(error, at, attempt)))
    })
    onRefusal(client, (line) => this.tell(say(describeFailure(new Error(line), attempt))))
    client.on('connect', () => {
      const { remoteAddress: host, remotePort: port } = client.stream as Partial<Socket>
      if (kind === 'sentinel' && host !== undefined && port !== undefined) place = { host, port }
      this.#cancel?.()
      // A server that still reads its data takes connections; ioredis waits for it without a word.
      this.#cancel = clock.after(UNREADY_MS, () => {
        const at = place
        if (at === undefined) return
        const { username, password, tls, Connector } = client.options
        const credentials = { username, password, tls, ...(kind === 'single' ? { Connector } : {}) }
        this.look(async () => {
          const words = await diagnose(at, credentials, attempt)
          return words === undefined ? undefined : say(words)
        })
      })
    })
  }
}
