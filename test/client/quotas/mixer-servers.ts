// The two servers of the unit tests of Mixer's prefetch, and the traffic that these send.

import { MixerClient } from './mixer-client.ts'
import type { Lease } from '../../../src/client/quotas/quota-prefetch.ts'

export interface Rate {
  readonly rate: number
  readonly window_ms: number
  readonly delta: number
}

interface Server {
  alloc(amount: number, now: number): { readonly granted: number; readonly validForMs: number }
}

/** All of the rate at the begin of each window. */
export class RollingWindow implements Server {
  readonly #rate: Rate
  #available = 0
  #until = Number.NEGATIVE_INFINITY

  constructor(rate: Rate) {
    this.#rate = rate
  }

  alloc(amount: number, now: number) {
    if (now >= this.#until) {
      this.#available = this.#rate.rate
      this.#until = now + this.#rate.window_ms
    }
    const granted = Math.min(amount, this.#available)
    this.#available -= granted
    return { granted, validForMs: this.#until - now }
  }
}

/** The rate little by little. */
export class TimeBased implements Server {
  readonly #rate: Rate
  #allowance: number
  #at = 0

  constructor(rate: Rate) {
    this.#rate = rate
    this.#allowance = rate.rate
  }

  alloc(amount: number, now: number) {
    const { rate, window_ms: windowMs } = this.#rate
    this.#allowance = Math.min(rate, this.#allowance + Math.trunc(((now - this.#at) * rate) / windowMs))
    this.#at = now
    const granted = Math.min(amount, this.#allowance)
    this.#allowance -= granted
    return { granted, validForMs: windowMs }
  }
}

const REPLY_MS = 200
const WINDOWS = 10

/** How many checks pass in each phase of the traffic. */
export function passed(server: Server, { rate, window_ms: windowMs, delta }: Rate, clients: 1 | 2): number[] {
  const replies: { readonly at: number; readonly deliver: (now: number) => void }[] = []
  const make = () => {
    const client: MixerClient = new MixerClient((lease: Lease) => {
      const { granted, validForMs } = server.alloc(lease.amount, lease.askedAt)
      replies.push({
        at: lease.askedAt + REPLY_MS,
        deliver: (now) => client.reply(lease, granted, validForMs, now),
      })
    })
    return client
  }
  const [first, second] = [make(), make()]
  let base = 0
  return [rate - delta, rate, rate + delta, rate / 2, rate * 10].map((perWindow) => {
    const traffic = perWindow * WINDOWS
    // The second one has a quarter.
    const share = clients === 1 ? 0 : Math.floor(traffic / 4)
    const rest = clients === 1 ? traffic : Math.floor((traffic * 3) / 4)
    const everyMs = Math.floor((windowMs * WINDOWS) / (rest + share))
    let pass = 0
    let ofFirst = 0
    for (let i = 0; i < rest + share; i++) {
      const now = base + i * everyMs
      // Who is behind, in single precision as there.
      const isFirst = share === 0 || Math.fround(ofFirst / rest) <= Math.fround((i - ofFirst) / share)
      if (isFirst) ofFirst++
      if ((isFirst ? first : second).check(1, now)) pass++
      for (let reply = replies[0]; reply !== undefined && reply.at <= now; reply = replies[0]) {
        replies.shift()
        reply.deliver(now)
      }
    }
    base += windowMs * WINDOWS
    return pass
  })
}
