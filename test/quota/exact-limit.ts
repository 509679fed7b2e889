// An exact limit behind all nodes, which sees what they granted when they granted it.

import type { LimitRule } from '../../src/adapter-kit/limits.ts'
import { MemoryLimits } from '../../src/quota/memory-limits.ts'
import { FakeClock } from '../helpers/clock.ts'
import type { Grant } from './simulated-nodes.ts'

/** What it would have refused of these grants, in order of time. `MemoryLimits` is held against a log elsewhere. */
export function overshootOf(rule: LimitRule, grants: readonly Grant[]): number {
  let now = 0
  const limits = new MemoryLimits({ clock: Object.assign(new FakeClock(), { now: () => now }) })
  let over = 0
  for (const { at, amount } of grants) {
    now = at
    over += amount - (limits.charge([{ key: 'k', rule, amount }], { mode: 'part' })[0]?.granted ?? 0)
  }
  return over
}
