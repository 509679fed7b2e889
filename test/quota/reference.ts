// How much is free under a limit, told from a log of all that was charged: exact, slow, and written from the definitions
// alone. Times and amounts are whole numbers, so that fractions can be avoided.

import type { LimitRule } from '../../src/adapter-kit/limits.ts'

export interface Charged {
  readonly at: number
  readonly amount: number
  readonly id: string
}

/** What is free at `now` after these charges, in order of time. */
export function freeBy(rule: LimitRule, log: readonly Charged[], now: number): number {
  switch (rule.algorithm) {
    case 'gcra': {
      // In parts of a token: one millisecond refills `amount` of `windowMs` parts.
      let used = 0n
      let at = 0
      const refill = (to: number) => {
        used -= BigInt(to - at) * BigInt(rule.amount)
        if (used < 0n) used = 0n
        at = to
      }
      for (const charge of log) {
        refill(charge.at)
        used += BigInt(charge.amount) * BigInt(rule.windowMs)
      }
      refill(now)
      const free = BigInt(rule.burst) * BigInt(rule.windowMs) - used
      return Number(
        free >= 0n ? free / BigInt(rule.windowMs) : -((-free + BigInt(rule.windowMs) - 1n) / BigInt(rule.windowMs)),
      )
    }
    case 'tokenBucket': {
      let used = 0
      let step = 0
      for (const { at, amount } of [...log, { at: now, amount: 0 }]) {
        while (used > 0 && step + rule.windowMs <= at) {
          used = Math.max(0, used - rule.amount)
          step += rule.windowMs
        }
        if (used === 0) step = at
        used += amount
      }
      return rule.burst - used
    }
    case 'fixedWindow': {
      if (rule.from === 'epoch') {
        const number = Math.floor(now / rule.windowMs)
        return rule.amount - sum(log.filter(({ at }) => Math.floor(at / rule.windowMs) === number))
      }
      let start = Number.NEGATIVE_INFINITY
      for (const { at } of [...log.filter(({ amount }) => amount !== 0), { at: now }])
        if (at >= start + rule.windowMs) start = at
      return rule.amount - sum(log.filter(({ at }) => at >= start))
    }
    case 'calendarWindow': {
      return rule.amount - sum(log.filter(({ at }) => unitText(rule.unit, at) === unitText(rule.unit, now)))
    }
    case 'slidingWindow': {
      const { windowMs, amount } = rule
      const number = Math.floor(now / windowMs)
      const of = (wanted: number) => sum(log.filter(({ at }) => Math.floor(at / windowMs) === wanted))
      const parts = (amount - of(number)) * windowMs - of(number - 1) * ((number + 1) * windowMs - now)
      return Math.floor(parts / windowMs)
    }
    case 'rollingWindow': {
      const since = Math.floor((now - rule.windowMs) / rule.bucketMs)
      return rule.amount - sum(log.filter(({ at }) => Math.floor(at / rule.bucketMs) >= since))
    }
    case 'allocation': {
      let used = 0
      let last = Number.NEGATIVE_INFINITY
      for (const { at, amount } of [...log, { at: now, amount: 0 }]) {
        if (at - last >= rule.expiryMs) used = 0
        if (amount !== 0) last = at
        used = Math.max(0, used + amount)
      }
      return rule.amount - used
    }
    case 'concurrency': {
      const ends = new Map<string, number>()
      for (const { at, amount, id } of log) {
        if (amount > 0) ends.set(id, at + rule.expiryMs)
        else ends.delete(id)
      }
      return rule.amount - [...ends.values()].filter((end) => end > now).length
    }
  }
}

function unitText(unit: string, at: number): string {
  const text = new Date(at).toISOString()
  if (unit !== 'week') return text.slice(0, { minute: 16, hour: 13, day: 10, month: 7, year: 4 }[unit])
  // The Monday before.
  const day = (new Date(at).getUTCDay() + 6) % 7
  return new Date(at - day * 86_400_000).toISOString().slice(0, 10)
}

function sum(log: readonly Charged[]): number {
  return log.reduce((total, { amount }) => total + amount, 0)
}
