// A counter as operators get to see it.

import type { LimitStanding } from '../../adapter-kit/define-adapter.ts'
import { mostOf } from '../algorithms/index.ts'
import type { UsedCounter } from './quota-usage.ts'

export interface CounterView {
  readonly handler: string
  readonly limit: string
  /** What tells it from others of its limit. */
  readonly values: Readonly<Record<string, string>>
  /** Most that can be used at once. */
  readonly amount: number
  /** Milliseconds; absent where it is no matter of time. */
  readonly windowMs?: number
  readonly used: number
  /** Below 0 where more was counted than is allowed. */
  readonly left: number
  /** Milliseconds until it is as if nothing had been charged. */
  readonly resetMs: number
  /** Amounts in about the last minute; absent of a counter that was used too little. */
  readonly asked?: number
  readonly refused?: number
  /** Amounts that processes hold ahead of need, as they told last. They count as used. */
  readonly holders?: Readonly<Record<string, number>>
  /** Which process counts it, where each does by itself. */
  readonly process?: string
}

/** @param values of a counter that nobody has told of */
export function viewOf(
  handler: string,
  { name: limit, amount, windowMs, left, resetMs }: LimitStanding,
  values: Readonly<Record<string, string>>,
): CounterView {
  const window = windowMs === undefined ? {} : { windowMs }
  return { handler, limit, values, amount, ...window, used: amount - left, left, resetMs }
}

export function viewOfUsed(counter: UsedCounter): CounterView {
  const { handler, name, rule, left, resetMs } = counter
  const windowMs = 'windowMs' in rule ? { windowMs: rule.windowMs } : {}
  const standing = { name: name.limit, amount: mostOf(rule), ...windowMs, left, resetMs, retryAfterMs: 0 }
  return { ...viewOf(handler, standing, Object.fromEntries(name.values)), ...usageOf(counter) }
}

/** What processes have told of a counter. */
export function usageOf({ asked, refused, holders }: UsedCounter): Pick<CounterView, 'asked' | 'refused' | 'holders'> {
  return { asked, refused, ...(Object.keys(holders).length === 0 ? {} : { holders }) }
}
