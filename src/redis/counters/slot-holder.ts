// Which slots this process holds: it asks for one to count in, keeps its leases, and adopts those of the dead.

import { IntermixError } from '../../kernel/errors.ts'
import type { Clock } from '../../kernel/ports.ts'
import type { RedisLink } from '../connection.ts'
import { defineScript } from '../scripts.ts'
import { Slot, type SlotKeys } from './slot.ts'

const slotsScript = defineScript({ name: 'counter-slots', keys: 1, reply: (raw) => (raw as unknown[]).map(Number) })

const DEFAULT_LEASE_MS = 4000
const TIMEOUT_MS = 2000
/** How long the end of a process waits for Redis to take its slots back. */
const RELEASE_MS = 500
/** How long a reader waits for what is not known yet. */
const PATIENCE_MS = 1000
/** How often a process without a slot asks within a lease: the one that hands it over looks four times. */
const HAND_OVER_TRIES = 8

export interface SlotHolderOptions {
  readonly link: RedisLink
  readonly clock: Clock
  /** Of all processes, this one. */
  readonly me: string
  readonly keys: SlotKeys
  readonly leaseMs?: number
  /** Runs a task while nothing is written to slots. */
  readonly alone: <V>(task: () => Promise<V>) => Promise<V>
  /** Called when the slots or what they hold have changed otherwise than by this process's writes. */
  readonly onChange: () => void
}

export class SlotHolder {
  readonly #options: SlotHolderOptions
  readonly #leaseMs: number
  readonly #slots = new Map<number, Slot>()
  #mine: number | undefined
  /** When the lease that is held was asked for, on the monotonic clock. */
  #claimedAt = Number.NEGATIVE_INFINITY
  #upSince = Number.POSITIVE_INFINITY
  #claiming: Promise<void> | undefined
  #cancel: (() => void) | undefined
  readonly #forgetLink: (() => void)[]
  #closed = false

  constructor(options: SlotHolderOptions) {
    const { link, clock, leaseMs } = options
    this.#options = options
    this.#leaseMs = leaseMs ?? DEFAULT_LEASE_MS
    this.#forgetLink = [
      link.onUp(() => {
        this.#upSince = clock.monotonic()
        void this.#beat()
      }),
      link.onDown(() => {
        this.#upSince = Number.POSITIVE_INFINITY
      }),
    ]
    this.#beatLater()
  }

  /** The slots whose entries are known, by number. */
  get known(): readonly Slot[] {
    return [...this.#slots.values()].filter(({ version }) => version >= 0).sort((a, b) => a.number - b.number)
  }

  /** The same, with how long it has been uncertain that they are all. Rejects where it never knew any. */
  async held(): Promise<{ readonly slots: readonly Slot[]; readonly staleMs: number }> {
    const { link, alone } = this.#options
    // Just started, or it stood still: others may have taken what it held.
    if (this.#age() > this.#leaseMs && link.state() === 'up') await this.#patiently(this.#claim())
    if (this.#slots.size > 0 && this.known.length === 0) await this.#patiently(alone(async () => {}))
    if (this.#claimedAt === Number.NEGATIVE_INFINITY) {
      throw new IntermixError('NOT_READY', 'what was counted is not known yet: Redis has not answered since the start')
    }
    const age = this.#age()
    return { slots: this.known, staleMs: age > this.#leaseMs ? age : 0 }
  }

  /** The slot to count in, with its entries read. Rejects where there is none, or Redis is away. */
  async writable(): Promise<Slot> {
    const { clock } = this.#options
    // Without a lease nobody would answer for the slot after this process.
    if (this.#mine === undefined || this.#age() > this.#leaseMs) await this.#claim()
    for (let tries = 0; this.#mine === undefined && tries < HAND_OVER_TRIES; tries++) {
      await new Promise<void>((resolve) => void clock.after(this.#leaseMs / HAND_OVER_TRIES, resolve))
      await this.#claim()
    }
    const slot = this.#mine === undefined ? undefined : this.#slots.get(this.#mine)
    if (slot === undefined || this.#closed) {
      throw new IntermixError('NOT_READY', 'there is no slot for this process to count in')
    }
    if (slot.version < 0) await this.reload(slot)
    if (slot.version < 0) throw new IntermixError('BACKEND_FAILED', `slot ${slot.number} cannot be read`)
    return slot
  }

  /** A new slot beside the one to count in. It is known, and exposed, once a later beat has found it. */
  async more(): Promise<Slot> {
    const { link, keys, me } = this.#options
    const args = [me, this.#leaseMs, 'more']
    const [number = -1] = await link.run((client) => slotsScript.run(client, [keys.slots], args), TIMEOUT_MS)
    const slot = new Slot(number, link, keys)
    slot.version = 0
    return slot
  }

  /** What it holds, asked anew: a script has said that a slot is not its own. */
  async reclaim(): Promise<void> {
    await this.#claim()
  }

  async reload(slot: Slot): Promise<void> {
    await slot.load()
    this.#options.onChange()
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#cancel?.()
    for (const forget of this.#forgetLink) forget()
    const { link, keys, me } = this.#options
    // Where this fails, the lease ends by itself.
    const args = [me, this.#leaseMs, 'release']
    await link.run((client) => slotsScript.run(client, [keys.slots], args), RELEASE_MS).catch(() => undefined)
  }

  #age(): number {
    return this.#options.clock.monotonic() - this.#claimedAt
  }

  #beatLater(): void {
    if (this.#closed) return
    this.#cancel?.()
    this.#cancel = this.#options.clock.after(this.#leaseMs / 4, () => void this.#beat())
  }

  /** A missed beat is made up for by the next one, or by `writable`. */
  async #beat(): Promise<void> {
    if (this.#closed) return
    await this.#claim().catch(() => undefined)
    this.#beatLater()
  }

  /** One at a time: whoever asks meanwhile waits for the same answer. */
  #claim(): Promise<void> {
    this.#claiming ??= this.#claimNow().finally(() => {
      this.#claiming = undefined
    })
    return this.#claiming
  }

  async #claimNow(): Promise<void> {
    const { link, clock, me, keys, alone, onChange } = this.#options
    if (this.#closed) throw new IntermixError('NOT_READY', 'this process counts no more')
    const startedAt = clock.monotonic()
    // After an outage the living have had no chance to renew theirs; a process without a slot has to begin somewhere.
    const mayTake = this.#mine === undefined || startedAt - this.#upSince >= this.#leaseMs
    const args = [me, this.#leaseMs, mayTake ? 'take' : 'keep']
    const [mine = -1, ...owned] = await link.run((client) => slotsScript.run(client, [keys.slots], args), TIMEOUT_MS)
    if (this.#closed) return
    this.#claimedAt = startedAt
    this.#mine = mine < 0 ? undefined : mine
    const versions = new Map(owned.flatMap((number, i) => (i % 2 === 0 ? [[number, owned[i + 1] ?? 0] as const] : [])))
    for (const slot of this.#slots.values()) {
      if (versions.has(slot.number)) continue
      this.#slots.delete(slot.number)
      onChange()
    }
    for (const [number, version] of versions) {
      const slot = this.#slots.get(number) ?? new Slot(number, link, keys)
      this.#slots.set(number, slot)
      // Mostly a write of our own is under way; else what came of one was not heard.
      if (slot.version !== version) void alone(() => this.#refresh(slot)).catch(() => undefined)
    }
  }

  async #refresh(slot: Slot): Promise<void> {
    if (this.#slots.get(slot.number) !== slot || !(await slot.hasMoved())) return
    await slot.load()
    this.#options.onChange()
  }

  /** Waits for a promise, but no longer than a reader should; whether it failed is another's business. */
  async #patiently(promise: Promise<unknown>): Promise<void> {
    let cancel = (): void => undefined
    const patience = new Promise<void>((resolve) => {
      cancel = this.#options.clock.after(PATIENCE_MS, resolve)
    })
    await Promise.race([promise.catch(() => undefined), patience])
    cancel()
  }
}
