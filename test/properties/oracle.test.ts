// A short run of the oracle with every test run; `node test/properties/run.ts` is the long one.

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type RedisServer, startRedis } from '../helpers/redis.ts'
import { type TestLink, testLink, untilUp } from '../redis/support.ts'
import { simulate } from './simulation.ts'

const SEEDS = [101, 102, 103, 104, 105, 106, 107, 108]
const CHECKS = 500

let redis: RedisServer
let connection: TestLink

beforeAll(async () => {
  redis = await startRedis()
  // A reply that is late would be a miss, which is right and tests nothing.
  connection = testLink(redis.url, 2_000, 'cache')
  await untilUp(connection.link)
})

afterAll(async () => {
  connection.link.close()
  await redis.stop()
})

async function tiersOf(link: TestLink['link'] | undefined): Promise<ReadonlySet<string>> {
  const tiers = new Set<string>()
  for (const seed of SEEDS) {
    const report = await simulate({ seed, checks: CHECKS, link, prefix: `oracle${seed}` })
    for (const tier of Object.keys(report.tiers)) tiers.add(tier)
  }
  return tiers
}

describe('every answer of three nodes', { timeout: 60_000 }, () => {
  it('is one that evaluation without a cache gives, with a shared cache', async () => {
    expect(await tiersOf(connection.link)).toEqual(new Set(['backend', 'local', 'mesh', 'stale']))
  })

  it('is one that evaluation without a cache gives, where each node is on its own', async () => {
    expect(await tiersOf(undefined)).toEqual(new Set(['backend', 'local', 'stale']))
  })
})
