// The adapter over limits in memory: which limits a request is charged to, and what is told of them.

import { describe, expect, it } from 'vitest'
import { createCall, createTestEnvironment } from '../../src/adapter-kit/test-environment.ts'
import quota from '../../src/adapters/quota/index.ts'
import { MemoryLimits } from '../../src/quota/memory-limits.ts'
import { FakeClock } from '../helpers/clock.ts'

const REQUEST = { amount: 1, bestEffort: false, deduplicationId: '' }

function handler(quotas: readonly object[]) {
  const clock = new FakeClock()
  const env = createTestEnvironment({ clock, limits: new MemoryLimits({ clock }) })
  const made = quota.create(quota.config.parse({ quotas }), env)
  const ask = async (dimensions: Record<string, string> = {}, request = {}, name = 'calls.instance.istio-system') => {
    const instance = { name, template: 'quota', fields: { dimensions } } as const
    return await made.quota?.quota?.(instance, { ...REQUEST, ...request }, createCall(env))
  }
  return { clock, ask, made, env }
}

describe('quota', () => {
  it('grants what all limits leave, and says how they stand', async () => {
    const { ask } = handler([
      {
        name: 'calls',
        limits: [
          { maxAmount: 5, validDuration: '60s' },
          { maxAmount: 2, calendar: 'day' },
        ],
      },
    ])
    expect(await ask()).toMatchObject({ granted: 1, status: { code: 0 } })
    await ask()
    expect(await ask()).toMatchObject({
      granted: 0,
      status: { code: 8 },
      limits: [
        { name: 'calls-1', amount: 5, windowMs: 60_000, left: 3, retryAfterMs: 0 },
        { name: 'calls-2', amount: 2, left: 0, retryAfterMs: 43_200_000 },
      ],
    })
  })

  it('gives back what is held, and no more of a rate than there was', async () => {
    const allocation = { maxAmount: 5, rateLimitAlgorithm: 'ALLOCATION' }
    const rate = { maxAmount: 2, validDuration: '60s' }
    const both = handler([{ name: 'calls', limits: [allocation, rate] }])
    await both.ask({}, { amount: 2 })
    expect(await both.ask({}, { amount: -2 })).toMatchObject({ granted: -2, status: { code: 0 } })
    expect((await both.ask({}, { amount: 0 }))?.limits?.map(({ left }) => left)).toEqual([5, 0])
    const alone = handler([{ name: 'calls', limits: [rate] }])
    await alone.ask({}, { amount: 2 })
    expect(await alone.ask({}, { amount: -2 })).toMatchObject({ granted: 0, status: { code: 3 } })
    expect(await alone.ask()).toMatchObject({ granted: 0, status: { code: 8 } })
  })

  it('counts by dimensions, and by the first override that they have', async () => {
    const { ask } = handler([
      {
        name: 'calls',
        limits: [{ maxAmount: 1, validDuration: '60s' }],
        overrides: [{ dimensions: { plan: 'gold' }, limits: [{ maxAmount: 2, validDuration: '60s' }] }],
      },
    ])
    const granted = async (dimensions: Record<string, string>) => {
      const each = [await ask(dimensions), await ask(dimensions), await ask(dimensions)]
      return each.map((result) => result?.granted)
    }
    expect(await granted({ plan: 'free' })).toEqual([1, 0, 0])
    expect(await granted({ plan: 'gold' })).toEqual([1, 1, 0])
    expect(await granted({ plan: 'gold', user: 'bob' })).toEqual([1, 1, 0])
  })

  it('charges a retry once, and a part where that is asked for', async () => {
    const { ask } = handler([{ name: 'calls', limits: [{ maxAmount: 3, validDuration: '60s' }] }])
    for (let each = 0; each < 5; each++) expect((await ask({}, { deduplicationId: 'a' }))?.granted).toBe(1)
    expect((await ask({}, { amount: 5, bestEffort: true }))?.granted).toBe(2)
    expect(await ask({}, { amount: 5, bestEffort: true })).toMatchObject({ granted: 0, status: { code: 8 } })
  })

  it('takes allocations and places back', async () => {
    const { ask } = handler([
      { name: 'calls', limits: [{ maxAmount: 1, rateLimitAlgorithm: 'ALLOCATION' }] },
      { name: 'open', limits: [{ maxAmount: 1, rateLimitAlgorithm: 'CONCURRENCY', validDuration: '10s' }] },
    ])
    expect((await ask())?.granted).toBe(1)
    expect((await ask())?.granted).toBe(0)
    expect((await ask({}, { amount: -1 }))?.granted).toBe(-1)
    expect((await ask())?.granted).toBe(1)
    const open = (amount: number, deduplicationId: string) => ask({}, { amount, deduplicationId }, 'open.instance.x')
    expect((await open(1, 'a'))?.granted).toBe(1)
    expect((await open(1, 'b'))?.granted).toBe(0)
    await open(-1, 'a')
    expect((await open(1, 'b'))?.granted).toBe(1)
  })

  it('charges several quotas of one request together or not at all', async () => {
    const { made, env, ask } = handler([
      { name: 'calls', limits: [{ maxAmount: 2, validDuration: '60s' }] },
      { name: 'other', limits: [{ maxAmount: 1, validDuration: '60s' }] },
    ])
    const instance = (name: string) => ({ name: `${name}.instance.x`, template: 'quota', fields: { dimensions: {} } })
    const both = async () =>
      await made.quotaTogether?.['quota']?.(
        ['calls', 'other'].map((name) => ({ instance: instance(name) as never, request: REQUEST })),
        createCall(env),
      )
    expect((await both())?.map(({ granted }) => granted)).toEqual([1, 1])
    expect((await both())?.map(({ granted, status }) => [granted, status.code])).toEqual([
      [0, 0],
      [0, 8],
    ])
    expect((await ask())?.granted).toBe(1)
  })

  it('says all that is wrong with its params', () => {
    const params = quota.config.parse({
      quotas: [
        { name: 'a', limits: [{ maxAmount: 1 }] },
        { name: 'b', limits: [{ maxAmount: 1, validDuration: '1s', burst: 2 }] },
        { name: 'c', accuracy: '5%', limits: [{ maxAmount: 1, rateLimitAlgorithm: 'CONCURRENCY' }] },
        { name: 'd', limits: [{ maxAmount: 1, calendar: 'day', validDuration: '1s', rateLimitAlgorithm: 'GCRA' }] },
        {
          name: 'd',
          limits: [{ maxAmount: 1, validDuration: '1h', rateLimitAlgorithm: 'ROLLING_WINDOW', bucketDuration: '1s' }],
        },
      ],
    })
    expect(quota.validate?.(params).map(({ path, message }) => `${path.join('.')}: ${message}`)).toEqual([
      'quotas.4.name: "d" is quota 4 already',
      'quotas.0.limits.0.validDuration: is missing: over what time, such as 60s (or calendar: month)',
      'quotas.1.limits.0.burst: goes with GCRA and TOKEN_BUCKET only',
      'quotas.2.accuracy: must be "exact" for CONCURRENCY and ALLOCATION',
      'quotas.3.limits.0.calendar: goes with FIXED_WINDOW only',
      'quotas.3.limits.0.validDuration: is not wanted beside calendar',
      'quotas.4.limits.0.bucketDuration: must cut validDuration into at most 100 buckets',
    ])
  })
})
