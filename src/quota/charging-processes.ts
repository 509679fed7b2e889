// How many processes charge the same limits: what each may hold of them, and its share while Redis is away, hang on that.

import type { Clock } from '../kernel/ports.ts'
import type { RedisLink } from '../redis/connection.ts'
import { defineScript } from '../redis/scripts.ts'

const presence = defineScript({ name: 'quota-presence', keys: 1, reply: Number })

const EVERY_MS = 5_000
/** Signs that may be missed. */
const LEASE_MS = 3 * EVERY_MS
/** Who has charged nothing for so long says nothing. */
const IDLE_MS = 60_000

export interface ChargingProcessesOptions {
  readonly link: Pick<RedisLink, 'run' | 'state'>
  readonly clock: Clock
  readonly prefix: string
  /** Of this process. */
  readonly id: string
}

export class ChargingProcesses {
  readonly #options: ChargingProcessesOptions
  #count = 1
  #chargedAt = Number.NEGATIVE_INFINITY
  #cancel: (() => void) | undefined

  constructor(options: ChargingProcessesOptions) {
    this.#options = options
  }

  /** How many there are, this one included, as it was heard last. */
  get count(): number {
    return this.#count
  }

  /** This process charges something now. */
  note(now: number): void {
    this.#chargedAt = now
    if (this.#cancel === undefined) this.#say()
  }

  close(): void {
    this.#cancel?.()
    this.#cancel = () => undefined
  }

  #say(): void {
    const { link, clock, prefix, id } = this.#options
    this.#cancel = clock.after(EVERY_MS, () => {
      this.#cancel = undefined
      if (clock.monotonic() - this.#chargedAt < IDLE_MS) this.#say()
    })
    if (link.state() === 'down') return
    link
      .run((client) => presence.run(client, [`${prefix}{quota-processes}`], [id, LEASE_MS]))
      .then(
        (count) => {
          if (count >= 1) this.#count = count
        },
        // The count that was heard last holds on.
        () => undefined,
      )
  }
}
