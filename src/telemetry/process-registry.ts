// Who adds reports to which queues and who takes them from there: each process says it of itself, in Redis, for as long
// as it lives.

import type { Clock, Logger } from '../kernel/ports.ts'
import { inCompany, noteCrowd, stretchedFor } from '../redis/company.ts'
import type { RedisLink } from '../redis/connection.ts'
import type { RedisClient } from '../redis/create-client.ts'
import { defineScript } from '../redis/scripts.ts'

const processBeat = defineScript({ name: 'process-beat', keys: 4, reply: Number })
const processSweep = defineScript({
  name: 'process-sweep',
  keys: 3,
  reply: (raw) => {
    const [version, more] = raw as [string, number]
    return { version, isMore: more === 1 }
  },
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

const BEAT_MS = 5_000
/** Signs of life that may be missed before a process counts as gone. */
const LEASE_BEATS = 3
const MAX_QUEUES = 1_000
const TIMEOUT_MS = 2_000
/** Of what processes said of themselves, so much is read at once. */
const PAGE = 500

/** Beside what the processes of that prefix say of themselves: which of a mesh looks for the others. */
export function lookoutKey(prefix: string, mesh = ''): string {
  return `${tagOf(prefix)}:lookout:${mesh}`
}

/** Gives a sign of life every few seconds; each is one short call. What others said is read again only where it has changed. */
export class ProcessRegistry {
  readonly #options: ProcessRegistryOptions
  readonly #beatMs: number
  readonly #keys: Readonly<Record<'heard' | 'said' | 'queues' | 'version', string>>
  #lastWords = ''
  /** What was read last, and which version of it that was. */
  #read: { readonly version: string; readonly processes: readonly ProcessEntry[] } | undefined
  #id: string | undefined
  #cancel: (() => void) | undefined
  #closed = false

  constructor(options: ProcessRegistryOptions) {
    const tag = tagOf(options.prefix)
    this.#options = options
    this.#beatMs = options.beatMs ?? BEAT_MS
    this.#keys = {
      heard: `${tag}:heard`,
      said: `${tag}:words`,
      queues: `${tag}:queues`,
      version: `${tag}:version`,
    }
  }

  /** Begins to say what this process is, or says at once that it has changed. */
  tell(): void {
    if (this.#closed) return
    this.#cancel?.()
    const again = () => {
      this.#cancel?.()
      const { link, clock } = this.#options
      if (!this.#closed) this.#cancel = inCompany(link, clock, stretchedFor(link, this.#beatMs), () => this.tell())
    }
    this.#beat().then(again, (error: unknown) => {
      this.#options.log.debug({ err: error }, 'a sign of life could not be given')
      again()
    })
  }

  /** Makes a queue known before the first job is added to it, so that whoever is left finds it. */
  async note(rules: string): Promise<void> {
    const name = nameOf({ mesh: this.#options.mesh, rules })
    const { link, clock } = this.#options
    await link.run((client) => client.zadd(this.#keys.queues, clock.now(), name), TIMEOUT_MS)
  }

  /** Everybody there is. Rejects while Redis is away. */
  async read(): Promise<Presence> {
    const version = await this.#sweep()
    if (this.#read?.version !== version) this.#read = { version, processes: await this.#all() }
    const queues = await this.#options.link.run((client) => client.zrange(this.#keys.queues, '0', '-1'), TIMEOUT_MS)
    return { processes: this.#read.processes, queues: queues.map(queueOf) }
  }

  /** Forgets a queue that is empty and to which nobody adds. */
  async forget(queue: ReportQueueName): Promise<void> {
    await this.#options.link.run((client) => client.zrem(this.#keys.queues, nameOf(queue)), TIMEOUT_MS)
  }

  /** Says that this process is gone. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#cancel?.()
    const id = this.#id
    if (id === undefined) return
    // Where this fails, the lease ends by itself.
    await this.#sweep(id).catch(() => undefined)
  }

  /** Forgets who has not been heard. @returns the version of what is left */
  async #sweep(leaving = ''): Promise<string> {
    const { heard, said, version: versionKey } = this.#keys
    const args = [stretchedFor(this.#options.link, this.#beatMs) * LEASE_BEATS, leaving]
    const sweep = (client: RedisClient) => processSweep.run(client, [heard, said, versionKey], args)
    for (;;) {
      const { version, isMore } = await this.#options.link.run(sweep, TIMEOUT_MS)
      if (!isMore) return version
    }
  }

  /** What changes meanwhile may be in it or not: the version has changed then, too. */
  async #all(): Promise<ProcessEntry[]> {
    const found = new Map<string, ProcessEntry>()
    let cursor = '0'
    do {
      const scan = (client: RedisClient) => client.hscan(this.#keys.said, cursor, 'COUNT', PAGE)
      const [next, page] = await this.#options.link.run(scan, TIMEOUT_MS)
      for (let i = 1; i < page.length; i += 2) {
        const entry = entryOf(page[i] ?? '')
        if (entry !== undefined) found.set(entry.id, entry)
      }
      cursor = next
    } while (cursor !== '0')
    return [...found.values()]
  }

  async #beat(): Promise<void> {
    const entry = this.#options.self()
    if (entry === undefined || this.#options.link.state() === 'down') return
    this.#id = entry.id
    const text = JSON.stringify(entry)
    const queues = entry.adds.map((rules) => nameOf({ mesh: entry.mesh, rules }))
    const say = (words: string) => {
      const { heard, said, queues: known, version } = this.#keys
      const keys = [heard, said, known, version]
      const args = [entry.id, words, MAX_QUEUES, ...queues]
      return this.#options.link.run((client) => processBeat.run(client, keys, args), TIMEOUT_MS)
    }
    const processes = (await say(text === this.#lastWords ? '' : text)) || (await say(text))
    noteCrowd(this.#options.link, processes)
    this.#lastWords = text
  }
}

function tagOf(prefix: string): string {
  return `{${prefix}-processes}`
}

function nameOf({ mesh = '', rules }: ReportQueueName): string {
  return `${mesh} ${rules}`
}

function queueOf(name: string): ReportQueueName {
  const [mesh = '', rules = ''] = name.split(' ')
  return { mesh: mesh === '' ? undefined : mesh, rules }
}

/** What another version says of itself may be something else. */
function entryOf(text: string): ProcessEntry | undefined {
  try {
    const entry = JSON.parse(text) as ProcessEntry
    const lists = [entry.adds, entry.evaluates, entry.delivers]
    return typeof entry.id === 'string' && lists.every(Array.isArray) ? entry : undefined
  } catch {
    return undefined
  }
}
