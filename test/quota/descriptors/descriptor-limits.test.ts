import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Limits } from '../../../src/adapter-kit/limits.ts'
import type { RateLimitAnswer, RateLimitDescriptor } from '../../../src/kernel/rate-limit.ts'
import { DescriptorLimits } from '../../../src/quota/descriptors/descriptor-limits.ts'
import { MemoryLimits } from '../../../src/quota/memory-limits.ts'
import { FakeClock } from '../../helpers/clock.ts'
import { ReadableMeter } from '../../redis/support.ts'
import { domainsOf, entries } from './domains.ts'

/** What answers from a config, without Redis. */
function serviceOf(text: string) {
  const clock = new FakeClock(Date.UTC(2026, 0, 15, 12, 0, 10))
  const domains = domainsOf(text)
  const meter = new ReadableMeter()
  const limits: Limits = new MemoryLimits({ clock })
  const service = new DescriptorLimits({
    domains: { domain: (name) => domains.get(name) },
    limits: () => limits,
    clock,
    meter,
  })
  const ask = (descriptors: readonly RateLimitDescriptor[], hitsAddend = 0, domain = 'd'): RateLimitAnswer => {
    const answer = service.shouldRateLimit({ domain, descriptors, hitsAddend }, { timeoutMs: 1_000 })
    if (answer instanceof Promise) throw new Error('nothing has to be awaited here')
    return answer
  }
  return { ask, clock, meter }
}

const said = ({ isOver, statuses }: RateLimitAnswer) => [
  isOver ? 'OVER' : 'OK',
  ...statuses.map((each) => `${each.isOver ? 'over' : 'ok'} ${each.limit?.requestsPerUnit ?? '-'} ${each.remaining}`),
]

const of = (...texts: readonly string[]): RateLimitDescriptor => ({ entries: entries(...texts) })

describe('rate limits by descriptors', () => {
  it('let pass what is within the limit, tell what is left and when the window ends, and begin anew with the next', async () => {
    const { ask, clock } = serviceOf(
      '{domain: d, descriptors: [{key: a, rate_limit: {unit: minute, requests_per_unit: 2}}]}',
    )
    expect(said(ask([of('a=1')]))).toEqual(['OK', 'ok 2 1'])
    expect(ask([of('a=1')]).statuses[0]).toMatchObject({ remaining: 0, resetSeconds: 50, isOver: false })
    expect(said(ask([of('a=1')]))).toEqual(['OVER', 'over 2 0'])
    expect(said(ask([of('a=2')]))).toEqual(['OK', 'ok 2 1'])
    await clock.advance(50_000)
    expect(ask([of('a=1')]).statuses[0]).toMatchObject({ remaining: 1, resetSeconds: 60 })
  })

  it('answer each descriptor by itself and in order, and count what is refused', () => {
    const { ask } = serviceOf(`
domain: d
descriptors:
  - {key: a, rate_limit: {unit: day, requests_per_unit: 1}}
  - {key: b, rate_limit: {unit: day, requests_per_unit: 3}}
  - {key: free, rate_limit: {unlimited: true}}
`)
    const all = [of('b=1'), of('unknown=1'), of('a=1'), of('free=1')]
    expect(said(ask(all))).toEqual(['OK', 'ok 3 2', 'ok - 0', 'ok 1 0', `ok - ${2 ** 32 - 1}`])
    expect(said(ask(all))).toEqual(['OVER', 'ok 3 1', 'ok - 0', 'over 1 0', `ok - ${2 ** 32 - 1}`])
    expect(said(ask(all))).toEqual(['OVER', 'ok 3 0', 'ok - 0', 'over 1 0', `ok - ${2 ** 32 - 1}`])
    expect(said(ask([of('b=1')]))).toEqual(['OVER', 'over 3 0'])
  })

  it('with "charge: all" charge a refused request nowhere', () => {
    const { ask } = serviceOf(`
domain: d
intermix: {charge: all}
descriptors:
  - {key: a, rate_limit: {unit: day, requests_per_unit: 1}}
  - {key: b, rate_limit: {unit: day, requests_per_unit: 3}}
  - {key: s, shadow_mode: true, rate_limit: {unit: day, requests_per_unit: 0}}
`)
    const all = [of('b=1'), of('a=1'), of('s=1')]
    expect(said(ask(all))).toEqual(['OK', 'ok 3 2', 'ok 1 0', 'ok 0 0'])
    expect(said(ask(all))).toEqual(['OVER', 'ok 3 2', 'over 1 0', 'ok 0 0'])
    expect(said(ask([of('b=1')], 2))).toEqual(['OK', 'ok 3 0'])
  })

  it('take the addend of the request, or of the descriptor, of which 0 looks', () => {
    const { ask } = serviceOf('{domain: d, descriptors: [{key: a, rate_limit: {unit: day, requests_per_unit: 10}}]}')
    expect(said(ask([of('a=1')], 4))).toEqual(['OK', 'ok 10 6'])
    expect(said(ask([{ ...of('a=1'), hitsAddend: 5 }], 4))).toEqual(['OK', 'ok 10 1'])
    expect(ask([{ ...of('a=1'), hitsAddend: 0 }], 4).statuses[0]).toMatchObject({ remaining: 1, isOver: false })
    expect(said(ask([of('a=1')], 4))).toEqual(['OVER', 'over 10 0'])
    expect(said(ask([{ ...of('a=1'), hitsAddend: 0 }]))).toEqual(['OVER', 'over 10 0'])
    expect(ask([{ ...of('a=new'), hitsAddend: 0 }]).statuses[0]).toMatchObject({ remaining: 10, resetSeconds: 43_190 })
  })

  it('count a descriptor that comes twice twice, each with what was left then', () => {
    const { ask } = serviceOf('{domain: d, descriptors: [{key: a, rate_limit: {unit: day, requests_per_unit: 3}}]}')
    expect(said(ask([of('a=1'), of('a=1')]))).toEqual(['OK', 'ok 3 2', 'ok 3 1'])
    expect(said(ask([of('a=1'), of('a=1')]))).toEqual(['OVER', 'ok 3 0', 'over 3 0'])
    expect(said(ask([of('a=2'), { ...of('a=2'), hitsAddend: 0 }]))).toEqual(['OK', 'ok 3 2', 'ok 3 2'])
  })

  it('tell of each of two limits on one counter what is left of it', () => {
    const text = (charge: string) => `{domain: d, intermix: {charge: ${charge}}, descriptors: [{key: b}]}`
    const own = (requestsPerUnit: number) => ({ ...of('a=1'), limit: { requestsPerUnit, unit: 'hour' } }) as const
    const counting = serviceOf(text('count'))
    expect(said(counting.ask([own(7), own(4)]))).toEqual(['OK', 'ok 7 6', 'ok 4 2'])
    expect(said(counting.ask([own(4), own(7), own(4)]))).toEqual(['OVER', 'ok 4 1', 'ok 7 3', 'over 4 0'])
    const together = serviceOf(text('all'))
    expect(said(together.ask([own(7), own(4)], 2))).toEqual(['OK', 'ok 7 3', 'ok 4 0'])
    expect(said(together.ask([own(7), own(4)]))[0]).toBe('OVER')
    expect(said(together.ask([own(7)]))).toEqual(['OK', 'ok 7 2'])
  })

  it('use the limit that comes with a descriptor, in a domain that is known', () => {
    const { ask } = serviceOf(
      '{domain: d, descriptors: [{key: a, shadow_mode: true, rate_limit: {unit: day, requests_per_unit: 9}}]}',
    )
    const own = { ...of('a=1'), limit: { requestsPerUnit: 1, unit: 'hour' } } as const
    expect(ask([own]).statuses[0]).toMatchObject({ limit: { requestsPerUnit: 1, unit: 'hour' }, isOver: false })
    expect(said(ask([own]))).toEqual(['OVER', 'over 1 0'])
    expect(said(ask([own], 0, 'other'))).toEqual(['OK', 'ok - 0'])
    expect(() => ask([{ ...own, limit: { requestsPerUnit: 1, unit: undefined } }])).toThrow(
      'the limit of descriptor 0 has no unit that is known here',
    )
  })

  it('let pass what is over a limit in shadow mode, and count it', () => {
    const { ask, meter } = serviceOf(
      '{domain: d, descriptors: [{key: a, shadow_mode: true, rate_limit: {unit: day, requests_per_unit: 1}}]}',
    )
    ask([of('a=1')])
    expect(said(ask([of('a=1')]))).toEqual(['OK', 'ok 1 0'])
    expect(meter.values.get('rate_limit_hits_total d a within')).toBe(1)
    expect(meter.values.get('rate_limit_hits_total d a shadow')).toBe(1)
  })

  it('in quota mode refuse only where all of them do', () => {
    const { ask } = serviceOf(`
domain: d
descriptors:
  - {key: a, quota_mode: true, rate_limit: {unit: day, requests_per_unit: 1}}
  - {key: b, quota_mode: true, rate_limit: {unit: day, requests_per_unit: 2}}
  - {key: c, rate_limit: {unit: day, requests_per_unit: 3}}
`)
    const all = [of('a=1'), of('b=1')]
    expect(said(ask(all))).toEqual(['OK', 'ok 1 0', 'ok 2 1'])
    expect(said(ask(all))).toEqual(['OK', 'over 1 0', 'ok 2 0'])
    expect(said(ask(all))).toEqual(['OVER', 'over 1 0', 'over 2 0'])
    for (const left of [2, 1, 0]) expect(said(ask([of('c=1')]))).toEqual(['OK', `ok 3 ${left}`])
    expect(said(ask([of('a=2'), of('c=1')]))).toEqual(['OVER', 'ok 1 0', 'over 3 0'])
  })

  it('leave out limits that another one replaces', () => {
    const { ask } = serviceOf(`
domain: d
descriptors:
  - {key: a, rate_limit: {name: general, unit: day, requests_per_unit: 1}}
  - {key: b, rate_limit: {unit: day, requests_per_unit: 9, replaces: [{name: general}]}}
  - {key: free, rate_limit: {unlimited: true, replaces: [{name: general}]}}
`)
    expect(said(ask([of('a=1'), of('b=1')]))).toEqual(['OK', 'ok - 0', 'ok 9 8'])
    expect(said(ask([of('a=1'), of('free=1')]))).toEqual(['OK', 'ok - 0', `ok - ${2 ** 32 - 1}`])
    expect(said(ask([of('a=1')]))).toEqual(['OK', 'ok 1 0'])
  })

  it('tell which limit is nearest: one that refuses, else the one with the least left', () => {
    const { ask } = serviceOf(`
domain: d
descriptors:
  - {key: a, rate_limit: {unit: day, requests_per_unit: 5}}
  - {key: b, rate_limit: {unit: day, requests_per_unit: 3}}
`)
    expect(ask([of('a=1'), of('b=1'), of('c=1')]).nearest).toMatchObject({
      limit: { requestsPerUnit: 3 },
      remaining: 2,
    })
    expect(ask([of('a=1'), of('b=2')], 5).nearest).toMatchObject({ limit: { requestsPerUnit: 3 }, remaining: 0 })
    expect(ask([of('c=1')]).nearest).toBeUndefined()
  })

  it('count hits near limits, and calls for domains that nobody knows', () => {
    const { ask, meter } = serviceOf(
      '{domain: d, descriptors: [{key: a, rate_limit: {unit: day, requests_per_unit: 10}}]}',
    )
    ask([of('a=1')], 9)
    ask([of('a=1')], 3)
    ask([of('a=1')], 0, 'other')
    expect(meter.values.get('rate_limit_hits_total d a within')).toBe(10)
    expect(meter.values.get('rate_limit_hits_total d a over')).toBe(2)
    expect(meter.values.get('rate_limit_near_hits_total d a')).toBe(2)
    expect(meter.values.get('rate_limit_unknown_domains_total')).toBe(1)
  })

  it('refuse what is no demand', () => {
    const { ask } = serviceOf('{domain: d, descriptors: []}')
    expect(() => ask([of('a=1')], 0, '')).toThrow('the domain is empty')
    expect(() => ask([])).toThrow('there are no descriptors')
    expect(() => ask([{ entries: [] }])).toThrow('descriptor 0 has no entries')
  })

  it('answer as counters of their own would, whatever comes', () => {
    const descriptor = fc.record({ value: fc.constantFrom('x', 'y'), key: fc.constantFrom('a', 'b'), hits: fc.nat(4) })
    fc.assert(
      fc.property(fc.array(fc.array(descriptor, { minLength: 1, maxLength: 4 }), { maxLength: 12 }), (requests) => {
        const { ask } = serviceOf(`
domain: d
descriptors:
  - {key: a, rate_limit: {unit: day, requests_per_unit: 4}}
  - {key: b, value: '*', share_threshold: true, rate_limit: {unit: day, requests_per_unit: 9}}
`)
        const counts = new Map<string, number>()
        for (const request of requests) {
          const expected = request.map(({ key, value, hits }) => {
            const counter = key === 'a' ? `a=${value}` : 'b'
            const most = key === 'a' ? 4 : 9
            const after = (counts.get(counter) ?? 0) + hits
            counts.set(counter, after)
            return after > most ? `over ${most} 0` : `ok ${most} ${most - after}`
          })
          const answer = ask(request.map(({ key, value, hits }) => ({ ...of(`${key}=${value}`), hitsAddend: hits })))
          const isOver = expected.some((text) => text.startsWith('over'))
          expect(said(answer)).toEqual([isOver ? 'OVER' : 'OK', ...expected])
        }
      }),
    )
  })
})
