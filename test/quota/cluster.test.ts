// Limits of several groups on a real cluster: what one part refuses, or does not answer, is charged to none.

import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest'
import type { LimitRule } from '../../src/adapter-kit/limits.ts'
import { IntermixError } from '../../src/kernel/errors.ts'
import { NodeLimits } from '../../src/quota/node-limits.ts'
import { QuotaMetrics } from '../../src/quota/quota-metrics.ts'
import { RedisLimits } from '../../src/quota/redis-limits.ts'
import { keySlot, SLOTS } from '../../src/redis/key-slot.ts'
import type { RedisLink } from '../../src/redis/connection.ts'
import { startCluster } from '../helpers/redis-cluster.ts'
import type { RedisServer } from '../helpers/redis.ts'
import { startMasters } from '../redis/cluster.ts'
import { KeptLog, ReadableMeter, realClock, testLink, untilUp } from '../redis/support.ts'

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

it('remembers what a call was granted in the part where its counters are, whatever its group is called', async () => {
  // A brace ends a hash tag: names of a group and of its parts must not become different ones.
  const [rule, options] = [rules.rate, { mode: 'all', id: 'call' }] as const
  for (const name of ['a}b', '}', 'a}', '{a}']) {
    for (let each = 0; each < 2; each++) {
      const [outcome] = await limits.charge([charge(name, rule)], options)
      expect(outcome, name).toMatchObject({ granted: 1, left: 9 })
    }
    expect(await left(name, rule)).toBe(9)
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

it('charges by itself only what its master did not answer, and charges that to it afterwards', async () => {
  const [first, second] = [group(0), group(1)]
  const node = new NodeLimits({
    shared: limits,
    link,
    clock: realClock,
    log: new KeptLog(),
    metrics: new QuotaMetrics(new ReadableMeter(), 'h'),
    processes: { count: 2, note: () => undefined },
  })
  const both = () => node.charge([charge(first, rules.rate), charge(second, rules.rate)], { mode: 'count' })
  masters[1]?.pause()
  try {
    for (let each = 0; each < 3; each++) expect((await both()).map(({ granted }) => granted)).toEqual([1, 1])
    expect(await left(first, rules.rate)).toBe(7)
  } finally {
    masters[1]?.resume()
  }
  await expect.poll(() => left(second, rules.rate).catch(() => undefined), { timeout: 10_000 }).toBe(7)
  expect(await left(first, rules.rate)).toBe(7)
  await node.close()
})

it('counts on while slots move from one master to the other, and leaves no key without an end', async () => {
  const cluster = await startCluster({ masters: 2, replicas: 0 })
  const moving = testLink(cluster.url, 2_000).link
  onTestFinished(async () => {
    moving.close()
    await cluster.stop()
  })
  await untilUp(moving)
  const shared = new RedisLimits({ link: moving, clock: realClock, prefix: 'moving:' })
  const [from = 0, to = 0] = cluster.ports
  const slotOf = (key: string) => keySlot(`{${key}}`)
  const keys = Array.from({ length: 40_000 }, (_, index) => `k${index}`).filter((key) => slotOf(key) < 20)
  const granted = new Map<string, number>()
  const move = { isDone: false }
  let calls = 0
  const traffic = async () => {
    while (!move.isDone) {
      const key = keys[calls++ % keys.length] ?? ''
      const id = calls % 2 === 0 ? `call ${calls}` : ''
      const outcomes = await shared.charge([charge(key, many)], { mode: 'all', id }).catch(notThere)
      granted.set(key, (granted.get(key) ?? 0) + (outcomes[0]?.granted ?? 0))
    }
  }
  await Promise.all([traffic(), cluster.moveSlots(from, to, 20).finally(() => (move.isDone = true))])
  expect(await cluster.ownerOf(`{${keys[0]}}`)).toBe(to)
  for (const [key, amount] of granted) {
    const [outcome] = await shared.charge([charge(key, many, 0)], { mode: 'all' })
    expect(many.amount - (outcome?.left ?? 0)).toBe(amount)
  }
  expect([...granted.values()].reduce((sum, each) => sum + each, 0)).toBeGreaterThan(20)
  for (const port of cluster.ports) {
    const all = (await cluster.ask(port, 'KEYS', 'moving:*')) as string[]
    for (const key of all) expect(Number(await cluster.ask(port, 'PTTL', key))).toBeGreaterThan(0)
  }
}, 60_000)

const many: LimitRule = { ...rules.rate, amount: 100_000 }

/** A slot of which keys are here and there answers no script that needs both. */
function notThere(error: unknown): [] {
  if (error instanceof IntermixError && error.code === 'REDIS_UNAVAILABLE') return []
  throw error
}
