import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import type { QuotaInstance } from '../../src/adapter-kit/templates.ts'
import { createCall, createTestEnvironment, ManualClock } from '../../src/adapter-kit/test-environment.ts'
import memquota from '../../src/adapters/memquota/index.ts'
import { RollingWindow } from '../../src/adapters/memquota/rolling-window.ts'
import { ReadableMeter } from '../redis/support.ts'

const request = (amount: number, bestEffort = false, deduplicationId = '') => ({ amount, bestEffort, deduplicationId })

function quotaOf(params: object, meter = new ReadableMeter()) {
  const clock = new ManualClock()
  const env = { ...createTestEnvironment({ clock }), meter }
  const handler = memquota.create(memquota.config.parse(params), env)
  const ask = (
    asked: ReturnType<typeof request>,
    dimensions: Record<string, string> = {},
    name = 'rq.instance.prod',
  ) => {
    const instance: QuotaInstance = { name, template: 'quota', fields: { dimensions } }
    const result = handler.quota?.quota?.(instance, asked, createCall(env))
    if (result === undefined || result instanceof Promise) throw new Error('an answer at once was expected')
    return result
  }
  const together = (...names: readonly string[]) => {
    const charges = names.map((name) => {
      const fields = { dimensions: {} }
      return { instance: { name: `${name}.instance.prod`, template: 'quota', fields } as const, request: request(1) }
    })
    const results = handler.quotaTogether?.['quota']?.(charges, createCall(env))
    if (results === undefined || results instanceof Promise) throw new Error('an answer at once was expected')
    return results.map(({ granted }) => granted)
  }
  const reset = (dimensions: Record<string, string>) => {
    const instance: QuotaInstance = { name: 'rq.instance.prod', template: 'quota', fields: { dimensions } }
    return handler.quotaReset?.['quota']?.(instance)
  }
  return { clock, ask, together, reset }
}

const rate = (extra: object = {}) => ({ quotas: [{ name: 'rq', maxAmount: 10, validDuration: '5s' }], ...extra })

describe('memquota', () => {
  it('forgets what was charged to a counter', () => {
    const { ask, reset } = quotaOf(rate())
    ask(request(10), { user: 'a' })
    ask(request(10), { user: 'b' })
    expect([reset({ user: 'a' }), reset({ user: 'a' })]).toEqual([1, 0])
    expect([ask(request(1), { user: 'a' }).granted, ask(request(1), { user: 'b' }).granted]).toEqual([1, 0])
  })

  it('grants up to the maximum within the window and again when it has rolled on', async () => {
    const { ask, clock } = quotaOf(rate())
    expect(ask(request(6))).toMatchObject({ status: { code: 0, message: '' }, granted: 6, validForMs: 5_000 })
    await clock.advance(2_500)
    expect(ask(request(6))).toMatchObject({ status: { code: 8 }, granted: 0 })
    expect(ask(request(6, true))).toMatchObject({ status: { code: 0 }, granted: 4 })
    await clock.advance(2_700)
    expect(ask(request(9, true)).granted).toBe(6)
    expect(ask(request(0)).status.code).toBe(0)
  })

  it('says how the limit stands, and when what it refused can be granted', async () => {
    const { ask, clock } = quotaOf(rate())
    const limit = { name: 'rq', amount: 10, windowMs: 5_000, usableMs: 500 }
    expect(ask(request(4)).limits).toEqual([{ ...limit, left: 6, resetMs: 5_100, retryAfterMs: 0 }])
    await clock.advance(1_000)
    expect(ask(request(6)).limits).toEqual([{ ...limit, left: 0, resetMs: 5_100, retryAfterMs: 0 }])
    expect(ask(request(0)).limits).toEqual([{ ...limit, left: 0, resetMs: 5_100, retryAfterMs: 0 }])
    expect(ask(request(4)).limits).toEqual([{ ...limit, left: 0, resetMs: 5_100, retryAfterMs: 4_100 }])
    expect(ask(request(5)).limits).toEqual([{ ...limit, left: 0, resetMs: 5_100, retryAfterMs: 5_100 }])
    expect(ask(request(11)).limits?.[0]?.retryAfterMs).toBe(Number.POSITIVE_INFINITY)
    await clock.advance(4_100)
    expect(ask(request(4)).granted).toBe(4)
  })

  it('charges what belongs together, or nothing of it', async () => {
    const quota = (name: string, maxAmount: number) => ({ name, maxAmount, validDuration: '5s' })
    const { together } = quotaOf({ quotas: [quota('one', 3), quota('two', 1), quota('three', 2)], maxCounters: 2 })
    expect(together('one', 'two')).toEqual([1, 1])
    for (let each = 0; each < 5; each++) expect(together('one', 'two')).toEqual([0, 0])
    expect(() => together('one', 'three')).toThrow(expect.objectContaining({ code: 'OVERLOADED' }))
    expect(together('one', 'one')).toEqual([1, 1])
    expect(together('one', 'two')).toEqual([0, 0])
  })

  it('never grants more than the maximum within any window', async () => {
    const step = fc.record({ wait: fc.nat(3_000), amount: fc.nat(12), bestEffort: fc.boolean() })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const { ask, clock } = quotaOf(rate())
        const grants: { at: number; granted: number }[] = []
        for (const { wait, amount, bestEffort } of steps) {
          await clock.advance(wait)
          const at = clock.monotonic()
          grants.push({ at, granted: ask(request(amount, bestEffort)).granted })
          const recent = grants.filter((grant) => grant.at > at - 5_000)
          expect(recent.reduce((sum, grant) => sum + grant.granted, 0)).toBeLessThanOrEqual(10)
          // What left the window two ticks ago is free again.
          const near = grants.filter((grant) => grant.at > at - 5_200)
          const free = 10 - near.reduce((sum, grant) => sum + grant.granted, 0)
          const isShort = free > 0 && ask(request(free)).granted !== free
          expect(isShort).toBe(false)
          if (free > 0) grants.push({ at, granted: free })
        }
      }),
      { numRuns: 50 },
    )
  })

  it('charges a repeated deduplication id once, for a while', async () => {
    const { ask, clock } = quotaOf(rate({ minDeduplicationDuration: '1s' }))
    const first = ask(request(6, false, 'a'))
    await clock.advance(900)
    expect(ask(request(6, false, 'a'))).toEqual(first)
    expect(ask(request(5, true, 'b')).granted).toBe(4)
    await clock.advance(2_000)
    expect(ask(request(6, false, 'a')).granted).toBe(0)
  })

  it('takes a look for no call that is repeated, and grants no more than is asked', () => {
    const { ask } = quotaOf(rate({ minDeduplicationDuration: '1s' }))
    expect(ask(request(0, false, 'a')).granted).toBe(0)
    expect(ask(request(6, false, 'a')).granted).toBe(6)
    expect(ask(request(2, false, 'a')).granted).toBe(2)
    expect(ask(request(0, false, 'a')).limits?.[0]?.left).toBe(4)
  })

  it('keeps allocations until they are given back', async () => {
    const { ask, clock } = quotaOf({ quotas: [{ name: 'rq', maxAmount: 3 }] })
    expect(ask(request(3))).toMatchObject({ status: { code: 0, message: '' }, granted: 3, validForMs: 0 })
    await clock.advance(3_600_000)
    expect(ask(request(1)).granted).toBe(0)
    expect(ask(request(-2))).toMatchObject({ status: { code: 0 }, granted: -2 })
    expect(ask(request(5, true)).granted).toBe(2)
    ask(request(-100))
    expect(ask(request(5, true)).granted).toBe(3)
  })

  it('gives nothing back to a rate limit', () => {
    expect(quotaOf(rate()).ask(request(-1)).status.code).toBe(3)
  })

  it('counts by dimensions, with the first override that matches', () => {
    const overrides = [
      { dimensions: { plan: 'free', user: 'vip' }, maxAmount: 5, validDuration: '1s' },
      { dimensions: { plan: 'free' }, maxAmount: 2, validDuration: '1s' },
    ]
    const { ask } = quotaOf({ quotas: [{ name: 'rq', maxAmount: 10, validDuration: '1s', overrides }] })
    expect(ask(request(20, true), { plan: 'free', user: 'vip' }).granted).toBe(5)
    expect(ask(request(20, true), { plan: 'free', user: 'x' }).granted).toBe(2)
    expect(ask(request(20, true), { user: 'x', plan: 'free' }).granted).toBe(0)
    expect(ask(request(20, true), {}).granted).toBe(10)
  })

  it('finds a quota by its short, namespaced, old or full name, and has no verdict for others', () => {
    for (const name of ['rq', 'rq.prod', 'rq.quota.prod', 'rq.instance.prod']) {
      expect(quotaOf({ quotas: [{ name, maxAmount: 1 }] }).ask(request(1)).granted).toBe(1)
    }
    const other = quotaOf({ quotas: [{ name: 'rq.test', maxAmount: 1 }] })
    expect(() => other.ask(request(1))).toThrow(expect.objectContaining({ code: 'INVALID_CONFIG' }))
  })

  it('bounds its counters: idle ones make room, and with none idle there is no verdict', async () => {
    const { ask, clock } = quotaOf({ ...rate(), maxCounters: 2 })
    ask(request(1), { user: 'a' })
    ask(request(1), { user: 'b' })
    expect(() => ask(request(1), { user: 'c' })).toThrow(expect.objectContaining({ code: 'OVERLOADED' }))
    await clock.advance(6_000)
    expect(ask(request(1), { user: 'c' }).granted).toBe(1)
  })

  describe('with callers that choose the keys', () => {
    it('looks at a few counters for each new key, however many there are', () => {
      const used = vi.spyOn(RollingWindow.prototype, 'used')
      const { ask } = quotaOf({ ...rate(), maxCounters: 1_000 })
      for (let i = 0; i < 1_000; i++) ask(request(1), { user: `u${i}` })
      used.mockClear()
      for (let i = 0; i < 1_000; i++) expect(() => ask(request(1), { user: `more ${i}` })).toThrow('in use')
      expect(used.mock.calls.length).toBeLessThan(5_000)
      used.mockRestore()
    })

    it('counts what it refuses, and gives nobody a fresh quota to make room', async () => {
      const meter = new ReadableMeter()
      const { ask, clock } = quotaOf({ ...rate(), maxCounters: 3 }, meter)
      expect(ask(request(10), { user: 'victim' }).granted).toBe(10)
      for (let i = 0; i < 100; i++) {
        await clock.advance(10)
        try {
          ask(request(1), { user: `flood ${i}` })
        } catch {
          // All counters are in use.
        }
      }
      expect(ask(request(1), { user: 'victim' }).status.code).toBe(8)
      expect(meter.value('memquota_refused_total', 'test.handler.default')).toBe(98)
    })

    it('keeps no counter for what was not granted or has been given back', () => {
      const { ask } = quotaOf({ quotas: [{ name: 'rq', maxAmount: 3 }], maxCounters: 1 })
      for (let i = 0; i < 10; i++) {
        expect(ask(request(4), { user: `greedy ${i}` }).granted).toBe(0)
        expect(ask(request(3), { user: `honest ${i}` }).granted).toBe(3)
        ask(request(-3), { user: `honest ${i}` })
      }
    })

    it('lets idle counters of each window go, whatever other windows hold', async () => {
      const overrides = [{ dimensions: { plan: 'slow' }, maxAmount: 2, validDuration: '1h' }]
      const quotas = [{ name: 'rq', maxAmount: 10, validDuration: '1s', overrides }]
      const { ask, clock } = quotaOf({ quotas, maxCounters: 4 })
      for (const user of ['a', 'b']) ask(request(1), { plan: 'slow', user })
      for (let round = 0; round < 5; round++) {
        for (const user of ['c', 'd']) expect(ask(request(1), { user: `${user}${round}` }).granted).toBe(1)
        expect(() => ask(request(1), { user: 'e' })).toThrow('in use')
        await clock.advance(1_200)
      }
      expect(ask(request(2), { plan: 'slow', user: 'a' }).granted).toBe(0)
    })
  })
})
