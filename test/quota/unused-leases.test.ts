// Callers choose how many counters there are of which something is held: giving it back leaves Redis time for others.

import { expect, it } from 'vitest'
import type { LimitCharge } from '../../src/adapter-kit/limits.ts'
import { Lease } from '../../src/quota/lease.ts'
import { QuotaMetrics } from '../../src/quota/quota-metrics.ts'
import { UnusedLeases } from '../../src/quota/unused-leases.ts'
import { FakeClock } from '../helpers/clock.ts'
import { ReadableMeter } from '../redis/support.ts'

const rule = { algorithm: 'slidingWindow', amount: 100, windowMs: 60_000 } as const
const outcome = { granted: 2, isExceeded: false, left: 98, resetMs: 100_000, retryAfterMs: 0, window: 1 }

it('gives back what many counters have a part at a time', async () => {
  const clock = new FakeClock()
  let given = 0
  const unused = new UnusedLeases({
    shared: { charge: (charges) => ((given += charges.length), Promise.resolve(charges.map(() => outcome))) },
    link: { state: () => 'up' },
    clock,
    metrics: new QuotaMetrics(new ReadableMeter(), 'limits'),
    onKept: () => undefined,
  })
  for (let each = 0; each < 12_000; each++) {
    const lease = new Lease()
    const charge: LimitCharge = { key: `k${each}`, rule, amount: 1, accuracy: 0.1 }
    lease.took(1, rule, outcome, clock.monotonic(), clock.monotonic())
    unused.watch(charge, lease)
  }
  const parts: number[] = []
  for (let sweeps = 0; sweeps < 20; sweeps++) {
    const before = given
    await clock.advance(250)
    if (given > before) parts.push(given - before)
  }
  expect(parts).toEqual(Array.from({ length: 10 }, () => 1_000))
})
