// What is amiss with the report queue, for /readyz and the log. None of it makes a process unready: checks go on.

import type { Logger } from '../kernel/ports.ts'
import type { MemoryLook } from './queue-memory.ts'

/** Each thing that can be amiss, so that one that ends does not hide another. */
export type QueueTrouble = 'memory' | 'backlog' | 'policy' | 'fan-out' | 'full' | 'share' | 'replicas'

/** Logs what changes, and publishes the whole. */
export class QueueStanding {
  readonly #log: Logger
  readonly #publish: (detail: string) => void
  readonly #troubles = new Map<QueueTrouble, string>()

  /** @param publish gets `ok`, or `degraded:` and the reasons */
  constructor(log: Logger, publish: (detail: string) => void = () => undefined) {
    this.#log = log
    this.#publish = publish
    publish('ok')
  }

  /** @param reason in words that say what to do; `undefined` when it is over. Numbers in it may change without a line. */
  set(trouble: QueueTrouble, reason: string | undefined): void {
    const before = this.#troubles.get(trouble)
    if (before === reason) return
    if (reason === undefined) this.#troubles.delete(trouble)
    else this.#troubles.set(trouble, reason)
    if (before === undefined) this.#log.warn({ trouble, reason }, 'the report queue is degraded')
    else if (reason === undefined) this.#log.info({ trouble }, 'the report queue has recovered')
    const reasons = [...this.#troubles.values()].join('; ')
    this.#publish(reasons === '' ? 'ok' : `degraded: ${reasons}`)
  }

  /** A server that throws keys away loses jobs without a word. @returns whether this one does */
  checkPolicy({ policy }: MemoryLook): boolean {
    const wrong = policy !== '' && policy !== 'noeviction'
    const reason = `Redis throws reports away when its memory is full: set maxmemory-policy to noeviction, not ${policy}`
    this.set('policy', wrong ? reason : undefined)
    return wrong
  }
}

/** How full a server is, in words. */
export function fullness({ used, limit }: MemoryLook): string {
  return `${Math.round((100 * used) / limit)} % of its ${Math.round(limit / 1024 / 1024)} MB of memory are used`
}
