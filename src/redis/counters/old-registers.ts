// What the layout before slots has left: a hash a worker, with a field for each number of a series.

import type { CounterChange, CounterGroup } from '../../adapter-kit/durable-counters.ts'
import { parseJson } from '../../kernel/parse-json.ts'
import type { RedisLink } from '../connection.ts'
import type { RedisClient } from '../create-client.ts'
import { defineScript } from '../scripts.ts'

const takeRegister = defineScript({ name: 'counter-old', keys: 2, reply: (raw) => raw as [number, string?] })

/** In which one register is read and written again. */
const LEASE_MS = 60_000
const TIMEOUT_MS = 2000
const PAGE = 500

export class OldRegisters {
  readonly #link: RedisLink
  readonly #key: (name: string) => string
  readonly #me: string

  constructor(link: RedisLink, key: (name: string) => string, me: string) {
    this.#link = link
    this.#key = key
    this.#me = me
  }

  /** @returns how many there are, and one that is nobody's any more, if there is: no other process gets it for a minute. */
  async take(): Promise<{ readonly left: number; readonly register: string | undefined }> {
    const keys = [this.#key('leases'), this.#key('owners')]
    const [left, register] = await this.#run((client) => takeRegister.run(client, keys, [this.#me, LEASE_MS]))
    return { left, register }
  }

  /** What a register holds, as changes of an empty one. Times of change are left out. */
  async read(register: string): Promise<readonly CounterChange[]> {
    const changes = new Map<string, { readonly group: CounterGroup; readonly field: string; readonly add: number[] }>()
    let cursor = '0'
    do {
      const [next, page] = await this.#run((client) =>
        client.hscan(this.#key(`register:${register}`), cursor, 'COUNT', PAGE),
      )
      for (let i = 0; i + 1 < page.length; i += 2) {
        const [name = '', digest = '', part = '', ...labels] = fieldOf(page[i] ?? '')
        const at = part === 'v' ? 0 : /^b\d{1,4}$/.test(part) ? 1 + Number(part.slice(1)) : -1
        const number = Number(page[i + 1])
        if (at < 0 || Number.isNaN(number)) continue
        // Without bounds of its own: what was counted stays counted.
        const group = { name: `${name}:${digest}`, maxFields: 1e9, maxBytes: Number.MAX_SAFE_INTEGER, overflow: '' }
        const field = JSON.stringify(labels)
        const change = changes.get(`${group.name}|${field}`) ?? { group, field, add: [] }
        changes.set(`${group.name}|${field}`, change)
        while (change.add.length <= at) change.add.push(0)
        change.add[at] = number
      }
      cursor = next
    } while (cursor !== '0')
    return [...changes.values()]
  }

  async remove(register: string): Promise<void> {
    await this.#run((client) =>
      Promise.all([
        client.unlink(this.#key(`register:${register}`)),
        client.zrem(this.#key('leases'), register),
        client.hdel(this.#key('adopted'), register),
        client.hdel(this.#key('owners'), register),
      ]),
    )
  }

  #run<T>(operation: (client: RedisClient) => Promise<T>): Promise<T> {
    return this.#link.run(operation, TIMEOUT_MS)
  }
}

function fieldOf(text: string): readonly string[] {
  try {
    const field = parseJson(text)
    return Array.isArray(field) ? field.map(String) : []
  } catch {
    return []
  }
}
