// Who adds reports to which queues and who takes them from there: each process says it of itself, in Redis, for as long
// as it lives.

import type { Clock, Logger } from '../kernel/ports.ts'
import type { RedisLink } from '../redis/connection.ts'
import type { RedisClient } from '../redis/create-client.ts'
import { defineScript } from '../redis/scripts.ts'

const processBeat = defineScript({ name: 'process-beat', keys: 3, reply: (raw) => raw === 1 })
const processList = defineScript({
  name: 'process-list',
  keys: 2,
  reply: (raw) => (raw as unknown[]).map((list) => (list as unknown[]).map(String)),
})

/** What a process says of itself. Digests are those of report rules (`Snapshot.reportDigest`). */
export interface ProcessEntry {
  readonly id: string
  /** `undefined` where the installation has no name. */
  readonly mesh?: string | undefined
  /** Of the config that it lives by. */
  readonly rules: string
  /** Digests of reports that it may still add to queues. */
  readonly adds: readonly string[]
  /** Digests of reports that it evaluates. */
  readonly evaluates: readonly string[]
  /** Full names of the handlers to which it delivers. */
  readonly delivers: readonly string[]
}

/** The queue of reports of a mesh that were accepted under some rules. */
export interface ReportQueueName {
  readonly mesh: string | undefined
  readonly rules: string
}

/** All that use one prefix on one Redis, of whatever mesh. */
export interface Presence {
  readonly processes: readonly ProcessEntry[]
  /** Queues that may hold something. */
  readonly queues: readonly ReportQueueName[]
}

export interface ProcessRegistryOptions {
  readonly link: RedisLink
  readonly clock: Clock
  readonly log: Logger
  readonly prefix: string
  readonly mesh: string | undefined
  /** What this process is at the moment; it is asked at each sign of life. `undefined`: not yet anything. */
  readonly self: () => ProcessEntry | undefined
  readonly beatMs?: number
}

const BEAT_MS = 3_000
/** Signs of life that may be missed before a process counts as gone. */
const LEASE_BEATS = 5
const MAX_QUEUES = 1_000
const TIMEOUT_MS = 2_000

/** Gives a sign of life every few seconds; each is one short call. */
export class ProcessRegistry {
  readonly #options: ProcessRegistryOptions
  readonly #beatMs: number
  readonly #alive: string
  readonly #said: string
  readonly #queues: string
  #lastWords = ''
  #id: string | undefined
  #cancel: (() => void) | undefined
  #closed = false

  constructor(options: ProcessRegistryOptions) {
    const tag = `{${options.prefix}-processes}`
    this.#options = options
    this.#beatMs = options.beatMs ?? BEAT_MS
    this.#alive = `${tag}:alive:`
    this.#said = `${tag}:said`
    this.#queues = `${tag}:queues`
  }

  /** Begins to say what this process is, or says at once that it has changed. */
  tell(): void {
    if (this.#closed) return
    this.#cancel?.()
    const again = () => {
      this.#cancel?.()
      if (!this.#closed) this.#cancel = this.#options.clock.after(this.#beatMs, () => this.tell())
    }
    this.#beat().then(again, (error: unknown) => {
      this.#options.log.debug({ err: error }, 'a sign of life could not be given')
      again()
    })
  }

  /** Makes a queue known before the first job is added to it, so that whoever is left finds it. */
  async note(rules: string): Promise<void> {
    const name = nameOf({ mesh: this.#options.mesh, rules })
    await this.#options.link.run((client) => client.zadd(this.#queues, this.#options.clock.now(), name), TIMEOUT_MS)
  }

  /** Everybody there is. Rejects while Redis is away. */
  async read(): Promise<Presence> {
    const list = (client: RedisClient) => processList.run(client, [this.#said, this.#queues], [this.#alive])
    const [said = [], queues = []] = await this.#options.link.run(list, TIMEOUT_MS)
    return { processes: said.flatMap(entryOf), queues: queues.map(queueOf) }
  }

  /** Forgets a queue that is empty and to which nobody adds. */
  async forget(queue: ReportQueueName): Promise<void> {
    await this.#options.link.run((client) => client.zrem(this.#queues, nameOf(queue)), TIMEOUT_MS)
  }

  /** Says that this process is gone. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#cancel?.()
    const id = this.#id
    if (id === undefined) return
    // Where this fails, the lease ends by itself.
    await this.#options.link.run((client) => client.del(this.#alive + id), TIMEOUT_MS).catch(() => undefined)
  }

  async #beat(): Promise<void> {
    const entry = this.#options.self()
    if (entry === undefined || this.#options.link.state() === 'down') return
    this.#id = entry.id
    const text = JSON.stringify(entry)
    const queues = entry.adds.map((rules) => nameOf({ mesh: entry.mesh, rules }))
    const say = (words: string) => {
      const keys = [this.#alive + entry.id, this.#said, this.#queues]
      const args = [entry.id, this.#beatMs * LEASE_BEATS, words, MAX_QUEUES, ...queues]
      return this.#options.link.run((client) => processBeat.run(client, keys, args), TIMEOUT_MS)
    }
    const known = await say(text === this.#lastWords ? '' : text)
    if (!known) await say(text)
    this.#lastWords = text
  }
}

function nameOf({ mesh = '', rules }: ReportQueueName): string {
  return `${mesh} ${rules}`
}

function queueOf(name: string): ReportQueueName {
  const [mesh = '', rules = ''] = name.split(' ')
  return { mesh: mesh === '' ? undefined : mesh, rules }
}

/** What another version says of itself may be something else. */
function entryOf(text: string): ProcessEntry[] {
  try {
    const entry = JSON.parse(text) as ProcessEntry
    const lists = [entry.adds, entry.evaluates, entry.delivers]
    return typeof entry.id === 'string' && lists.every(Array.isArray) ? [entry] : []
  } catch {
    return []
  }
}
