// The clock of a node may be wrong by more than a unit of the calendar: Redis says which one it is.

import { expect, it } from 'vitest'
import { RedisLimits } from '../../src/quota/redis-limits.ts'
import { FakeClock } from '../helpers/clock.ts'
import { sharedRedis } from '../redis/shared-redis.ts'
import { withTime } from './redis-time.ts'

const { link } = await sharedRedis({ commandTimeoutMs: 15_000 })
const NOW = Date.UTC(2026, 5, 15, 12, 30, 20)
const MINUTE = 60_000

it.each([-MINUTE, -2 * MINUTE, -90 * MINUTE, 5 * MINUTE])(
  'a node that is %i ms ahead of Redis limits',
  async (ahead) => {
    const clock = new FakeClock(NOW + ahead)
    const limits = new RedisLimits({ link: withTime(link, () => NOW), clock, prefix: `node-clock-${ahead}:` })
    const rule = { algorithm: 'calendarWindow', amount: 2, unit: 'minute' } as const
    const found = []
    for (const id of ['', '', '', 'some'])
      found.push(...(await limits.charge([{ key: 'k', rule, amount: 1 }], { mode: 'all', id })))
    expect(found.map((each) => each?.isExceeded)).toEqual([false, false, true, true])
    expect(found.every((each) => Number(each?.resetMs) > 0)).toBe(true)
  },
)
