// Callers choose how many counters are owed for: what that costs has a bound.

import { expect, it } from 'vitest'
import { IntermixError } from '../../src/kernel/errors.ts'
import type { Debt } from '../../src/quota/away-debts.ts'
import { QuotaMetrics } from '../../src/quota/quota-metrics.ts'
import { Settling } from '../../src/quota/settling.ts'
import { FakeClock } from '../helpers/clock.ts'
import { KeptLog, ReadableMeter } from '../redis/support.ts'

const rule = { algorithm: 'fixedWindow', amount: 5, windowMs: 86_400_000, from: 'epoch' } as const

function settlingOf(count: number) {
  const clock = new FakeClock()
  let looks = 0
  let takes = 0
  let isAnswering = false
  const debt = (at: number): Debt => {
    const charge = {
      rule,
      amount: 1 + (at % 2),
      get key() {
        looks++
        return `k${at >> 1}`
      },
    }
    return { charge, place: '', until: clock.now() + 1_000_000 }
  }
  const settling = new Settling({
    away: { isOwing: true, take: () => (takes++, Array.from({ length: count }, (_, at) => debt(at))) },
    shared: {
      charge: (charges) =>
        isAnswering
          ? Promise.resolve(
              charges.map(() => ({ granted: 0, isExceeded: false, left: 1, resetMs: 0, retryAfterMs: 0, window: 0 })),
            )
          : Promise.reject(new IntermixError('REDIS_UNAVAILABLE', 'away')),
    },
    link: { state: () => 'up', onUp: () => () => undefined },
    clock,
    log: new KeptLog(),
    metrics: new QuotaMetrics(new ReadableMeter(), 'limits'),
    onHeard: () => undefined,
  })
  return { settling, answer: () => void (isAnswering = true), looks: () => looks, takes: () => takes }
}

it('knows what is not paid of a counter without looking through all debts', async () => {
  const { settling, answer, looks } = settlingOf(1_000)
  await settling.settle()
  const before = looks()
  expect([settling.unpaid('k0'), settling.unpaid('k499'), settling.unpaid('none')]).toEqual([3, 3, 0])
  expect(looks()).toBe(before)
  await settling.settle()
  expect(settling.unpaid('k0')).toBe(6)
  answer()
  await settling.settle()
  expect(settling.unpaid('k0')).toBe(0)
})

it('takes over no more debts than it pays', async () => {
  const { settling, takes } = settlingOf(6_000)
  for (let round = 0; round < 5; round++) await settling.settle()
  expect(takes()).toBe(2)
  expect(settling.unpaid('k0')).toBe(6)
})
