import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { QuotaInstance } from '../../src/adapter-kit/instance.ts'
import { createCall, createTestEnvironment, ManualClock } from '../../src/adapter-kit/test-environment.ts'
import memquota from '../../src/adapters/memquota/index.ts'

const request = (amount: number, bestEffort = false, deduplicationId = '') => ({ amount, bestEffort, deduplicationId })

function quotaOf(params: object) {
  const clock = new ManualClock()
  const env = createTestEnvironment({ clock })
  const handler = memquota.create(memquota.config.parse(params), env)
  const ask = (
    asked: ReturnType<typeof request>,
    dimensions: Record<string, string> = {},
    name = 'rq.instance.prod',
  ) => {
    const instance: QuotaInstance = { name, template: 'quota', fields: { dimensions } }
    const result = handler.quota?.quota(instance, asked, createCall(env))
    if (result === undefined || result instanceof Promise) throw new Error('an answer at once was expected')
    return result
  }
  return { clock, ask }
}

const rate = (extra: object = {}) => ({ quotas: [{ name: 'rq', maxAmount: 10, validDuration: '5s' }], ...extra })

describe('memquota', () => {
  it('grants up to the maximum within the window and again when it has rolled on', async () => {
    const { ask, clock } = quotaOf(rate())
    expect(ask(request(6))).toEqual({ status: { code: 0, message: '' }, granted: 6, validForMs: 5_000 })
    await clock.advance(2_500)
    expect(ask(request(6))).toMatchObject({ status: { code: 8 }, granted: 0 })
    expect(ask(request(6, true))).toMatchObject({ status: { code: 0 }, granted: 4 })
    await clock.advance(2_700)
    expect(ask(request(9, true)).granted).toBe(6)
    expect(ask(request(0)).status.code).toBe(0)
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

  it('keeps allocations until they are given back', async () => {
    const { ask, clock } = quotaOf({ quotas: [{ name: 'rq', maxAmount: 3 }] })
    expect(ask(request(3))).toEqual({ status: { code: 0, message: '' }, granted: 3, validForMs: 0 })
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
})
