// Counters of a handler in Redis: numbered slots, each written by the one process that holds it and kept for good.
//
// The holder has all entries of its slots in memory, computes what batches make of them, and one script writes that, if
// the slot is still its own and stands at the version that it knows. So what is exposed and what is kept are the same
// numbers to the last bit, and a process that stood still can spoil nothing.

import { createHash, randomUUID } from 'node:crypto'
import { exposedBytes, keyOf, RegisterDraft } from '../../adapter-kit/counter-register.ts'
import type { CounterChange, CounterEntry, DurableCounters, HeldRegisters } from '../../adapter-kit/durable-counters.ts'
import { IntermixError } from '../../kernel/errors.ts'
import { GroupCommit } from '../../kernel/group-commit.ts'
import type { Clock } from '../../kernel/ports.ts'
import type { RedisLink } from '../connection.ts'
import type { RedisClient } from '../create-client.ts'
import { defineScript } from '../scripts.ts'
import { OldRegisters } from './old-registers.ts'
import { SlotHolder } from './slot-holder.ts'
import { entryText, type Slot } from './slot.ts'

const applyBatches = defineScript({ name: 'counter-apply', keys: 4, reply: readReply })
const forgetEntries = defineScript({ name: 'counter-forget', keys: 4, reply: Number })

/** A batch is recognized for at least so long after it was applied. */
const REMEMBER_MS = 3_600_000
const TIMEOUT_MS = 2000
/** How many changes one script takes. */
const MAX_CHANGES = 4000
/** How often a group of batches is computed anew because the script knew better. */
const MAX_ROUNDS = 8
const PAGE = 500
/** After how long workers of an older version are looked for again. */
const OLD_AGAIN_MS = 30_000

interface Batch {
  readonly id: string
  readonly changes: readonly CounterChange[]
}

export interface RedisCountersOptions {
  readonly link: RedisLink
  readonly clock: Clock
  /** Fully qualified name of the handler. */
  readonly handler: string
  readonly prefix?: string
  /** After how long without a sign of life a process's slots go to another one, in milliseconds. */
  readonly leaseMs?: number
}

/** Opens the counters of a handler. A batch is remembered for an hour at least, outages not counted. */
export class RedisCounters implements DurableCounters {
  readonly #link: RedisLink
  readonly #clock: Clock
  readonly #me = randomUUID()
  readonly #base: string
  readonly #holder: SlotHolder
  readonly #commits: GroupCommit<Batch, number>
  readonly #old: OldRegisters
  readonly #forgetLink: () => void
  #cancelOld: (() => void) | undefined
  #revision = 0

  constructor({ link, clock, handler, prefix = 'intermix', leaseMs }: RedisCountersOptions) {
    this.#link = link
    this.#clock = clock
    this.#base = `{${prefix}-counters-${handler}}:`
    this.#commits = new GroupCommit((batches) => this.#commit(batches), {
      maxWeight: MAX_CHANGES,
      weigh: ({ changes }) => changes.length,
    })
    this.#holder = new SlotHolder({
      link,
      clock,
      me: this.#me,
      keys: {
        slots: this.#key('slots'),
        entries: (slot) => this.#key(`slot:${slot}`),
        names: (slot) => this.#key(`names:${slot}`),
      },
      ...(leaseMs === undefined ? {} : { leaseMs }),
      alone: (task) => this.#commits.alone(task),
      onChange: () => this.#revision++,
    })
    this.#old = new OldRegisters(link, (name) => this.#key(name), this.#me)
    this.#forgetLink = link.onUp(() => void this.#takeOld())
  }

  apply(batchId: string, changes: readonly CounterChange[]): Promise<number> {
    return this.#commits.add({ id: batchId, changes })
  }

  async held(): Promise<HeldRegisters> {
    const { slots, staleMs } = await this.#holder.held()
    const registers = new Map(slots.map(({ number, register }) => [String(number), register.groups] as const))
    return { registers, revision: this.#revision, staleMs }
  }

  forget(isOver: (entry: CounterEntry) => boolean): Promise<void> {
    return this.#commits.alone(async () => {
      for (const slot of this.#holder.known) await this.#forget(slot, [...slot.register.entries()].filter(isOver))
    })
  }

  /** Gives the slots away: the next process that looks takes them. Resolves when that is done or cannot be; safe twice. */
  async close(): Promise<void> {
    this.#forgetLink()
    this.#cancelOld?.()
    await this.#holder.close()
  }

  /** All of the batches in one script, in as many rounds as it takes until the script agrees with what was computed. */
  async #commit(
    batches: readonly Batch[],
    slotOf: () => Promise<Slot> = () => this.#holder.writable(),
  ): Promise<readonly number[]> {
    const done = new Set<string>()
    const refused = new Set<string>()
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const slot = await slotOf()
      const draft = new RegisterDraft(slot.register, refused)
      const ids = new Set<string>()
      const overflowed = batches.map(({ id, changes }) => {
        if (done.has(id) || ids.has(id)) return 0
        ids.add(id)
        return draft.take(changes)
      })
      if (ids.size === 0) return overflowed
      const { writes } = draft
      const fresh = writes.filter(({ isNew }) => isNew)
      const now = this.#clock.now()
      const head = [slot.number, this.#me, slot.version, this.#key('batches:'), REMEMBER_MS, maxBytesOf(batches)]
      const admissions = fresh.flatMap(({ key, group, field, numbers }) => [
        digestOf(key),
        group.name,
        group.maxFields,
        exposedBytes(field, numbers),
      ])
      const numbered = slot.numbered(writes)
      const { names } = numbered
      const entries = writes.flatMap(({ numbers }, i) => [numbered.numbers[i] ?? 0, entryText(numbers, now)])
      const args = [...head, ids.size, fresh.length, names.length, ...ids, ...admissions, ...names.flat(), ...entries]
      const [said, ...rest] = await this.#run((client) => applyBatches.run(client, this.#keys(slot), args))
      if (said === 'done') {
        slot.commit(writes, numbered, now, rest[0] ?? 0)
        this.#revision++
        return overflowed
      }
      const named = [...ids]
      if (said === 'lost') await this.#holder.reclaim()
      else if (said === 'moved') await this.#holder.reload(slot)
      else if (said === 'known') for (const place of rest) done.add(named[place] ?? '')
      else for (const place of rest) refused.add(fresh[place]?.key ?? '')
    }
    throw new IntermixError('BACKEND_FAILED', 'the slot of this process in Redis changes all the time')
  }

  /** Puts what older versions have counted into slots of its own, worker by worker as these end. */
  async #takeOld(): Promise<void> {
    this.#cancelOld?.()
    const { left } = await this.#commits.alone(() => this.#takeOldNow()).catch(() => ({ left: 1 }))
    if (left > 0) this.#cancelOld = this.#clock.after(OLD_AGAIN_MS, () => void this.#takeOld())
  }

  async #takeOldNow(): Promise<{ readonly left: number }> {
    for (;;) {
      const { left, register } = await this.#old.take()
      if (register === undefined) return { left }
      const changes = await this.#old.read(register)
      const slot = await this.#holder.more()
      for (let from = 0; from < changes.length; from += PAGE) {
        const page = { id: `${register}:${from}`, changes: changes.slice(from, from + PAGE) }
        await this.#commit([page], () => Promise.resolve(slot))
      }
      await this.#old.remove(register)
    }
  }

  async #forget(slot: Slot, entries: readonly CounterEntry[]): Promise<void> {
    for (let from = 0; from < entries.length; from += PAGE) {
      const page = entries.slice(from, from + PAGE)
      const args = page.flatMap((entry) => {
        const { group, field, numbers } = entry
        return [slot.numberOf(entry) ?? -1, digestOf(keyOf(group, field)), group, exposedBytes(field, numbers)]
      })
      const version = await this.#run((client) =>
        forgetEntries.run(client, this.#keys(slot), [slot.number, this.#me, slot.version, ...args]),
      )
      // Somebody else's, or changed: the next beat tells.
      if (version < 0) return
      slot.remove(page, version)
      this.#revision++
    }
  }

  #run<T>(operation: (client: RedisClient) => Promise<T>): Promise<T> {
    return this.#link.run(operation, TIMEOUT_MS)
  }

  #keys(slot: Slot): string[] {
    return [this.#key('slots'), ...slot.keys, this.#key('known')]
  }

  #key(name: string): string {
    return this.#base + name
  }
}

function maxBytesOf(batches: readonly Batch[]): number {
  return Math.min(...batches.flatMap(({ changes }) => changes.map(({ group }) => group.maxBytes)))
}

function digestOf(key: string): string {
  return createHash('sha1').update(key).digest('base64url').slice(0, 12)
}

function readReply(raw: unknown): [string, ...number[]] {
  const [said, ...rest] = raw as [string, ...(number | string)[]]
  return [said, ...rest.map(Number)]
}
