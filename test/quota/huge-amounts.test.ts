// Amounts that clients choose, as large as a door takes them: however much a counter holds, it is exceeded.

import { describe, expect, it } from 'vitest'
import type { LimitCharge, LimitRule } from '../../src/adapter-kit/limits.ts'
import { systemClock as clock } from '../../src/kernel/system-clock.ts'
import { MemoryLimits } from '../../src/quota/memory-limits.ts'
import { RedisLimits } from '../../src/quota/redis-limits.ts'
import { sharedRedis } from '../redis/shared-redis.ts'

const { link } = await sharedRedis({ commandTimeoutMs: 15_000 })
const DAY = 86_400_000
const HUGE = Number.MAX_SAFE_INTEGER
const RULES: readonly LimitRule[] = [
  { algorithm: 'fixedWindow', amount: 5, windowMs: 1_000 * DAY, from: 'epoch' },
  { algorithm: 'calendarWindow', amount: 5, unit: 'year' },
  { algorithm: 'slidingWindow', amount: 5, windowMs: 365 * DAY },
  { algorithm: 'rollingWindow', amount: 5, windowMs: 365 * DAY, bucketMs: 60 * DAY },
]

describe.each(RULES)('a counter of $algorithm', (rule) => {
  const limits = new RedisLimits({ link, clock, prefix: `huge-${rule.algorithm}:` })
  const charge = (amount: number, id = '') => limits.charge([{ key: 'k', rule, amount }], { mode: 'count', id })
  const isExceeded = async (all: ReturnType<typeof charge>[]) =>
    (await Promise.all(all)).map(([outcome]) => outcome?.isExceeded)

  it('stays exceeded however much is charged to it', async () => {
    for (let round = 0; round < 30; round++) await Promise.all(Array.from({ length: 50 }, () => charge(HUGE)))
    expect(await isExceeded([charge(1), charge(HUGE), charge(1)])).toEqual([true, true, true])
    for (let round = 0; round < 3; round++) await charge(HUGE, `id-${round}`)
    expect(await isExceeded([charge(1), charge(1)])).toEqual([true, true])
    const [look] = await charge(0)
    expect(look?.left).toBeLessThan(0)
  })
})

it('several charges of one counter are charged, whatever they are together', async () => {
  const twice: LimitCharge = { key: 'twice', rule: RULES[0] as LimitRule, amount: HUGE }
  const refused = [expect.objectContaining({ isExceeded: true }), expect.objectContaining({ isExceeded: true })]
  const limits = new RedisLimits({ link, clock, prefix: 'twice:' })
  expect(await limits.charge([twice, twice], { mode: 'all' })).toEqual(refused)
  expect(new MemoryLimits({ clock }).charge([twice, twice], { mode: 'all' })).toEqual(refused)
})

it.each(['gcra', 'tokenBucket'] as const)(
  'a bucket (%s) that does not refill refuses who has an id, too',
  async (algorithm) => {
    const limits = new RedisLimits({ link, clock, prefix: 'empty:' })
    const rule = { algorithm, amount: 0, windowMs: 60_000, burst: 1 } as const
    const charge = (id: string) => limits.charge([{ key: algorithm, rule, amount: 1 }], { mode: 'all', id })
    expect(await charge('1')).toMatchObject([{ isExceeded: false }])
    expect(await charge('2')).toMatchObject([{ isExceeded: true, retryAfterMs: Number.POSITIVE_INFINITY }])
    expect(await charge('2')).toMatchObject([{ isExceeded: true, retryAfterMs: Number.POSITIVE_INFINITY }])
  },
)
