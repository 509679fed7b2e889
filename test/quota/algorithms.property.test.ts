// Every way of counting, in memory and in Redis, against a log of all charges.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CALENDAR_UNITS, CHARGE_MODES, type LimitRule } from '../../src/adapter-kit/limits.ts'
import type { LimitCharge } from '../../src/adapter-kit/limits.ts'
import { MemoryLimits } from '../../src/quota/memory-limits.ts'
import { RedisLimits } from '../../src/quota/redis-limits.ts'
import { FakeClock } from '../helpers/clock.ts'
import { sharedRedis } from '../redis/shared-redis.ts'
import { type Charged, freeBy } from './reference.ts'
import { withTime } from './redis-time.ts'

const { link } = await sharedRedis({ commandTimeoutMs: 15_000 })
let runs = 0

const amount = fc.integer({ min: 0, max: 20 })
const windowMs = fc.constantFrom(1, 7, 100, 999, 1_000, 60_000, 86_400_000)
const RULES: Record<LimitRule['algorithm'], fc.Arbitrary<LimitRule>> = {
  gcra: fc.record({ algorithm: fc.constant('gcra'), amount: fc.integer({ min: 1, max: 20 }), windowMs, burst: amount }),
  tokenBucket: fc.record({
    algorithm: fc.constant('tokenBucket'),
    amount: fc.integer({ min: 1, max: 20 }),
    windowMs,
    burst: amount,
  }),
  fixedWindow: fc.record({
    algorithm: fc.constant('fixedWindow'),
    amount,
    windowMs,
    from: fc.constantFrom('epoch', 'firstCharge'),
  }),
  calendarWindow: fc.record({
    algorithm: fc.constant('calendarWindow'),
    amount,
    unit: fc.constantFrom(...CALENDAR_UNITS),
  }),
  slidingWindow: fc.record({ algorithm: fc.constant('slidingWindow'), amount, windowMs }),
  rollingWindow: fc
    .record({ windowMs, buckets: fc.integer({ min: 1, max: 20 }), amount })
    .map(({ windowMs: length, buckets, amount: most }) => ({
      algorithm: 'rollingWindow',
      amount: most,
      windowMs: length,
      bucketMs: Math.max(1, Math.ceil(length / buckets)),
    })),
  concurrency: fc.record({ algorithm: fc.constant('concurrency'), amount, expiryMs: windowMs }),
  allocation: fc.record({ algorithm: fc.constant('allocation'), amount, expiryMs: windowMs }),
}

/** How far time goes on: within windows, over their edges, and far beyond. */
const elapse = fc.oneof(
  fc.constant(0),
  fc.integer({ min: 1, max: 10 }),
  fc.integer({ min: 1, max: 2_000 }),
  fc.integer({ min: 1, max: 200_000_000 }),
)

function callsOf(rules: readonly LimitRule[]) {
  const charges = fc.tuple(
    ...rules.map((rule) => {
      const holds = rule.algorithm === 'concurrency'
      return holds
        ? fc.integer({ min: -1, max: 1 })
        : fc.integer({ min: rule.algorithm === 'allocation' ? -5 : 0, max: 8 })
    }),
  )
  const id = fc.constantFrom('a', 'b', 'c', 'd')
  return fc.array(fc.record({ elapse, charges, id, mode: fc.constantFrom(...CHARGE_MODES) }), {
    minLength: 1,
    maxLength: 25,
  })
}

describe.each(Object.keys(RULES) as LimitRule['algorithm'][])('%s', (algorithm) => {
  it('grants in memory and in Redis what the log of all charges leaves', async () => {
    const property = fc.asyncProperty(
      RULES[algorithm].chain((rule) => fc.record({ rule: fc.constant(rule), calls: callsOf([rule]) })),
      async ({ rule, calls }) => {
        const clock = new FakeClock(Date.UTC(2026, 0, 15, 12) + 1)
        const memory = new MemoryLimits({ clock })
        const redis = new RedisLimits({ link: withTime(link, () => clock.now()), clock, prefix: `t${++runs}:` })
        const log: Charged[] = []
        for (const { elapse: ms, charges: amounts, id, mode } of calls) {
          await clock.advance(ms)
          const [wanted = 0] = amounts
          // Ids are remembered, and the log knows nothing of that.
          const named = algorithm === 'concurrency' ? { id } : {}
          const charge: LimitCharge = { key: 'k', rule, amount: wanted }
          const held = log.findLast((each) => each.id === id)
          const isThere =
            rule.algorithm === 'concurrency' &&
            held !== undefined &&
            held.amount > 0 &&
            held.at + rule.expiryMs > clock.now()
          const free = freeBy(rule, log, clock.now())
          const [inMemory] = memory.charge([charge], { mode, ...named })
          const [inRedis] = await redis.charge([charge], { mode, ...named })
          expect(inRedis).toEqual(inMemory)
          const fits = wanted <= 0 || isThere || wanted <= free
          expect(inMemory?.isExceeded).toBe(!fits)
          const granted = fits ? wanted : mode === 'part' ? Math.max(0, free) : 0
          expect(inMemory?.granted).toBe(granted)
          const counted = mode === 'count' ? wanted : granted
          // A bucket holds no more than its burst of what was refused.
          if (mode === 'count' && (rule.algorithm === 'gcra' || rule.algorithm === 'tokenBucket') && !fits) return
          if (algorithm === 'concurrency' && counted === 0) continue
          log.push({ at: clock.now(), amount: counted, id })
          expect(inMemory?.left).toBe(freeBy(rule, log, clock.now()))
        }
      },
    )
    await fc.assert(property, { numRuns: 60 })
  })

  it('says when it resets and when to try again', async () => {
    const property = fc.asyncProperty(
      RULES[algorithm].chain((rule) => fc.record({ rule: fc.constant(rule), calls: callsOf([rule]) })),
      async ({ rule, calls }) => {
        const clock = new FakeClock(Date.UTC(2026, 0, 15, 12) + 1)
        const memory = new MemoryLimits({ clock })
        for (const { elapse: ms, charges: amounts, id } of calls) {
          await clock.advance(ms)
          const [wanted = 0] = amounts
          const call = () =>
            memory.charge([{ key: 'k', rule, amount: wanted }], {
              mode: 'all',
              id: rule.algorithm === 'concurrency' ? id : '',
            })[0]
          const outcome = call()
          if (outcome === undefined) throw new Error('no outcome')
          if (!outcome.isExceeded) expect(outcome.retryAfterMs).toBe(0)
          else if (Number.isFinite(outcome.retryAfterMs)) {
            await clock.advance(outcome.retryAfterMs)
            expect(call()?.isExceeded).toBe(false)
          } else {
            const most = 'burst' in rule ? rule.burst : rule.amount
            expect(wanted).toBeGreaterThan(most)
          }
        }
        const [{ resetMs } = { resetMs: 0 }] = memory.charge([{ key: 'k', rule, amount: 0 }], { mode: 'all' })
        await clock.advance(resetMs)
        expect(memory.charge([{ key: 'k', rule, amount: 0 }], { mode: 'all' })[0]?.resetMs).toBe(0)
      },
    )
    await fc.assert(property, { numRuns: 60 })
  })
})

it('does not wait for the time to come again at which a clock was set back', async () => {
  const rule = fc.oneof(...Object.values(RULES))
  const property = fc.asyncProperty(rule, fc.integer({ min: 1, max: 400_000_000 }), async (limit, back) => {
    let now = Date.UTC(2026, 5, 15, 12)
    const clock = Object.assign(new FakeClock(), { now: () => now })
    const memory = new MemoryLimits({ clock })
    const redis = new RedisLimits({ link: withTime(link, () => now), clock, prefix: `t${++runs}:` })
    const most = 'burst' in limit ? limit.burst : limit.amount
    let places = 0
    const call = async (amount: number) => {
      const charges = [
        { key: 'k', rule: limit, amount: limit.algorithm === 'concurrency' ? Math.min(1, amount) : amount },
      ]
      const options = { mode: 'part', id: limit.algorithm === 'concurrency' ? `id${++places}` : '' } as const
      const [outcome] = memory.charge(charges, options)
      expect(await redis.charge(charges, options)).toEqual([outcome])
      return outcome
    }
    await call(most)
    now -= back
    const again = await call(most)
    // A window that was left behind may be one ahead, and a sliding one counts for two.
    expect(again?.resetMs ?? 0).toBeLessThanOrEqual(3 * spanOf(limit) + 2)
  })
  await fc.assert(property, { numRuns: 200 })
})

function spanOf(rule: LimitRule): number {
  if ('expiryMs' in rule) return rule.expiryMs
  if (rule.algorithm === 'calendarWindow')
    return {
      minute: 60_000,
      hour: 3_600_000,
      day: 86_400_000,
      week: 604_800_000,
      month: 2_678_400_000,
      year: 31_622_400_000,
    }[rule.unit]
  // A bucket fills in as many windows as its burst has amounts.
  if ('burst' in rule) return rule.windowMs * Math.ceil(rule.burst / rule.amount)
  return 'bucketMs' in rule ? rule.windowMs + rule.bucketMs : rule.windowMs
}

it('charges all of several limits or none, in memory and in Redis', async () => {
  const rules = fc.array(fc.oneof(RULES.gcra, RULES.fixedWindow, RULES.slidingWindow, RULES.tokenBucket), {
    minLength: 2,
    maxLength: 4,
  })
  const property = fc.asyncProperty(
    rules.chain((list) => fc.record({ list: fc.constant(list), calls: callsOf(list) })),
    async ({ list, calls }) => {
      const clock = new FakeClock()
      const memory = new MemoryLimits({ clock })
      const redis = new RedisLimits({ link: withTime(link, () => clock.now()), clock, prefix: `t${++runs}:` })
      for (const { elapse: ms, charges: amounts, mode } of calls) {
        await clock.advance(ms)
        const charges = list.map((rule, index) => ({ key: `k${index}`, rule, amount: amounts[index] ?? 0 }))
        const before = memory.charge(
          charges.map((charge) => ({ ...charge, amount: 0 })),
          { mode: 'all' },
        )
        const outcomes = memory.charge(charges, { mode })
        expect(await redis.charge(charges, { mode })).toEqual(outcomes)
        const fits = charges.every(({ amount: wanted }, index) => wanted <= 0 || wanted <= (before[index]?.left ?? 0))
        if (mode !== 'all') continue
        expect(outcomes.map(({ granted }) => granted)).toEqual(charges.map(({ amount: wanted }) => (fits ? wanted : 0)))
        if (!fits) expect(outcomes.map(({ left }) => left)).toEqual(before.map(({ left }) => left))
      }
    },
  )
  await fc.assert(property, { numRuns: 60 })
})

it('charges ahead what is there beyond a granted amount, in memory and in Redis', async () => {
  const rule = fc.oneof(RULES.gcra, RULES.fixedWindow, RULES.slidingWindow, RULES.rollingWindow, RULES.tokenBucket)
  const call = fc.record({
    elapse,
    amount: fc.integer({ min: 0, max: 8 }),
    ahead: amount,
    mode: fc.constantFrom('all', 'each', 'count'),
  })
  const property = fc.asyncProperty(rule, fc.array(call, { maxLength: 20 }), async (limit, calls) => {
    const clock = new FakeClock()
    const memory = new MemoryLimits({ clock })
    const redis = new RedisLimits({ link: withTime(link, () => clock.now()), clock, prefix: `t${++runs}:` })
    for (const { elapse: ms, amount: wanted, ahead, mode } of calls) {
      await clock.advance(ms)
      const charge = { key: 'k', rule: limit, amount: wanted }
      const free = memory.charge([{ ...charge, amount: 0 }], { mode })[0]?.left ?? 0
      const [outcome] = memory.charge([{ ...charge, ahead }], { mode })
      expect(await redis.charge([{ ...charge, ahead }], { mode })).toEqual([outcome])
      const fits = wanted === 0 || wanted <= free
      expect(outcome?.granted).toBe(fits ? wanted + Math.max(0, Math.min(ahead, free - wanted)) : 0)
    }
  })
  await fc.assert(property, { numRuns: 60 })
})

it('leaves no key in Redis without an end', async () => {
  const keys = await link.run((client) => client.keys('t*'))
  expect(keys.length).toBeGreaterThan(50)
  const ends = await link.run((client) => Promise.all(keys.map((key) => client.pttl(key))))
  // -2: it has gone by itself since.
  expect(ends.filter((ms) => ms === -1)).toEqual([])
})
