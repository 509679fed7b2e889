// What a Redis that is up refuses: commands, keys and channels that the user has no right to, and writes for which it has no
// memory.

import type { RedisRole } from '../kernel/metrics/process.ts'
import type { Clock } from '../kernel/ports.ts'
import type { Noted } from './link-log.ts'
import { isForbidden, isFull } from './trouble.ts'

/** A refusal that has not come again for so long is over. */
const OVER_MS = 30_000
const MAX_TOLD = 10

/** As ioredis gives it to replies. */
interface Reply extends Error {
  readonly command?: { readonly name: string; readonly args: readonly unknown[] }
}

export interface RefusalsOptions {
  /** By which we sign in. */
  readonly user: string
  readonly role: RedisRole
  readonly clock: Clock
  /** Hears of a refusal that is new (its words), or over. */
  readonly onChange: (change: Noted) => void
}

/** Keeps what is being refused. */
export class Refusals {
  readonly #options: RefusalsOptions
  /** When each was last heard, on the monotonic clock. */
  readonly #heardAt = new Map<string, number>()
  #cancel: (() => void) | undefined

  constructor(options: RefusalsOptions) {
    this.#options = options
  }

  /** All of them in words, the first ones first. */
  get reason(): string | undefined {
    return this.#heardAt.size === 0 ? undefined : [...this.#heardAt.keys()].join('; ')
  }

  /** Notes what a reply refuses, where it is one that does. */
  heed(reply: Reply): void {
    const words = this.#wordsFor(reply)
    if (words === undefined) return
    const isNew = !this.#heardAt.has(words)
    if (isNew && this.#heardAt.size >= MAX_TOLD) return
    this.#heardAt.set(words, this.#options.clock.monotonic())
    if (isNew) this.#options.onChange({ began: words })
    this.#watch()
  }

  stop(): void {
    this.#cancel?.()
  }

  #watch(): void {
    const { clock } = this.#options
    this.#cancel ??= clock.after(OVER_MS, () => {
      this.#cancel = undefined
      const oldest = clock.monotonic() - OVER_MS
      for (const [words, heardAt] of this.#heardAt) {
        if (heardAt > oldest) continue
        this.#heardAt.delete(words)
        this.#options.onChange({ ended: words })
      }
      if (this.#heardAt.size > 0) this.#watch()
    })
  }

  #wordsFor(reply: Reply): string | undefined {
    const { role, user } = this.#options
    if (isFull(reply)) {
      const more = role === 'cache' ? ', or set its maxmemory-policy to allkeys-lru' : ''
      return `its memory is full and it takes no writes: raise its maxmemory${more}`
    }
    if (!isForbidden(reply)) return undefined
    const { message, command } = reply
    const name = /run the '([^']+)' command/.exec(message)?.[1]
    const allow = (right: string) => `ACL SETUSER ${user} ${right}`
    if (name !== undefined) return `its user ${user} may not run ${name.toUpperCase()}: ${allow(`+${name}`)}`
    if (/channel/.test(message)) {
      const channel = command?.name.endsWith('publish') ? patternOf(command.args[0]) : 'CHANNEL'
      return `its user ${user} may not use channel ${channel}: ${allow(`&${channel}`)}`
    }
    if (/\bkeys?\b/.test(message)) {
      const keys = patternOf(keyOf(command))
      return `its user ${user} may not use keys ${keys}: ${allow(`~${keys}`)}`
    }
    return `its user ${user} may not run a command of a script that it may run: ACL LOG names it`
  }
}

/** The first key: those of one call share what names begin with. */
function keyOf(command: Reply['command']): unknown {
  return command !== undefined && /^(eval|fcall)/.test(command.name) ? command.args[2] : command?.args[0]
}

/** What keys like this one begin with, for a human to allow. */
function patternOf(name: unknown): string {
  const text = Buffer.isBuffer(name) ? name.toString('latin1') : typeof name === 'string' ? name : ''
  return `${/^[^:}]{0,100}[:}]?/.exec(text)?.[0] ?? ''}*`
}
