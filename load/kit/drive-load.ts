// Drives a load: the loop that sends calls when they are due, gives up those that nobody waits for any more, and measures.

import { seededRandom } from '../random.ts'
import { poissonTimes } from '../schedule.ts'
import { CallTable } from './call-table.ts'
import type { Connection, ConnectionEvents, Ended } from './connection.ts'
import { DOORS } from './doors.ts'
import { connectBatches } from './batch-connection.ts'
import { connectGrpc } from './grpc-connection.ts'
import { connectHttp } from './http-connection.ts'
import { KeySource } from './key-source.ts'
import type { Load, LoadPart, LoadResult } from './load.ts'
import { PartSender } from './part-sender.ts'
import { cpuSeconds, forgetPeak, memoryOf } from './process-usage.ts'
import { Tally } from './tally.ts'

/** How long the driver sleeps at most while calls are due or under way: what it does not see meanwhile is as late. */
const NAP_MS = 0.1
/** Beyond it a timer is exact enough. */
const TIMER_MS = 2
const SWEEP_MS = 10
const FILL_IN_FLIGHT = 32
const HTTP_CONNECTIONS = 64
/** A fill waits longer for each answer than a run does: everything has to be fetched. */
const FILL_SECONDS = 600

/** Resolves when every call has ended, or its caller has gone. */
export async function driveLoad(load: Load): Promise<LoadResult> {
  const random = seededRandom(load.seed)
  const keys = new KeySource(load.keys, random)
  if (load.fill) for (const part of load.parts) await fill(load, part, keys)
  return await new Run(load, keys, random).result()
}

/** Asks for each key once at one part; what fails is left to the run to find. */
async function fill(load: Load, part: LoadPart, keys: KeySource): Promise<void> {
  let next = 0
  const all = { next: () => next++, denies: (key: number) => keys.denies(key) }
  const pace = { kind: 'closed', inFlight: FILL_IN_FLIGHT, seconds: FILL_SECONDS } as const
  const given = { ...load, parts: [part], pace, settleSeconds: 0, pids: [] }
  await new Run(given, all, () => 0, load.keys.count).result()
}

/** A connection of HTTP/1.1 carries one call at a time: as many as can be under way, and enough where nobody can tell. */
function connectionsOf({ connections, pace }: Load, { door }: LoadPart): number {
  if (DOORS[door].protocol !== 'http') return connections
  return Math.max(connections, pace.kind === 'closed' ? pace.inFlight : HTTP_CONNECTIONS)
}

const sleeper = new Int32Array(new SharedArrayBuffer(4))

class Run {
  readonly #load: Load
  readonly #keys: Pick<KeySource, 'next' | 'denies'>
  readonly #random: () => number
  readonly #calls = new CallTable()
  readonly #tally: Tally
  readonly #senders: readonly PartSender[]
  readonly #shares: readonly number[]
  readonly #startAt = performance.now()
  readonly #maxCalls: number
  readonly #impatient: boolean
  #made = 0
  #events = 0
  #closing = false
  #usage: { readonly cpuSeconds: number; readonly driver: number }
  #afterRead: (() => void) | undefined

  constructor(load: Load, keys: Pick<KeySource, 'next' | 'denies'>, random: () => number, maxCalls = Infinity) {
    this.#load = load
    this.#keys = keys
    this.#random = random
    this.#maxCalls = maxCalls
    this.#impatient = load.pace.kind === 'open' && load.pace.impatient === true
    this.#usage = this.#use()
    this.#tally = new Tally(load.settleSeconds * 1_000)
    const total = load.parts.reduce((sum, { share }) => sum + share, 0)
    let sum = 0
    this.#shares = load.parts.map(({ share }) => (sum += share / total))
    this.#senders = load.parts.map((part) => {
      const open = this.#opener(part, (connection) => this.#read(sender, connection))
      const sender: PartSender = new PartSender({ open, connections: connectionsOf(load, part), calls: this.#calls })
      return sender
    })
  }

  async result(): Promise<LoadResult> {
    const { pace, pids, settleSeconds } = this.#load
    const ended = pace.kind === 'open' ? this.#open(pace.phases) : this.#closed(pace)
    const settled = setTimeout(() => this.#begin(), settleSeconds * 1_000)
    const seconds = (await ended) / 1_000 - settleSeconds
    clearTimeout(settled)
    const used = this.#use()
    while (this.#calls.open > 0) await this.#turn(SWEEP_MS)
    this.#closing = true
    for (const sender of this.#senders) sender.close()
    return {
      ...this.#tally.figures(),
      seconds,
      cpuSeconds: used.cpuSeconds - this.#usage.cpuSeconds,
      driverCpuSeconds: used.driver - this.#usage.driver,
      peakBytes: memoryOf(pids).peak,
    }
  }

  #begin(): void {
    forgetPeak(this.#load.pids)
    this.#usage = this.#use()
  }

  #use() {
    const { user, system } = process.cpuUsage()
    return { cpuSeconds: cpuSeconds(this.#load.pids), driver: (user + system) / 1e6 }
  }

  #now(): number {
    return performance.now() - this.#startAt
  }

  /** @returns how long it took in milliseconds */
  async #open(phases: Extract<Load['pace'], { kind: 'open' }>['phases']): Promise<number> {
    const endMs = phases.reduce((sum, { seconds }) => sum + seconds, 0) * 1_000
    const times = poissonTimes(phases, this.#random)
    let due = times.next().value ?? Infinity
    for (;;) {
      const now = this.#now()
      for (; due <= now; due = times.next().value ?? Infinity) this.#send(due)
      this.#leave()
      this.#flush()
      if (now >= endMs) return endMs
      await this.#turn(Math.min(due, endMs) - this.#now())
    }
  }

  async #closed({ inFlight, seconds }: { inFlight: number; seconds: number }): Promise<number> {
    const endMs = seconds * 1_000
    const refill = () => {
      const now = this.#now()
      if (now >= endMs) return
      while (this.#calls.open < inFlight && this.#made < this.#maxCalls) this.#send(now)
      this.#flush()
    }
    this.#afterRead = refill
    refill()
    while (this.#now() < endMs && (this.#made < this.#maxCalls || this.#calls.open > 0)) {
      await new Promise((resolve) => setTimeout(resolve, Math.min(SWEEP_MS, Math.max(0, endMs - this.#now()))))
      this.#leave()
      refill()
    }
    this.#afterRead = undefined
    return this.#now()
  }

  /** Lets answers in; sleeps where there are none, for `waitMs` at most. */
  async #turn(waitMs: number): Promise<void> {
    const before = this.#events
    if (waitMs > TIMER_MS && this.#calls.open === 0) {
      await new Promise((resolve) => setTimeout(resolve, waitMs - 1))
      return
    }
    await new Promise((resolve) => setImmediate(resolve))
    this.#leave()
    if (this.#events === before && waitMs > NAP_MS / 2) Atomics.wait(sleeper, 0, 0, Math.min(waitMs, NAP_MS))
  }

  #send(at: number): void {
    this.#made++
    this.#tally.due(at, this.#now())
    const sender = this.#senderOf()
    const key = this.#keys.next()
    const call = sender.full && this.#impatient ? undefined : this.#calls.add(at, key)
    if (call === undefined) this.#tally.ended(at, this.#now(), 'unsent')
    else sender.add(call)
  }

  #senderOf(): PartSender {
    if (this.#senders.length === 1) return this.#senders[0] as PartSender
    const drawn = this.#random()
    return (this.#senders[this.#shares.findIndex((share) => drawn < share)] ?? this.#senders.at(-1)) as PartSender
  }

  #flush(): void {
    for (const sender of this.#senders) sender.flush()
  }

  /** Whose time is up has gone: the call is taken back, and counts as unanswered. */
  #leave(): void {
    for (const sender of this.#senders) sender.retry()
    const now = this.#now()
    const before = now - this.#load.timeoutMs
    for (let call = this.#calls.oldest(before); call !== undefined; call = this.#calls.oldest(before)) {
      const connection = this.#calls.connection(call)
      this.#tally.ended(this.#calls.at(call), now, connection === undefined ? 'unsent' : 'gone')
      this.#calls.end(call)
      connection?.cancel(call)
    }
  }

  #opener(part: LoadPart, read: ConnectionEvents['read']): () => Connection {
    const { timeoutMs, decides } = this.#load
    const door = DOORS[part.door]
    const events: ConnectionEvents = {
      ended: (call, how, why) => this.#ended(call, how, why, decides && door.judged),
      lost: (why) => {
        if (!this.#closing) this.#tally.lost(why)
      },
      read,
    }
    const common = { address: part.address, path: door.path, timeoutMs, events }
    if (door.protocol === 'batch') {
      const template = door.template(this.#load.request)
      return () => connectBatches({ ...common, template })
    }
    const given = { ...common, request: door.request(this.#load.request) }
    if (door.protocol === 'http') return () => connectHttp({ ...given, decides })
    return () => connectGrpc({ ...given, decision: decides ? door.decision : undefined })
  }

  #ended(call: number, how: Ended, why: string | undefined, judged: boolean): void {
    if (this.#closing || !this.#calls.waits(call)) return
    const isWrong =
      judged && (how === 'allow' || how === 'deny') && (how === 'deny') !== this.#keys.denies(this.#calls.key(call))
    this.#tally.ended(this.#calls.at(call), this.#now(), isWrong ? 'wrong' : how, why)
    this.#calls.end(call)
  }

  #read(sender: PartSender, connection: Connection): void {
    if (this.#closing) return
    this.#events++
    sender.resume(connection)
    this.#afterRead?.()
    this.#flush()
  }
}
