// What processes tell each other of the counters that they use, over Redis, so that any of them can answer for all.

import { isJsonObject } from '../../kernel/json-object.ts'
import type { Clock } from '../../kernel/ports.ts'
import type { RedisLink } from '../../redis/connection.ts'
import { defineScript } from '../../redis/scripts.ts'
import type { SeenCounter } from './counter-usage.ts'

const say = defineScript({ name: 'quota-usage', keys: 2, reply: Number })

const EVERY_MS = 5_000
/** What was told is old then. */
const KEPT_MS = 3 * EVERY_MS
const MOST_PROCESSES = 1_000

/** Of one process, by handler. */
export type ToldCounters = Readonly<Record<string, readonly SeenCounter[]>>

export interface UsageBoardOptions {
  readonly link: Pick<RedisLink, 'run' | 'state'>
  readonly clock: Clock
  readonly prefix: string
  /** Of this process. */
  readonly id: string
  readonly tell: () => ToldCounters
}

export class UsageBoard {
  readonly #options: UsageBoardOptions
  readonly #key: string
  #cancel: (() => void) | undefined

  constructor(options: UsageBoardOptions) {
    this.#options = options
    this.#key = `${options.prefix}{quota-usage}`
  }

  /** Something was charged: it is told in a while, together with what else is until then. */
  note(): void {
    this.#cancel ??= this.#options.clock.after(EVERY_MS, () => {
      this.#cancel = undefined
      void this.#say()
    })
  }

  /** What all processes told last, by process. */
  async read(): Promise<ReadonlyMap<string, ToldCounters>> {
    const key = this.#key
    const texts = await this.#options.link.run(async (client) => {
      const names = await client.zrange(key, 0, String(MOST_PROCESSES - 1))
      const keys = names.map((name) => `${key}:${name}`)
      const told = keys.length === 0 ? [] : await client.mget(...keys)
      return names.map((name, at) => [name, told[at] ?? ''] as const)
    })
    return new Map(texts.map(([name, text]) => [name, readTold(text)]))
  }

  close(): void {
    this.#cancel?.()
    this.#cancel = () => undefined
  }

  async #say(): Promise<void> {
    const { link, id, tell } = this.#options
    if (link.state() === 'down') return
    const text = JSON.stringify(tell())
    const keys = [this.#key, `${this.#key}:${id}`]
    // Whoever is not heard of is missing from a list of some seconds.
    await link.run((client) => say.run(client, keys, [id, text, KEPT_MS])).catch(() => undefined)
  }
}

/** Processes of other versions may tell other things: what has not the form is left out. */
function readTold(text: string): ToldCounters {
  try {
    const told: unknown = JSON.parse(text)
    return isJsonObject(told) ? (told as unknown as ToldCounters) : {}
  } catch {
    return {}
  }
}
