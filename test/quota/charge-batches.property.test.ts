// What many requests charge in one turn of the event loop: Redis is asked once, and each meets what those before it have left.

import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { LimitRule } from '../../src/adapter-kit/limits.ts'
import { MemoryLimits } from '../../src/quota/memory-limits.ts'
import { RedisLimits } from '../../src/quota/redis-limits.ts'
import type { RedisLink } from '../../src/redis/connection.ts'
import { FakeClock } from '../helpers/clock.ts'
import { sharedRedis } from '../redis/shared-redis.ts'
import { withTime } from './redis-time.ts'

const { link } = await sharedRedis({ commandTimeoutMs: 15_000 })
let names = 0

function limitsAt(clock: FakeClock) {
  const timed = withTime(link, () => clock.now())
  let runs = 0
  const run: RedisLink['run'] = (operation, timeoutMs) => {
    runs++
    return timed.run(operation, timeoutMs)
  }
  const counted = Object.assign(Object.create(timed) as RedisLink, { run })
  return { limits: new RedisLimits({ link: counted, clock, prefix: `batch${++names}:` }), runs: () => runs }
}

const amount = fc.integer({ min: 0, max: 6 })
/** Mostly none: it is asked for once in a while. */
const ahead = fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.integer({ min: 1, max: 4 }))
const window = fc.record({
  algorithm: fc.constant('fixedWindow'),
  amount,
  from: fc.constantFrom('epoch', 'firstCharge'),
})
const always = <T>(rule: fc.Arbitrary<T>) => rule.map((each) => [each, each] as const)
const twoRules = fc.oneof(
  // A counter's limit may change from one request to the next.
  { weight: 3, arbitrary: fc.tuple(window, amount).map(([one, most]) => [one, { ...one, amount: most }] as const) },
  always(fc.record({ algorithm: fc.constant('slidingWindow'), amount })),
  always(fc.record({ algorithm: fc.constant('gcra'), amount: fc.integer({ min: 1, max: 6 }), burst: amount })),
  always(fc.record({ algorithm: fc.constant('rollingWindow'), amount, bucketMs: fc.constant(100) })),
)
const turn = fc.record({
  elapse: fc.constantFrom(0, 1, 300, 1_000, 5_000),
  mode: fc.constantFrom('each', 'count'),
  requests: fc.array(
    fc.uniqueArray(fc.record({ key: fc.constantFrom('a', 'b', 'c'), rule: fc.nat({ max: 1 }), amount, ahead }), {
      selector: ({ key }) => key,
      minLength: 1,
    }),
    { minLength: 1, maxLength: 12 },
  ),
})

it('meets what each would have met by itself, one after the other', async () => {
  const property = fc.asyncProperty(twoRules, fc.array(turn, { minLength: 1, maxLength: 6 }), async (rules, turns) => {
    const clock = new FakeClock(Date.UTC(2026, 0, 15, 12) + 1)
    const memory = new MemoryLimits({ clock })
    const { limits, runs } = limitsAt(clock)
    for (const { elapse, mode, requests } of turns) {
      await clock.advance(elapse)
      const before = runs()
      const charged = requests.map((request) =>
        request.map((charge) => ({ ...charge, rule: { ...rules[charge.rule], windowMs: 1_000 } as LimitRule })),
      )
      const inMemory = charged.map((charges) => memory.charge(charges, { mode }))
      expect(await Promise.all(charged.map((charges) => limits.charge(charges, { mode })))).toEqual(inMemory)
      expect(runs() - before).toBe(1)
    }
  })
  await fc.assert(property, { numRuns: 150 })
})

it('keeps what comes while two batches are under way for the next, and no longer than a moment', async () => {
  const clock = new FakeClock()
  const open: (() => void)[] = []
  let runs = 0
  const held = Object.assign(Object.create(link) as RedisLink, {
    run: (async (operation) => {
      runs++
      await new Promise<void>((resolve) => open.push(resolve))
      return await link.run(operation)
    }) satisfies RedisLink['run'],
  })
  const limits = new RedisLimits({ link: held, clock, prefix: `batch${++names}:` })
  const daily: LimitRule = { algorithm: 'fixedWindow', amount: 100, windowMs: 86_400_000, from: 'epoch' }
  const charge = () => limits.charge([{ key: 'k', rule: daily, amount: 1 }], { mode: 'count' })
  const asked: ReturnType<typeof charge>[] = []
  for (const expected of [1, 2, 2, 2]) {
    asked.push(charge())
    await new Promise((resolve) => setImmediate(resolve))
    expect(runs).toBe(expected)
  }
  await clock.advance(1)
  expect(runs).toBe(3)
  asked.push(charge())
  for (const each of open.splice(0)) each()
  await Promise.all(asked.slice(0, 4))
  await expect.poll(() => open.length).toBe(1)
  open[0]?.()
  expect((await Promise.all(asked)).map(([outcome]) => outcome?.left)).toEqual([99, 98, 97, 96, 95])
})

it('refuses what makes no sense to its caller alone', async () => {
  const { limits } = limitsAt(new FakeClock())
  const daily: LimitRule = { algorithm: 'fixedWindow', amount: 100, windowMs: 86_400_000, from: 'epoch' }
  const charges = [1, 0.5, 2].map((each) => limits.charge([{ key: 'k', rule: daily, amount: each }], { mode: 'count' }))
  const settled = await Promise.allSettled(charges)
  expect(settled.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
})
