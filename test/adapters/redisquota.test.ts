import type { Redis } from 'ioredis'
import fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { QuotaInstance } from '../../src/adapter-kit/templates.ts'
import type { ScriptRunner } from '../../src/adapter-kit/script-runner.ts'
import { createCall, createTestEnvironment } from '../../src/adapter-kit/test-environment.ts'
import redisquota from '../../src/adapters/redisquota/index.ts'
import { type RedisServer, startRedis } from '../helpers/redis.ts'
import { redisRunner } from './redis-runner.ts'

let server: RedisServer
let client: Redis
let runner: ScriptRunner

beforeAll(async () => {
  server = await startRedis()
  ;({ client, runner } = redisRunner(server.url))
})

beforeEach(async () => {
  await client.flushdb()
})

afterAll(async () => {
  client?.disconnect()
  await server?.stop()
})

const request = (amount: number, bestEffort = false, deduplicationId = '') => ({ amount, bestEffort, deduplicationId })

function quotaOf(quota: object) {
  const env = createTestEnvironment({ redis: () => runner })
  const params = redisquota.config.parse({ quotas: [{ name: 'rq', maxAmount: 10, validDuration: '60s', ...quota }] })
  expect(redisquota.validate?.(params)).toEqual([])
  const { quota: handler } = redisquota.create(params, env)
  return async (asked: ReturnType<typeof request>, dimensions: Record<string, string> = {}) => {
    const instance: QuotaInstance = { name: 'rq.instance.prod', template: 'quota', fields: { dimensions } }
    const result = await handler?.quota?.(instance, asked, createCall(env))
    if (result === undefined) throw new Error('no answer')
    return result
  }
}

/** Makes all counters look as if they had been written `ms` ago. */
async function shiftBack(ms: number, bucketMs: number): Promise<void> {
  for (const key of await client.keys('*')) {
    const state = key.endsWith(':d:') ? {} : await client.hgetall(key)
    if ('ends' in state) await client.hset(key, 'ends', Number(state['ends']) - ms)
    else {
      const moved = Object.entries(state).map(
        ([bucket, used]) => [String(Number(bucket) - ms / bucketMs), used] as const,
      )
      await client.del(key)
      await client.hset(key, Object.fromEntries(moved))
    }
  }
}

const ALGORITHMS = [
  ['a fixed window', { rateLimitAlgorithm: 'FIXED_WINDOW' }],
  ['a rolling window', { rateLimitAlgorithm: 'ROLLING_WINDOW', bucketDuration: '1s' }],
] as const

describe.each(ALGORITHMS)('redisquota with %s', (_name, quota) => {
  it('grants up to the maximum, then nothing', async () => {
    const ask = quotaOf(quota)
    expect(await ask(request(6))).toMatchObject({ status: { code: 0 }, granted: 6 })
    expect(await ask(request(6))).toMatchObject({ status: { code: 8 }, granted: 0 })
    expect(await ask(request(6, true))).toMatchObject({ status: { code: 0 }, granted: 4 })
    const refused = await ask(request(1, true))
    expect(refused).toMatchObject({ status: { code: 8 }, granted: 0 })
    expect(refused.validForMs).toBeGreaterThan(0)
    expect(refused.validForMs).toBeLessThanOrEqual(61_000)
  })

  it('grants again when the window has passed', async () => {
    const ask = quotaOf(quota)
    await ask(request(10))
    await shiftBack(59_000, 1_000)
    expect((await ask(request(1))).granted).toBe(0)
    await shiftBack(3_000, 1_000)
    expect((await ask(request(10))).granted).toBe(10)
  })

  it('takes a look for no call that is repeated, and grants no more than is asked', async () => {
    const ask = quotaOf(quota)
    expect((await ask(request(0, false, 'a'))).granted).toBe(0)
    expect((await ask(request(6, false, 'a'))).granted).toBe(6)
    expect((await ask(request(2, false, 'a'))).granted).toBe(2)
    expect((await ask(request(0, false, 'a'))).limits?.[0]?.left).toBe(4)
  })

  it('answers a repeated deduplication id alike and charges it once', async () => {
    const ask = quotaOf(quota)
    const first = await ask(request(7, true, 'call-1'))
    expect(await ask(request(7, true, 'call-1'))).toEqual(first)
    expect((await ask(request(7, true, 'call-2'))).granted).toBe(3)
  })

  it('counts each combination of dimensions by itself, with overrides', async () => {
    const ask = quotaOf({ ...quota, overrides: [{ dimensions: { plan: 'free' }, maxAmount: 2 }] })
    expect((await ask(request(9, true), { plan: 'free', user: 'a' })).granted).toBe(2)
    expect((await ask(request(9, true), { user: 'a', plan: 'free' })).granted).toBe(0)
    expect((await ask(request(9, true), { plan: 'free', user: 'b' })).granted).toBe(2)
    expect((await ask(request(9, true), { plan: 'paid', user: 'a' })).granted).toBe(9)
  })

  it('never grants more than the maximum, however many ask at once', async () => {
    const amounts = fc.array(fc.record({ amount: fc.integer({ min: 0, max: 6 }), bestEffort: fc.boolean() }), {
      maxLength: 20,
    })
    await fc.assert(
      fc.asyncProperty(amounts, async (asked) => {
        await client.flushdb()
        const ask = quotaOf(quota)
        const results = await Promise.all(asked.map(({ amount, bestEffort }) => ask(request(amount, bestEffort))))
        const granted = results.reduce((sum, result) => sum + result.granted, 0)
        const wanted = asked.reduce((sum, { amount }) => sum + amount, 0)
        expect(granted).toBeLessThanOrEqual(10)
        expect(wanted > 10 || granted === wanted).toBe(true)
      }),
      { numRuns: 30 },
    )
  })

  it('leaves nothing in Redis that does not expire, and keeps one slot per counter', async () => {
    const ask = quotaOf(quota)
    await ask(request(1, false, 'call-1'))
    const keys = await client.keys('*')
    expect(keys).toHaveLength(2)
    for (const key of keys) expect(await client.pttl(key)).toBeGreaterThan(0)
    expect(new Set(keys.map((key) => /\{.*\}/.exec(key)?.[0])).size).toBe(1)
  })
})

it('forgets what was charged to a counter', async () => {
  const env = createTestEnvironment({ redis: () => runner })
  const quotas = [{ name: 'rq', maxAmount: 10, validDuration: '60s' }]
  const handler = redisquota.create(redisquota.config.parse({ quotas }), env)
  const instance: QuotaInstance = { name: 'rq.instance.prod', template: 'quota', fields: { dimensions: { user: 'a' } } }
  const ask = async () => (await handler.quota?.quota?.(instance, request(10), createCall(env)))?.granted
  expect([await ask(), await ask()]).toEqual([10, 0])
  const reset = () => handler.quotaReset?.['quota']?.(instance)
  expect([await reset(), await reset(), await ask()]).toEqual([1, 0, 10])
})

describe('several quotas of one request', () => {
  const MOST = [3, 5, 8] as const
  const quotas = MOST.map((maxAmount, at) => ({
    name: `q${at}`,
    maxAmount,
    validDuration: '3600s',
    rateLimitAlgorithm: at === 1 ? 'ROLLING_WINDOW' : 'FIXED_WINDOW',
  }))
  const env = createTestEnvironment({ redis: () => runner })
  const charge = async (asked: readonly (readonly [quota: number, amount: number])[], id = '') => {
    const { quotaTogether } = redisquota.create(redisquota.config.parse({ quotas }), env)
    const charges = asked.map(([at, amount]) => ({
      instance: { name: `q${at}.instance.shop`, template: 'quota', fields: { dimensions: {} } } as const,
      request: request(amount, false, id),
    }))
    const results = (await quotaTogether?.['quota']?.(charges, createCall(env))) ?? []
    return results.map(({ status, granted, limits }) => ({ code: status.code, granted, left: limits?.[0]?.left }))
  }

  it('are charged together or not at all', async () => {
    const amount = fc.tuple(fc.nat(2), fc.nat(4))
    const calls = fc.array(fc.array(amount, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 8 })
    await fc.assert(
      fc.asyncProperty(calls, async (all) => {
        await client.flushdb()
        const used = [0, 0, 0]
        for (const asked of all) {
          const after = [...used]
          for (const [at, wanted] of asked) after[at] = (after[at] ?? 0) + wanted
          const isRoomy = asked.every(([at]) => (after[at] ?? 0) <= (MOST[at] ?? 0))
          const results = await charge(asked)
          expect(results.map(({ granted }) => granted)).toEqual(asked.map(([, wanted]) => (isRoomy ? wanted : 0)))
          expect(results.every(({ code }) => code === 0)).toBe(isRoomy)
          if (isRoomy) used.splice(0, 3, ...after)
          const looks = await charge([0, 1, 2].map((at) => [at, 0] as const))
          expect(looks.map(({ left }) => left)).toEqual(MOST.map((most, at) => most - (used[at] ?? 0)))
        }
        for (const key of await client.keys('*')) expect(await client.pttl(key)).toBeGreaterThan(0)
      }),
      { numRuns: 30 },
    )
  })

  it('are charged once for a retry, and again where they were refused', async () => {
    const both = [
      [0, 2],
      [2, 5],
    ] as const
    const first = await charge(both, 'call-1')
    expect(first.map(({ granted }) => granted)).toEqual([2, 5])
    expect(await charge(both, 'call-1')).toEqual(first)
    const codes = async (id: string) =>
      (
        await charge(
          [
            [0, 1],
            [2, 5],
          ],
          id,
        )
      ).map(({ code }) => code)
    expect([await codes('call-2'), await codes('call-2')]).toEqual([
      [0, 8],
      [0, 8],
    ])
    expect((await charge([[0, 1]], 'call-2'))[0]).toMatchObject({ granted: 1, left: 0 })
  })

  it('follow each other on a cluster, where a script is of one slot', () => {
    const cluster = createTestEnvironment({ redis: () => ({ ...runner, isCluster: true }) })
    expect(redisquota.create(redisquota.config.parse({ quotas }), cluster).quotaTogether).toBeUndefined()
  })
})

describe('redisquota', () => {
  it('has no verdict while Redis is away', async () => {
    const own = await startRedis()
    const away = redisRunner(own.url)
    away.client.on('error', () => undefined)
    await away.client.ping()
    await own.kill()
    const env = createTestEnvironment({ redis: () => away.runner })
    const params = redisquota.config.parse({ quotas: [{ name: 'rq', maxAmount: 1, validDuration: '1s' }] })
    const instance: QuotaInstance = { name: 'rq.instance.prod', template: 'quota', fields: {} }
    const asked = redisquota.create(params, env).quota?.quota?.(instance, request(1), createCall(env))
    await expect(asked).rejects.toThrow()
    away.client.disconnect()
    await own.stop()
  })

  it('says that it needs a Redis, and takes over Mixer addresses', async () => {
    const urls: unknown[] = []
    const environments = [createTestEnvironment(), createTestEnvironment({ redis: (url) => (urls.push(url), runner) })]
    const instance: QuotaInstance = { name: 'rq.quota.prod', template: 'quota', fields: {} }
    const quotas = [{ name: 'rq.quota.prod', maxAmount: 1, validDuration: '1s' }]
    const asked = environments.map(async (env) => {
      const params = redisquota.config.parse({ redisServerUrl: 'redis.prod:6379', quotas })
      return await redisquota.create(params, env).quota?.quota?.(instance, request(1), createCall(env))
    })
    await expect(asked[0]).rejects.toMatchObject({ code: 'NOT_READY' })
    expect(await asked[1]).toMatchObject({ granted: 1 })
    expect(urls).toEqual([{ url: 'redis://redis.prod:6379' }])
  })

  it.each([
    [{ redisServerUrl: 'redis+cluster://a:1,b:2' }, undefined],
    [{ redisServerUrl: 'rediss+sentinel://a/main', redisSentinelPasswordFile: '/s' }, undefined],
    [{ redisServerUrl: 'redis:6379', redisPasswordFile: '/p' }, undefined],
    [{ redisServerUrl: 'http://u:S3CRET@a' }, ['redisServerUrl', 'must be host:port or a Redis URL']],
    [{ redisServerUrl: 'u:S3CR@ET@a:x' }, ['redisServerUrl', 'a port from 1 to 65535']],
    [{ redisPasswordFile: '/p' }, ['redisPasswordFile', 'is for the Redis that redisServerUrl names']],
    [{ redisServerUrl: 'redis://:S3CRET@a', redisPasswordFile: '/p' }, ['redisPasswordFile', 'give one of the two']],
    [{ redisServerUrl: 'a', redisSentinelPasswordFile: '/p' }, ['redisSentinelPasswordFile', 'redis+sentinel://']],
    [{ redisServerUrl: 'redis+sentinel://a/m', redisSentinelUser: 'u' }, ['redisSentinelUser', 'needs']],
  ])('takes the Redis %j, or says what is wrong', (server, problem) => {
    const issues = redisquota.validate?.(redisquota.config.parse(server)) ?? []
    expect(issues.map(({ path }) => path.join())).toEqual(problem === undefined ? [] : [problem[0]])
    if (problem !== undefined) expect(issues[0]?.message).toContain(problem[1])
    expect(issues.map(({ message }) => message).join()).not.toMatch(/S3CR/)
  })

  it('refuses windows that cannot be cut into buckets and names that stand twice', () => {
    const rolling = { name: 'a', maxAmount: 1, validDuration: '1h', rateLimitAlgorithm: 'ROLLING_WINDOW' }
    const quotas = [
      { ...rolling, bucketDuration: '2h' },
      { ...rolling, bucketDuration: '1s' },
    ]
    const paths = redisquota.validate?.(redisquota.config.parse({ quotas })).map(({ path }) => path.join('.'))
    expect(paths).toEqual(['quotas.1.name', 'quotas.0.bucketDuration', 'quotas.1.bucketDuration'])
  })
})
