// Several nodes over one Redis, in time that a test moves.

import type { ChargeMode, LimitCharge } from '../../src/adapter-kit/limits.ts'
import { NodeLimits } from '../../src/quota/node-limits.ts'
import { QuotaMetrics } from '../../src/quota/quota-metrics.ts'
import { RedisLimits } from '../../src/quota/redis-limits.ts'
import type { RedisLink } from '../../src/redis/connection.ts'
import { FakeClock } from '../helpers/clock.ts'
import { KeptLog, ReadableMeter } from '../redis/support.ts'
import { withTime } from './redis-time.ts'

/** A link that can be cut. */
class CutLink {
  #isUp = true
  readonly #listeners = new Set<() => void>()

  state(): 'up' | 'down' {
    return this.#isUp ? 'up' : 'down'
  }

  onUp(callback: () => void): () => void {
    this.#listeners.add(callback)
    if (this.#isUp) callback()
    return () => this.#listeners.delete(callback)
  }

  set(isUp: boolean): void {
    this.#isUp = isUp
    if (isUp) for (const listener of this.#listeners) listener()
  }
}

export interface Grant {
  /** Milliseconds since the epoch. */
  readonly at: number
  readonly amount: number
}

let meshes = 0

export class QuotaMesh {
  readonly clock = new FakeClock()
  readonly prefix: string
  readonly link = new CutLink()
  readonly nodes: NodeLimits[]
  readonly meters: ReadableMeter[] = []
  /** Calls of Redis. */
  calls = 0
  /** When charges were granted, and how much. */
  readonly granted: Grant[] = []
  /** Calls in mode `all` of which only a part was granted. */
  torn = 0
  /** The same of every charge of a call, by counter. */
  readonly byCounter = new Map<string, Grant[]>()
  readonly #limits: RedisLimits
  readonly #pending = new Set<Promise<unknown>>()

  constructor(redis: RedisLink, count: number) {
    const prefix = `mesh${++meshes}:`
    this.prefix = prefix
    const limits = new RedisLimits({ link: withTime(redis, () => this.clock.now()), clock: this.clock, prefix })
    this.#limits = limits
    const shared: Pick<RedisLimits, 'charge' | 'leave'> = {
      leave: (places) => limits.leave(places),
      charge: (charges, options) => {
        this.calls++
        const outcome = limits.charge(charges, options)
        this.#track(outcome)
        return outcome
      },
    }
    this.nodes = Array.from({ length: count }, () => {
      const meter = new ReadableMeter()
      this.meters.push(meter)
      return new NodeLimits({
        shared,
        link: this.link,
        clock: this.clock,
        log: new KeptLog(),
        metrics: new QuotaMetrics(meter, 'h'),
        processes: { count, note: () => undefined },
      })
    })
  }

  charge(node: number, charges: readonly LimitCharge[], mode: ChargeMode = 'all'): void {
    const answer = this.nodes[node]?.charge(charges, { mode })
    const note = (outcomes: readonly { readonly granted: number }[]) => {
      const at = this.clock.now()
      if (outcomes[0] !== undefined && outcomes[0].granted > 0) this.granted.push({ at, amount: outcomes[0].granted })
      const full = charges.filter(({ amount }, index) => outcomes[index]?.granted === amount).length
      if (mode === 'all' && full > 0 && full < charges.length) this.torn++
      for (const [index, { key }] of charges.entries()) {
        const amount = outcomes[index]?.granted ?? 0
        if (amount > 0) this.#grantsOf(key).push({ at, amount })
      }
    }
    if (answer instanceof Promise) this.#track(answer.then(note))
    else if (answer !== undefined) note(answer)
  }

  /** What a counter in Redis has left. */
  async left(charge: LimitCharge): Promise<number | undefined> {
    return (await this.#limits.charge([{ ...charge, amount: 0 }], { mode: 'all' }))[0]?.left
  }

  /** What all nodes together hold of a counter. */
  held(key: string): number {
    return this.nodes.reduce((sum, node) => sum + node.held(key), 0)
  }

  /** A metric of all nodes together. */
  sum(name: string): number {
    return this.meters.reduce((sum, meter) => sum + (meter.values.get(name) ?? 0), 0)
  }

  #grantsOf(key: string): Grant[] {
    let grants = this.byCounter.get(key)
    if (grants === undefined) this.byCounter.set(key, (grants = []))
    return grants
  }

  /** Lets what is under way come to its end. */
  async settled(): Promise<void> {
    while (this.#pending.size > 0) await Promise.allSettled(this.#pending)
  }

  #track(promise: Promise<unknown>): void {
    const tracked = promise.catch(() => undefined).finally(() => this.#pending.delete(tracked))
    this.#pending.add(tracked)
  }
}
