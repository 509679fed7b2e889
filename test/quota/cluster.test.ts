// Limits of several groups on a real cluster: what one part refuses, or does not answer, is charged to none.

import { afterAll, beforeAll, expect, it } from 'vitest'
import type { LimitRule } from '../../src/adapter-kit/limits.ts'
import { RedisLimits } from '../../src/quota/redis-limits.ts'
import { keySlot, SLOTS } from '../../src/redis/key-slot.ts'
import type { RedisLink } from '../../src/redis/connection.ts'
import type { RedisServer } from '../helpers/redis.ts'
import { startMasters } from '../redis/cluster.ts'
import { realClock, testLink, untilUp } from '../redis/support.ts'

const MASTERS = 2
let masters: readonly RedisServer[] = []
let link: RedisLink
let limits: RedisLimits

beforeAll(async () => {
  masters = await startMasters(MASTERS)
  link = testLink(`redis+cluster://127.0.0.1:${masters[0]?.port}`, 2_000).link
  await untilUp(link)
  limits = new RedisLimits({ link, clock: realClock, prefix: 'limits:' })
})

afterAll(async () => {
  link.close()
  for (const master of masters) await master.stop()
})

const rules = {
  rate: { algorithm: 'fixedWindow', amount: 10, windowMs: 3_600_000, from: 'epoch' },
  flight: { algorithm: 'concurrency', amount: 10, expiryMs: 3_600_000 },
} as const satisfies Record<string, LimitRule>

let names = 0
/** A group whose counters the master of this number keeps. */
function group(master: number): string {
  for (;;) {
    const name = `g${names++}`
    if (Math.floor((keySlot(`{${name}}`) * MASTERS) / SLOTS) === master) return name
  }
}

const charge = (name: string, rule: LimitRule, amount = 1) => ({ key: name, group: name, rule, amount })
const left = async (name: string, rule: LimitRule) =>
  (await limits.charge([charge(name, rule, 0)], { mode: 'all' }))[0]?.left

it.each([
  ['rate', ''],
  ['rate', 'call'],
  ['flight', 'call'],
] as const)('gives back a %s where a later group refuses (id "%s"), also when it is tried again', async (kind, id) => {
  const [first, second] = [group(0), group(1)]
  const none: LimitRule = { ...rules.rate, amount: 0 }
  for (let each = 0; each < 2; each++) {
    const outcomes = await limits.charge([charge(first, rules[kind]), charge(second, none)], { mode: 'all', id })
    expect(outcomes.map((outcome) => [outcome?.granted, outcome?.isExceeded])).toEqual([
      [0, false],
      [0, true],
    ])
    expect(await left(first, rules[kind])).toBe(10)
  }
})

it.each([
  ['rate', ''],
  ['flight', 'call'],
] as const)('gives back a %s where a later group has no answer', async (kind, id) => {
  const [first, second] = [group(0), group(1)]
  masters[1]?.pause()
  try {
    const both = limits.charge([charge(first, rules[kind]), charge(second, rules.rate)], { mode: 'all', id })
    await expect(both).rejects.toMatchObject({ code: 'REDIS_UNAVAILABLE' })
    await expect.poll(() => left(first, rules[kind])).toBe(10)
  } finally {
    masters[1]?.resume()
  }
})
