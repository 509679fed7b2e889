// One of many processes looks at something for all of them, in turn where it ends: what costs a look as long as the mesh is
// large is then looked at once.

import { stretchedFor } from '../redis/company.ts'
import type { RedisLink } from '../redis/connection.ts'
import { defineScript } from '../redis/scripts.ts'

const lookout = defineScript({
  name: 'process-lookout',
  keys: 1,
  reply: (raw) => {
    const [isMine, found] = raw as [number, string]
    return { isMine: isMine === 1, found }
  },
})

export interface LookoutOptions {
  readonly link: RedisLink
  readonly key: string
  /** For how long the duty holds, in ms: some looks. */
  readonly holdMs: number
}

const TIMEOUT_MS = 2_000

export class Lookout {
  readonly #options: LookoutOptions

  constructor(options: LookoutOptions) {
    this.#options = options
  }

  /** Whether this process is to look, or what the one that does has found; empty while that is not known. Rejects while Redis is away. */
  ask(process: string): Promise<{ readonly isMine: boolean; readonly found: string }> {
    return this.#say(process, this.#holdMs(), '')
  }

  /** Tells the others what was found. */
  async tell(process: string, found: string): Promise<void> {
    await this.#say(process, this.#holdMs(), found)
  }

  /** Leaves the duty to another. Where this fails, it ends by itself. */
  async leave(process: string): Promise<void> {
    await this.#say(process, 0, '').catch(() => undefined)
  }

  #holdMs(): number {
    return stretchedFor(this.#options.link, this.#options.holdMs)
  }

  #say(process: string, holdMs: number, found: string) {
    const { link, key } = this.#options
    return link.run((client) => lookout.run(client, [key], [process, holdMs, found]), TIMEOUT_MS)
  }
}
