// All counters of a process are in use, by keys that callers choose: limits that have their counter hold on.

import { expect, it } from 'vitest'
import { MemoryLimits } from '../../src/quota/memory-limits.ts'
import { FakeClock } from '../helpers/clock.ts'

const rule = { algorithm: 'fixedWindow', amount: 2, windowMs: 86_400_000, from: 'epoch' } as const
const charges = (...keys: readonly string[]) => keys.map((key) => ({ key, rule, amount: 1 }))

it('refuses who is over a limit although another one has no counter', () => {
  const limits = new MemoryLimits({ clock: new FakeClock(), maxCounters: 4 })
  const exceeded = (mode: 'count' | 'each', ...keys: readonly string[]) =>
    limits.charge(charges(...keys), { mode }).map(({ isExceeded }) => isExceeded)
  expect(exceeded('count', 'ip', 'key-1')).toEqual([false, false])
  expect(exceeded('count', 'key-2', 'ip')).toEqual([false, false])
  expect(exceeded('count', 'ip', 'key-3')).toEqual([true, false])
  for (const mode of ['count', 'each'] as const) expect(exceeded(mode, 'key-4', 'ip')).toEqual([true, true])
  // Nothing that is known refuses: who asks decides.
  expect(() => exceeded('count', 'key-1', 'key-4')).toThrow('all counters of this process are in use')
  expect(() => limits.charge(charges('ip', 'key-4'), { mode: 'all' })).toThrow(
    'all counters of this process are in use',
  )
  expect(exceeded('count', 'key-1')).toEqual([true])
})
