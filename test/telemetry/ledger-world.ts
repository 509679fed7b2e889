// Processes, queues, handlers and dead letters over a real Redis, with what is true of them beside what the ledger says.

import assert from 'node:assert/strict'
import type { RedisLink } from '../../src/redis/connection.ts'
import type { ReportBatch } from '../../src/kernel/report.ts'
import { type DeadLetter, DeadLetters, letterId } from '../../src/telemetry/dead-letters.ts'
import { batchToJob, type DeliverBatch } from '../../src/telemetry/deliver-batch.ts'
import { FAN_OUT } from '../../src/telemetry/ledger.ts'
import { LedgerAudit } from '../../src/telemetry/ledger-audit.ts'
import { LinkQueue } from '../../src/telemetry/link-queue.ts'
import { NodeSigns } from '../../src/telemetry/node-signs.ts'
import { type Parcel, parcelOf, parcelToJob } from '../../src/telemetry/parcel.ts'
import { queueNames } from '../../src/telemetry/queue-names.ts'
import { RedisLedger } from '../../src/telemetry/redis-ledger.ts'
import { FakeClock } from '../helpers/clock.ts'
import { KeptLog, ReadableMeter } from '../redis/support.ts'

let worlds = 0

export const HANDLERS = ['a.handler.ns', 'b.handler.ns'] as const
export type Name = (typeof HANDLERS)[number]
interface Counted {
  accepted: number
  delivered: number
  dead: number
  dropped: number
}

/** Processes, queues and letters, with what is true of them beside what the ledger says. */
export class World {
  readonly prefix = `w${++worlds}-${process.pid}`
  readonly clock = new FakeClock()
  readonly ledger: RedisLedger
  readonly letters: DeadLetters
  readonly audit: LedgerAudit
  readonly truth = new Map<string, Counted>()
  /** What was really lost: by `where name`. */
  readonly lost = new Map<string, number>()
  readonly #queues = new Map<string, LinkQueue>()
  readonly #names = queueNames(this.prefix)
  readonly #link: RedisLink
  #serial = 0
  node: ReturnType<World['startNode']>

  constructor(link: RedisLink) {
    const { prefix, clock } = this
    this.#link = link
    this.ledger = new RedisLedger(link, prefix)
    this.letters = new DeadLetters({ link, ledger: this.ledger, prefix })
    this.audit = new LedgerAudit({ link, clock, meter: new ReadableMeter(), prefix })
    this.node = this.startNode()
  }

  startNode() {
    const process = `n-${worlds}x${++this.#serial}`
    const intake = { accepted: 0, delivered: 0, held: 0, stored: 0, recovered: 0, dropped: {}, refused: {} }
    const signs = new NodeSigns({
      link: this.#link,
      clock: new FakeClock(),
      log: new KeptLog(),
      prefix: this.prefix,
      process,
      node: process,
    })
    const jobs = this.queue(this.#names.reports())
    const sink = signs.counting({
      ready: () => true,
      onReady: () => undefined,
      add: async (parcel) => {
        await jobs.run((queue) => queue.add('reports', parcelToJob(parcel)))
      },
    })
    signs.start(() => intake)
    return { process, intake, signs, sink, made: 0 }
  }

  queue(name: string): LinkQueue {
    let queue = this.#queues.get(name)
    if (queue === undefined)
      this.#queues.set(name, (queue = new LinkQueue(this.#link, name, this.#names.keyPrefix(name))))
    return queue
  }

  of(handler: string): Counted {
    let counted = this.truth.get(handler)
    if (counted === undefined) this.truth.set(handler, (counted = { accepted: 0, delivered: 0, dead: 0, dropped: 0 }))
    return counted
  }

  lose(where: string, count: number): void {
    this.lost.set(where, (this.lost.get(where) ?? 0) + count)
  }

  /** A node takes records and puts them on the queue, or is killed before it does. */
  async accept(count: number, isKilled: boolean): Promise<void> {
    const { node } = this
    const batch: ReportBatch = {
      id: `${node.process}-${(node.made++).toString(36)}`,
      format: 'attributes',
      count,
      payload: new Uint8Array(3),
      acceptedAt: 0,
    }
    node.intake.accepted += count
    if (!isKilled) {
      await node.sink.add(parcelOf([batch]))
      node.intake.delivered += count
      return node.signs.say()
    }
    node.intake.held += count
    await node.signs.say()
    this.lose(`node ${node.process}`, count)
    await this.#age(node.process)
    this.node = this.startNode()
  }

  /** Makes a process's last sign one of a minute ago. */
  async #age(process: string): Promise<void> {
    const { nodes } = this.#names.ledger
    await this.#link.run(async (client) => {
      const [at = '', ...rest] = (await client.hget(nodes, process))?.split(' ') ?? []
      await client.hset(nodes, process, [Number(at) - 60_000, ...rest].join(' '))
    })
  }

  async first(name: string) {
    const [job] = await this.queue(name).run((queue) => queue.getJobs(['waiting'], 0, 0, true))
    return job
  }

  /** The fan-out of the next parcel, told several times: as after crashes at any point. */
  async fanOut(options: { to: Name; share: number; unreadable: boolean; times: number }): Promise<void> {
    const job = await this.first(this.#names.reports())
    if (job === undefined) return
    const { id, count, replays } = job.data as Parcel
    const batches: DeliverBatch[] = options.unreadable
      ? []
      : [...HANDLERS, options.to].map((handler, i) => ({
          id: `${id}-${i}`,
          handler,
          template: 't',
          count,
          instances: [],
          replays: 0,
        }))
    const letter = { id: letterId(id, replays), count, bytes: 5 }
    const isFirst = !options.unreadable
    const expected = await this.#decided(batches, options)
    let waits: readonly boolean[] = []
    for (let time = 0; time < options.times; time++) {
      const arrived = await this.ledger.arrive({
        parcel: { id, count, replays },
        batches: batches.map((batch) => ({
          id: batch.id,
          handler: batch.handler,
          count,
          bytes: 100,
          ...(batch.handler === options.to ? { share: options.share } : {}),
        })),
        letters: isFirst ? [] : [letter],
        dropped: isFirst ? [{ handler: options.to, reason: 'not-evaluated', count: 1 }] : [],
      })
      assert.equal(arrived.isFirst, time === 0)
      assert.deepEqual(arrived.waits, expected)
      waits = arrived.waits
    }
    if (replays === 0) this.of(FAN_OUT).accepted += count
    if (isFirst) {
      this.of(FAN_OUT).delivered += count
      this.of(options.to).accepted += 1
      this.of(options.to).dropped += 1
    }
    for (const [i, batch] of batches.entries()) {
      this.of(batch.handler).accepted += count
      if (waits[i]) {
        await this.queue(this.#names.deliver(batch.handler)).run((queue) => queue.add('deliver', batchToJob(batch)))
      } else this.of(batch.handler).dropped += count
    }
    if (options.unreadable) {
      await this.#bury({ ...letter, handler: FAN_OUT, replays, content: { kind: 'reports', job: job.data } })
    }
    await job.remove()
  }

  /** Which batches fit into the share: those that do not are dropped, one after the other, unless nothing waits. */
  async #decided(batches: readonly DeliverBatch[], { to, share }: { to: Name; share: number }): Promise<boolean[]> {
    let waiting = (await this.ledger.read()).get(to)?.bytes ?? 0
    return batches.map(({ handler }) => {
      if (handler !== to) return true
      if (waiting > 0 && waiting + 100 > share) return false
      waiting += 100
      return true
    })
  }

  async #bury(letter: object): Promise<void> {
    const given = letter as { handler: string; count: number }
    const now = { version: 1, template: '', reason: 'r', attempts: 1, firstFailureAt: 0, lastFailureAt: 0 } as const
    await this.letters.add({ ...now, ...letter } as Parameters<DeadLetters['add']>[0])
    await this.letters.add({ ...now, ...letter } as Parameters<DeadLetters['add']>[0])
    this.of(given.handler).dead += given.count
  }

  async deliver(handler: Name, fate: 'delivered' | 'part' | 'dropped' | 'dead', times: number): Promise<void> {
    const job = await this.first(this.#names.deliver(handler))
    if (job === undefined) return
    const { id, count, replays } = job.data as DeliverBatch
    const truth = this.of(handler)
    if (fate === 'dead') {
      await this.#bury({
        id: letterId(id, replays),
        handler,
        count,
        replays,
        content: { kind: 'instances', job: job.data },
      })
      await job.remove()
      return
    }
    const some = Math.floor(count / 2)
    const rest = { id: `${id}-x`, count: count - some, bytes: 50 }
    const settlement = { id, handler, ...(fate === 'dropped' ? { dropped: { failed: count } } : { delivered: count }) }
    const part = { id, handler, delivered: some, rest: [rest] }
    for (let time = 0; time < times; time++) {
      const settled = await this.ledger.settle(fate === 'part' ? part : settlement)
      assert.deepEqual(settled, [time === 0])
    }
    assert.ok(await this.ledger.hasSettled(handler, id))
    if (fate === 'dropped') truth.dropped += count
    else truth.delivered += fate === 'part' ? some : count
    if (fate === 'part') {
      const data = { ...(job.data as object), id: rest.id, count: rest.count }
      await this.queue(this.#names.deliver(handler)).run((queue) => queue.add('deliver', data))
    }
    await job.remove()
  }

  async operate(action: 'replay' | 'drop'): Promise<void> {
    const [letter] = await this.letters.list({ limit: 1 })
    if (letter === undefined) return
    await this.letters[action](letter.id)
    await this.#tellLate(letter)
    const truth = this.of(letter.handler)
    truth.dead -= letter.count
    if (action === 'drop') truth.dropped += letter.count
  }

  /** What was told of a letter comes again, after it has gone. */
  async #tellLate({ id, handler, count, replays: life, content }: DeadLetter): Promise<void> {
    const entry = content.kind === 'instances' ? content.job.id : id
    await this.ledger.bury({ id: entry, handler, count, bytes: 9, life })
    await this.ledger.settle({ id: entry, handler, life, dropped: { operator: count } })
    await this.ledger.take({ id: entry, handler, count, bytes: 9, life }, entry === id ? undefined : entry)
    if (content.kind === 'reports') await this.ledger.take({ id, handler, count, bytes: 9, life }, `${id}-again`)
  }

  /** A batch that the ledger has never heard of has ended: as after Redis has lost its last second. */
  async stranger(handler: Name, count: number): Promise<void> {
    const id = `stranger-${++this.#serial}`
    assert.deepEqual(await this.ledger.settle({ id, handler, delivered: count }), [true])
    assert.deepEqual(await this.ledger.settle({ id, handler, delivered: count }), [false])
    this.of(handler).accepted += count
    this.of(handler).delivered += count
  }

  /** Something is gone without a trace. */
  async destroy(which: 'reports' | Name | 'letter'): Promise<void> {
    const isQueue = which === 'reports'
    const name = isQueue
      ? this.#names.reports()
      : which === 'letter'
        ? this.#names.deadLetters
        : this.#names.deliver(which)
    const job = await this.first(name)
    if (job === undefined) return
    await job.remove()
    this.lose(isQueue ? `queue ${name}` : which === 'letter' ? 'queue dead letters' : `handler ${which}`, 1)
  }

  async check(): Promise<void> {
    const totals = await this.ledger.read()
    for (const [handler, { accepted, delivered, dead, dropped }] of this.truth) {
      const said = totals.get(handler)
      const lost = Object.values(said?.dropped ?? {}).reduce((sum, count) => sum + count, 0)
      const counted = { accepted: said?.accepted, delivered: said?.delivered, dead: said?.deadLetters, dropped: lost }
      assert.deepEqual(counted, { accepted, delivered, dead, dropped })
      assert.equal(said?.held, accepted - delivered - dropped)
    }
  }

  async end(): Promise<void> {
    await this.node.signs.end()
    await this.audit.close()
    await this.letters.close()
    await Promise.all([...this.#queues.values()].map((queue) => queue.close()))
  }
}
