// A handler of quotas whose Redis is paused: its own policy answers, in the caller's time and not after it.

import { describe, expect, it, onTestFinished } from 'vitest'
import { createTestEnvironment } from '../../src/adapter-kit/test-environment.ts'
import quota from '../../src/adapters/quota/index.ts'
import { RunningHandler } from '../../src/policy/running-handler.ts'
import { NodeLimits } from '../../src/quota/node-limits.ts'
import { QuotaMetrics } from '../../src/quota/quota-metrics.ts'
import { RedisLimits } from '../../src/quota/redis-limits.ts'
import { FakeClock } from '../helpers/clock.ts'
import { handlerConfig } from '../cache/support.ts'
import { sharedRedis } from '../redis/shared-redis.ts'
import { KeptLog, ReadableMeter } from '../redis/support.ts'
import { guardWith } from './guard-support.ts'

const { link, redis } = await sharedRedis({ commandTimeoutMs: 15_000 })

function nodeLimits(prefix: string, clock: FakeClock): NodeLimits {
  return new NodeLimits({
    shared: new RedisLimits({ link, clock, prefix }),
    link,
    clock,
    log: new KeptLog(),
    metrics: new QuotaMetrics(new ReadableMeter(), 'h'),
    processes: { count: 2, note: () => undefined },
  })
}

describe('a quota while Redis is paused', () => {
  it.each([
    ['one', ['a']],
    ['several together', ['a', 'b']],
  ])('is charged to the share of the node before the handler runs out of time: %s', async (name, names) => {
    // Nothing runs out of time but what the test lets run out: by the machine's clock a busy one would decide.
    const clock = new FakeClock(Date.now())
    const limits = nodeLimits(`paused ${name}:`, clock)
    onTestFinished(() => limits.close())
    const quotas = names.map((each) => ({ name: each, limits: [{ maxAmount: 10, validDuration: '3600s' }] }))
    const code = quota.create(quota.config.parse({ quotas }), createTestEnvironment({ clock, limits }))
    const handler = new RunningHandler(handlerConfig(), code, guardWith(clock, {}, 200).guard)
    const charges = names.map((each) => ({
      instance: { name: `${each}.instance.test`, template: 'quota', fields: { dimensions: { names: names.join() } } },
      request: { amount: 3, bestEffort: false, deduplicationId: '' },
    }))
    const ask = async (passes = 0) => {
      const asked = Promise.resolve(handler.quotaTogether(charges, clock.monotonic() + 10_000))
      await clock.advance(passes)
      return (await asked).map((each) => each.granted)
    }
    const all = (amount: number) => names.map(() => amount)
    expect(await ask()).toEqual(all(3))
    redis.pause()
    try {
      // Half of the limit is this node's, and of that what it last heard is left: 3 of 5.
      expect(await ask(200)).toEqual(all(3))
      expect(await ask(200)).toEqual(all(0))
    } finally {
      redis.resume()
    }
  })

  it('goes on with its share however often another one of the handler, which is closed then, has no answer', async () => {
    const clock = new FakeClock(Date.now())
    const limits = nodeLimits('paused closed:', clock)
    onTestFinished(() => limits.close())
    const quotas = ['share', 'open', 'closed'].map((away) => ({
      name: away,
      redisAway: away,
      limits: [{ maxAmount: 10, validDuration: '3600s' }],
    }))
    const code = quota.create(quota.config.parse({ quotas }), createTestEnvironment({ clock, limits }))
    const handler = new RunningHandler(handlerConfig(), code, guardWith(clock, {}, 200).guard)
    const ask = async (name: string, passes: number) => {
      const instance = { name: `${name}.instance.test`, template: 'quota', fields: { dimensions: {} } }
      const request = { amount: 1, bestEffort: false, deduplicationId: '' }
      const asked = Promise.resolve(handler.quota(instance, request, clock.monotonic() + 10_000)).then(
        ({ granted }) => granted,
        (error: unknown) => error,
      )
      await clock.advance(passes)
      return await asked
    }
    expect(await ask('share', 0)).toBe(1)
    redis.pause()
    try {
      for (let n = 0; n < 20; n++) expect(await ask('closed', 200)).toMatchObject({ code: 'REDIS_UNAVAILABLE' })
      expect([await ask('share', 200), await ask('open', 200)]).toEqual([1, 1])
    } finally {
      redis.resume()
    }
  })
})
