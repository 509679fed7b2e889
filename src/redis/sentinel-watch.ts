// Leaves a master that the sentinels have replaced. It may live on, demoted, and take writes that are thrown away: for
// seconds, until it is told itself. ioredis has a detector of its own, which has sockets of its own for each connection of
// BullMQ, misses what changes before it has subscribed, and prints errors past our log.

import { isIP, type Socket } from 'node:net'
import { Redis, type RedisOptions } from 'ioredis'
import { formatIp, parseIp } from '../kernel/ip-address.ts'

const CHANNEL = '+switch-master'
/** More sentinels than these are not listened to: one that lives is enough. */
const MAX_SENTINELS = 3
/** What was not heard of, since a connection had died in silence, is learned by asking. */
const ASK_MS = 5_000
const ANSWER_MS = 2_000

interface Master {
  readonly host: string
  readonly port: number
  /** The sentinels' number of the failover that made it the master; it only grows. */
  readonly epoch: number
}

export interface SentinelWatchOptions {
  readonly name: string
  readonly sentinels: readonly { readonly host: string; readonly port: number }[]
  /** How to sign in to a sentinel. */
  readonly options: Pick<RedisOptions, 'Connector' | 'connectTimeout' | 'retryStrategy' | 'tls' | 'username'>
}

/** Those that watch now. */
const watches = new Map<string, SentinelWatch>()

/**
 * Watches a connection to a master, whichever client has it: all that come with the same `key` share one connection to each
 * of a few sentinels, for as long as there are any.
 */
export function watchMaster(key: string, stream: Socket, options: SentinelWatchOptions): void {
  if (stream.destroyed) return
  const watch = watches.get(key) ?? new SentinelWatch(options, () => watches.delete(key))
  watches.set(key, watch)
  watch.join(stream)
}

class SentinelWatch {
  readonly #options: SentinelWatchOptions
  readonly #onEmpty: () => void
  readonly #streams = new Set<Socket>()
  #listeners: readonly Redis[] = []
  #asking: NodeJS.Timeout | undefined
  #master: Master | undefined

  constructor(options: SentinelWatchOptions, onEmpty: () => void) {
    this.#options = options
    this.#onEmpty = onEmpty
  }

  /** Ends a connection when it is, or turns out to be, one to a former master. */
  join(stream: Socket): void {
    this.#streams.add(stream)
    stream.once('close', () => this.#leave(stream))
    stream.once('connect', () => this.#check(stream))
    if (this.#streams.size === 1) this.#listen()
  }

  #leave(stream: Socket): void {
    if (!this.#streams.delete(stream) || this.#streams.size > 0) return
    clearInterval(this.#asking)
    for (const sentinel of this.#listeners) sentinel.disconnect()
    this.#onEmpty()
  }

  #listen(): void {
    const { sentinels, options } = this.#options
    this.#listeners = sentinels.slice(0, MAX_SENTINELS).map(({ host, port }) => {
      const sentinel = new Redis({
        ...options,
        host,
        port,
        enableReadyCheck: false,
        socketTimeout: ANSWER_MS,
        maxRetriesPerRequest: 0,
        autoResubscribe: false,
      })
      // That no sentinel can be reached is told by who asks them for the master.
      sentinel.on('error', () => undefined)
      sentinel.on('ready', () => void this.#hear(sentinel))
      sentinel.on('message', () => void this.#ask(sentinel))
      return sentinel
    })
    this.#asking = setInterval(() => {
      for (const sentinel of this.#listeners) if (sentinel.status === 'ready') void this.#ask(sentinel)
    }, ASK_MS)
  }

  /** Listens first and asks then: what changes in between is heard. */
  async #hear(sentinel: Redis): Promise<void> {
    await sentinel.subscribe(CHANNEL).catch(() => undefined)
    await this.#ask(sentinel)
  }

  async #ask(sentinel: Redis): Promise<void> {
    try {
      const { name } = this.#options
      // While a failover is under way only the first of them names the new master; both leave in one write.
      const [address, state] = await Promise.all([
        sentinel.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', name),
        sentinel.call('SENTINEL', 'MASTER', name),
      ])
      const told = readMaster(address, state)
      // Sentinels hear of a failover one after the other.
      if (told === undefined || told.epoch < (this.#master?.epoch ?? 0) || this.#streams.size === 0) return
      const before = this.#master
      this.#master = told
      const moved = before !== undefined && (before.host !== told.host || before.port !== told.port)
      for (const stream of this.#streams) {
        if (moved && isIP(told.host) === 0 && !stream.connecting) leave(stream, told)
        else this.#check(stream)
      }
    } catch {
      // Another one answers, or this one does when it is asked the next time.
    }
  }

  /** A name stands for no address that could be compared. */
  #check(stream: Socket): void {
    const master = this.#master
    if (master === undefined || isIP(master.host) === 0 || stream.remoteAddress === undefined) return
    const isThere = canonical(stream.remoteAddress) === canonical(master.host) && stream.remotePort === master.port
    if (!isThere) leave(stream, master)
  }
}

/** Sentinels and systems write one IPv6 address in several ways. */
function canonical(address: string): string {
  const ip = parseIp(address)
  return ip === undefined ? address : formatIp(ip)
}

function leave(stream: Socket, { host, port }: Master): void {
  stream.destroy(new Error(`the sentinels have another master, ${host}:${port}: going there`))
}

/** `state` is a flat list of names and values. */
function readMaster(address: unknown, state: unknown): Master | undefined {
  if (!Array.isArray(address) || !Array.isArray(state)) return undefined
  const [host, port] = [String(address[0]), Number(address[1])]
  const epoch = Number(state[state.indexOf('config-epoch') + 1])
  return port > 0 && epoch >= 0 ? { host, port, epoch } : undefined
}
