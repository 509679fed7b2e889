// The pool by itself: Mixer's way in short, and where it is mended.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DEFAULT_PREFETCH, MIXER_PREFETCH, type PrefetchOptions } from '../../../src/client/quotas/prefetch-options.ts'
import { type Lease, QuotaPrefetch } from '../../../src/client/quotas/quota-prefetch.ts'
import { checksOf, play, type TraceStep } from './mixer-client.ts'
import { bounded } from './support.ts'

const check = (t: number, amount: number, passed: boolean, alloc: number | null): TraceStep => ({
  op: 'check',
  t_ms: t,
  amount,
  passed,
  alloc,
})
const reply = (t: number, request: number, granted: number, validMs: number): TraceStep => ({
  op: 'response',
  t_ms: t,
  granted,
  valid_ms: validMs,
  for_request: request,
})

describe('the pool with the constants of Mixer', () => {
  it.each<[string, readonly TraceStep[]]>([
    [
      'spends ahead of the first grant, and asks for more below half',
      [
        check(0, 1, true, 10),
        reply(5, 10, 10, 10_000),
        ...[6, 7, 8, 9, 10].map((t) => check(t, 1, true, null)),
        check(11, 1, true, 10),
      ],
    ],
    [
      'asks nobody for half a second after a refusal',
      [
        check(0, 1, true, 10),
        reply(5, 10, 0, 1_000),
        check(6, 1, false, null),
        check(499, 1, false, null),
        check(500, 1, false, 10),
        reply(510, 10, 10, 1_000),
        check(511, 1, true, null),
      ],
    ],
    [
      'grants all of an amount or nothing',
      [
        check(0, 1, true, 10),
        reply(1, 10, 5, 1_000),
        check(2, 5, false, null),
        check(3, 4, true, null),
        check(4, 1, false, null),
      ],
    ],
  ])('%s', (_, steps) => {
    expect(play(steps)).toEqual(checksOf(steps))
  })
})

describe('the pool, mended', () => {
  const pool = (options: PrefetchOptions) => new QuotaPrefetch(options, () => 0.5, 0)
  const demand = (of: QuotaPrefetch, amount: number, now: number) => {
    const lease = of.refill(amount, now)
    of.note(amount, now)
    return { lease, isGranted: of.spend(amount, now) }
  }
  const full = (lease: Lease, now: number) => ({ granted: lease.amount, from: now, validForMs: 1_000 })

  it('asks again when a reply is lost, and holds what comes late', () => {
    const of = pool(DEFAULT_PREFETCH)
    const first = demand(of, 1, 0).lease as Lease
    of.granted(first, { granted: 0, from: 0, validForMs: 0 }, 1)
    const probe = demand(of, 1, 200).lease as Lease
    expect(probe).toBeDefined()
    expect(demand(of, 1, 699).lease).toBeUndefined()
    expect(of.refuses(1, 699)).toBe(true)
    expect(demand(of, 1, 700).lease).toBeDefined()
    of.granted(probe, { granted: 3, from: 650, validForMs: 1_000 }, 701)
    expect(of.available(701)).toBe(3)
  })

  it('spends no more than the bound while nobody answers', () => {
    const of = pool(bounded(25))
    let granted = 0
    for (let now = 0; now < 300_000; now += 10) if (demand(of, 1, now).isGranted) granted++
    expect(granted).toBe(25)
  })

  it('takes what was spent and not granted from later grants', () => {
    const of = pool(bounded(10))
    const first = demand(of, 8, 0).lease as Lease
    of.granted(first, { granted: 0, from: 0, validForMs: 1_000 }, 1)
    const second = demand(of, 1, 600).lease as Lease
    of.granted(second, full(second, 601), 601)
    expect(of.available(601)).toBe(2)
  })

  it('leases no more than the most at once', () => {
    const of = pool({ ...DEFAULT_PREFETCH, maxAmount: 20 })
    of.note(1_000, 0)
    expect(of.refill(1, 1)?.amount).toBe(20)
    expect(pool({ ...DEFAULT_PREFETCH, maxAmount: 20 }).refill(21, 0)).toBeUndefined()
  })

  it('leases no more than can be spent before it ends', () => {
    for (const [base, amount] of [
      [DEFAULT_PREFETCH, 10],
      [MIXER_PREFETCH, 600],
    ] as const) {
      const of = pool(base)
      const first = of.refill(1, 0) as Lease
      of.granted(first, { granted: first.amount, from: 0, validForMs: 50 }, 0)
      of.note(600, 10)
      expect(of.refill(1, 60)?.amount).toBe(amount)
    }
  })

  it('takes what is valid for no time', () => {
    const of = pool(MIXER_PREFETCH)
    of.granted(of.refill(1, 0) as Lease, { granted: 10, from: 0, validForMs: 0 }, 0)
    expect(of.refill(1, 1)?.amount).toBe(10)
  })

  it('has one lease under way', () => {
    const of = pool(DEFAULT_PREFETCH)
    expect(demand(of, 1, 0).lease).toBeDefined()
    expect(demand(of, 1, 1)).toEqual({ lease: undefined, isGranted: false })
    expect(of.refuses(1, 1)).toBe(false)
  })

  it('asks again when it is worth to, and at most a while later', () => {
    for (const [retryAfterMs, closedMs] of [
      [40, 40],
      [5_000, 100],
      [undefined, 100],
    ] as const) {
      const of = pool(DEFAULT_PREFETCH)
      const retry = retryAfterMs === undefined ? {} : { retryAfterMs }
      of.granted(demand(of, 1, 0).lease as Lease, { granted: 0, from: 0, validForMs: 0, ...retry }, 10)
      expect(of.refuses(1, 10 + closedMs - 1)).toBe(true)
      expect(of.refuses(1, 10 + closedMs)).toBe(false)
    }
  })

  it('refuses from memory only as much as was refused', () => {
    const of = pool(DEFAULT_PREFETCH)
    of.granted(demand(of, 5, 0).lease as Lease, { granted: 0, from: 0, validForMs: 0, refusedFrom: 5 }, 10)
    expect([5, 4].map((amount) => of.refuses(amount, 20))).toEqual([true, false])
  })

  it('spends no more than was granted and the bound, whatever comes of the replies', () => {
    const step = fc.record({
      waitMs: fc.constantFrom(0, 1, 7, 60, 300, 900),
      amount: fc.integer({ min: 1, max: 12 }),
      what: fc.constantFrom('demand', 'demand', 'demand', 'grant', 'fail', 'abandon', 'part'),
      which: fc.nat(5),
      share: fc.double({ min: 0, max: 1, noNaN: true }),
      validForMs: fc.constantFrom(0, 50, 500, 5_000),
    })
    const options = fc.record({
      base: fc.constantFrom(DEFAULT_PREFETCH, MIXER_PREFETCH),
      maxOptimistic: fc.constantFrom(0, 3, 30),
      leaseTimeoutMs: fc.constantFrom(100, 500),
    })
    fc.assert(
      fc.property(options, fc.array(step, { maxLength: 120 }), ({ base, ...own }, steps) => {
        const of = pool({ ...base, ...own })
        const waiting: Lease[] = []
        let now = 0
        let spent = 0
        let granted = 0
        for (const { waitMs, amount, what, which, share, validForMs } of steps) {
          now += waitMs
          if (what === 'demand' || what === 'part') {
            const { lease, isGranted } = demand(of, amount, now)
            if (isGranted) spent += amount
            else if (what === 'part') spent += of.spendMost(amount, now)
            if (lease !== undefined) waiting.push(lease)
          } else {
            // Any of those that wait, also one that was given up: replies overtake each other and come late.
            const [lease] = waiting.splice(which % Math.max(1, waiting.length), 1)
            if (lease === undefined) continue
            if (what === 'fail') of.failed(lease, now)
            else if (what === 'abandon') of.abandon(lease, now)
            else {
              const told = Math.round(lease.amount * share)
              granted += told
              of.granted(lease, { granted: told, from: lease.askedAt, validForMs }, now)
            }
          }
          expect(spent).toBeLessThanOrEqual(granted + own.maxOptimistic)
          expect(of.available(now)).toBeGreaterThanOrEqual(0)
        }
      }),
      { numRuns: 2_000 },
    )
  })
})
