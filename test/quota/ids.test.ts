// Ids of calls, which callers may choose: none of them passes for another one.

import { expect, it } from 'vitest'
import { MemoryLimits } from '../../src/quota/memory-limits.ts'
import { FakeClock } from '../helpers/clock.ts'

const rule = { algorithm: 'slidingWindow', amount: 5, windowMs: 60_000 } as const
const charges = (...keys: readonly string[]) => keys.map((key) => ({ key, rule, amount: 1 }))

it('an id that ends like a charge is another one', () => {
  const limits = new MemoryLimits({ clock: new FakeClock() })
  limits.charge(charges('a', 'b'), { mode: 'all', id: 'x' })
  expect(limits.charge(charges('b'), { mode: 'all', id: 'x a=1' })).toMatchObject([{ left: 3 }])
  expect(limits.charge(charges('a', 'b'), { mode: 'all', id: 'x' })).toMatchObject([{ left: 4 }, { left: 4 }])
})
