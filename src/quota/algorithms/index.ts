// All ways of counting, by name.

import type { LimitRule } from '../../adapter-kit/limits.ts'
import type { Algorithm } from './algorithm.ts'
import { gcra, tokenBucket } from './buckets.ts'
import { periodAt } from './calendar.ts'
import { allocation } from './held.ts'
import { rollingWindow } from './rolling-window.ts'
import { calendarWindow, fixedWindow, slidingWindow } from './windows.ts'

/** A rule whose counter is a number, whoever charged. */
export type CountingRule = Exclude<LimitRule, { readonly algorithm: 'concurrency' }>

const ALGORITHMS = { gcra, tokenBucket, fixedWindow, calendarWindow, slidingWindow, rollingWindow, allocation }

/** The algorithm of a rule, which takes only states that it has made itself. */
export function algorithmOf(rule: CountingRule): Algorithm<LimitRule, unknown> {
  return ALGORITHMS[rule.algorithm]
}

/** Most that can be left of a limit. */
export function mostOf(rule: LimitRule): number {
  return 'burst' in rule ? rule.burst : rule.amount
}

/** For how long a charge at `now` (ms since the epoch) counts at most. Of a bucket it is until that is full. */
export function countsForMs(rule: LimitRule, now: number): number {
  switch (rule.algorithm) {
    case 'gcra':
    case 'tokenBucket':
      return rule.amount === 0 ? rule.windowMs : Math.ceil(rule.burst / rule.amount) * rule.windowMs
    case 'calendarWindow':
      return periodAt(rule.unit, now).end - now
    case 'slidingWindow':
      return 2 * rule.windowMs
    case 'rollingWindow':
      return rule.windowMs + rule.bucketMs
    case 'fixedWindow':
      return rule.windowMs
    default:
      return rule.expiryMs
  }
}
