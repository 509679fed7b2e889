// What an operator forgets in Redis is forgotten by every node, within the time for which they hold and remember.

import { afterAll, beforeAll, expect, it } from 'vitest'
import type { LimitRule } from '../../src/adapter-kit/limits.ts'
import { RedisClaims } from '../../src/quota/assignments/claims.ts'
import { RedisLimits } from '../../src/quota/redis-limits.ts'
import { resetInRedis } from '../../src/quota/redis-reset.ts'
import type { RedisLink } from '../../src/redis/connection.ts'
import type { RedisServer } from '../helpers/redis.ts'
import { startMasters } from '../redis/cluster.ts'
import { sharedRedis } from '../redis/shared-redis.ts'
import { realClock, testLink, untilUp } from '../redis/support.ts'
import { QuotaMesh } from './simulated-nodes.ts'

const { link: single } = await sharedRedis({ commandTimeoutMs: 15_000 })
const rule: LimitRule = { algorithm: 'fixedWindow', amount: 100, windowMs: 3_600_000, from: 'epoch' }

it('nodes that refused or held something go on from the beginning', async () => {
  const mesh = new QuotaMesh(single, 2)
  const charge = async (node: number, amount: number) =>
    (await mesh.nodes[node]?.charge([{ key: 'k', rule, amount, accuracy: 0.1 }], { mode: 'all' }))?.[0]
  for (let each = 0; each < 300; each++) {
    mesh.charge(each % 2, [{ key: 'k', rule, amount: 1, accuracy: 0.1 }])
    await mesh.settled()
    await mesh.clock.advance(1)
  }
  expect((await charge(1, 1))?.isExceeded).toBe(true)
  expect(await resetInRedis(single, mesh.prefix, { counters: [{ key: 'k', rule }] })).toBe(1)
  mesh.nodes[0]?.letGo({ counters: [{ key: 'k', rule }] })
  expect(await charge(0, 1)).toMatchObject({ granted: 1, isExceeded: false })
  await mesh.clock.advance(101)
  expect(await charge(1, 1)).toMatchObject({ granted: 1, isExceeded: false })
})

let masters: readonly RedisServer[] = []
let cluster: RedisLink
beforeAll(async () => {
  masters = await startMasters(2)
  cluster = testLink(`redis+cluster://127.0.0.1:${masters[0]?.port}`, 15_000).link
  await untilUp(cluster)
})
afterAll(async () => {
  cluster.close()
  for (const master of masters) await master.stop()
})

it.each([
  ['one Redis', () => single],
  ['a cluster', () => cluster],
])('all whose keys begin alike are found in %s, and no others', async (_, linkOf) => {
  const link = linkOf()
  const prefix = 'all*[x]:'
  const limits = new RedisLimits({ link, clock: realClock, prefix })
  const others = new RedisLimits({ link, clock: realClock, prefix: 'all1x:' })
  const keys = Array.from({ length: 300 }, (__, at) => `per*key|${at}`)
  for (const key of [...keys, 'per+key|1', 'other|1']) await limits.charge([{ key, rule, amount: 1 }], { mode: 'all' })
  await others.charge([{ key: 'per*key|1', rule, amount: 1 }], { mode: 'all' })
  // Descriptors name counters, and callers choose what is in them.
  const hostile = ['other|a}:per*key|1', '}:per*key|', 'other|{}:per*key|1}:per*key|']
  for (const key of hostile) await limits.charge([{ key, rule, amount: 1 }], { mode: 'all' })
  const claim = { weight: 1, wanted: 5, spare: 0, keeps: 0, used: 0, holds: 5, total: 8, forMs: 60_000 }
  const claims = (id: string) => new RedisClaims({ link, prefix, id, charging: { count: 2 } })
  const claimed = ['per*key|1', 'per*key|1}:per*key|']
  for (const key of claimed) expect((await claims('one').claim(key, claim)).held).toBe(5)
  expect(await resetInRedis(link, prefix, { startingWith: 'per*key|' })).toBe(keys.length)
  for (const key of claimed) expect((await claims('two').claim(key, claim)).held, key).toBe(3)
  const left = async (of: RedisLimits, key: string) =>
    (await of.charge([{ key, rule, amount: 0 }], { mode: 'all' }))[0]?.left
  expect(await Promise.all(keys.map((key) => left(limits, key)))).toEqual(keys.map(() => 100))
  expect([await left(limits, 'per+key|1'), await left(limits, 'other|1'), await left(others, 'per*key|1')]).toEqual([
    99, 99, 99,
  ])
  expect(await Promise.all(hostile.map((key) => left(limits, key)))).toEqual(hostile.map(() => 99))
})
