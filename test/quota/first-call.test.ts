// The first call of a process, made before it has a connection to Redis.

import { expect, it, onTestFinished } from 'vitest'
import { AWAY_POLICIES, type LimitRule } from '../../src/adapter-kit/limits.ts'
import { systemClock as clock } from '../../src/kernel/system-clock.ts'
import { NodeLimits } from '../../src/quota/node-limits.ts'
import { QuotaMetrics } from '../../src/quota/quota-metrics.ts'
import { RedisLimits } from '../../src/quota/redis-limits.ts'
import { sharedRedis } from '../redis/shared-redis.ts'
import { KeptLog, ReadableMeter, testLink } from '../redis/support.ts'

const { redis } = await sharedRedis({ commandTimeoutMs: 15_000 })

const rule: LimitRule = { algorithm: 'fixedWindow', amount: 10, windowMs: 3_600_000, from: 'epoch' }

it.each(AWAY_POLICIES)('waits for the connection where it has the time, and counts in Redis: %s', async (away) => {
  const { link } = testLink(redis.url)
  const meter = new ReadableMeter()
  const limits = new NodeLimits({
    shared: new RedisLimits({ link, clock, prefix: `first ${away}:` }),
    link,
    clock,
    log: new KeptLog(),
    metrics: new QuotaMetrics(meter, 'h'),
    processes: { count: 5, note: () => undefined },
  })
  onTestFinished(async () => {
    await limits.close()
    link.close()
  })
  expect(link.state()).toBe('down')
  const charge = { key: 'k', rule, amount: 4, away }
  const outcomes = await limits.charge([charge], { mode: 'all', deadline: clock.monotonic() + 60_000 })
  // Its share of this limit would be 2.
  expect(outcomes[0]).toMatchObject({ granted: 4, left: 6 })
  expect(meter.value('quota_charges_total', 'h', 'granted', 'redis')).toBe(1)
})

it('goes on without Redis where there is none', async () => {
  const { link } = testLink('redis://127.0.0.1:1')
  const limits = new NodeLimits({
    shared: new RedisLimits({ link, clock, prefix: 'none:' }),
    link,
    clock,
    log: new KeptLog(),
    metrics: new QuotaMetrics(new ReadableMeter(), 'h'),
    processes: { count: 5, note: () => undefined },
  })
  onTestFinished(async () => {
    await limits.close()
    link.close()
  })
  const ask = () => limits.charge([{ key: 'k', rule, amount: 2 }], { mode: 'all', deadline: clock.monotonic() + 20 })
  expect((await ask())[0]).toMatchObject({ granted: 2, left: 0 })
  expect((await ask())[0]).toMatchObject({ granted: 0, isExceeded: true })
})
