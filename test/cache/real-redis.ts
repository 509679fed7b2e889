// Simulated time over a real Redis: the clock moves only while Redis owes no reply.

import type { RedisLink } from '../../src/redis/connection.ts'
import type { FakeClock } from '../helpers/clock.ts'
import { until } from '../redis/support.ts'

/** Lets a promise settle: replies come in order, and the last one is that of `ping`. */
export async function settled<T>(link: RedisLink, clock: FakeClock, promise: Promise<T>): Promise<T> {
  const state = { done: false }
  const over = promise.finally(() => {
    state.done = true
  })
  while (!state.done) {
    await link.run((client) => client.ping())
    await new Promise((resolve) => setImmediate(resolve))
    if (!state.done) await clock.advance(1)
  }
  return await over
}

/** Waits until fills that nobody waits for have reached Redis. */
export async function untilFilled(link: RedisLink, keys = 1): Promise<void> {
  const filled = async () => (await link.run((client) => client.keys('test:*:v'))).length >= keys
  await until(filled, `${keys} keys are there`)
}
