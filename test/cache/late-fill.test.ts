// A verdict on its way to Redis while Redis, or this process, stands still: it arrives as old as it is.

import { expect, it } from 'vitest'
import { MeshTier } from '../../src/cache/mesh-tier.ts'
import type { RedisClient } from '../../src/redis/create-client.ts'
import type { RedisLink } from '../../src/redis/connection.ts'
import { FakeClock } from '../helpers/clock.ts'
import { sharedRedis } from '../redis/shared-redis.ts'
import { ReadableMeter } from '../redis/support.ts'
import { allow, handlerConfig } from './support.ts'

const { link } = await sharedRedis({ commandTimeoutMs: 15_000, role: 'cache' })

const HANDLER = handlerConfig()
const KEY = 'k'
const ENTRY = 'late:{k}:v'

async function serverNow(): Promise<number> {
  const [seconds = 0, micros = 0] = (await link.run((client) => client.time())).map(Number)
  return seconds * 1_000 + Math.floor(micros / 1_000)
}

/** Looks a key up that nobody has, and stores a verdict whose way to Redis takes at least `lateMs`. */
async function fillLate(validForMs: number, lateMs: number): Promise<number> {
  const clock = new FakeClock()
  let isLate = false
  const run = async <T>(operation: (client: RedisClient) => Promise<T>) => {
    const arrived = (await serverNow()) + (isLate ? lateMs : 0)
    while ((await serverNow()) < arrived);
    return link.run(operation)
  }
  const late = Object.assign(Object.create(link) as RedisLink, { run })
  const tier = new MeshTier({ link: late, clock, meter: new ReadableMeter(), prefix: 'late', nodeId: 'n1' })
  const question = { known: undefined, maxUses: 1, maxStaleUses: 1, handler: HANDLER, leaseMs: 1_000 }
  const found = await tier.lookup(KEY, { ...question, token: 'n1.1' })
  expect(found).toMatchObject({ state: 'lease' })
  const askedAt = await serverNow()
  isLate = true
  const now = clock.monotonic()
  const times = { createdAt: now, freshUntil: now + validForMs, staleUntil: now + validForMs }
  const epoch = { generation: 'g', sequence: 0 }
  const entry = { ...times, verdict: allow(validForMs), epoch, isFetched: true, fetchMs: 0, usesLeft: 10, hits: 0 }
  await tier.fill(KEY, { ...entry, lastHitAt: now, answers: 0 }, { token: 'n1.1', uses: 5, seen: found.seen })
  return askedAt
}

it('makes a verdict no younger than it is', async () => {
  const askedAt = await fillLate(60_000, 100)
  const [created, fresh] = (await link.run((client) => client.hmget(ENTRY, 'c', 'f'))).map(Number)
  expect(created).toBeLessThanOrEqual(askedAt)
  expect(fresh).toBeLessThanOrEqual(askedAt + 60_000)
  expect(await link.run((client) => client.pttl(ENTRY))).toBeLessThanOrEqual(60_000 - 100)
  await link.run((client) => client.del(ENTRY))
})

it('stores nothing that has ended on the way', async () => {
  await fillLate(50, 100)
  expect(await link.run((client) => client.exists(ENTRY))).toBe(0)
})
