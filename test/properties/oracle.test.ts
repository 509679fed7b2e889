// A short run of the oracle with every test run; `node test/properties/run.ts` is the long one.

import { describe, expect, it } from 'vitest'
import { sharedRedis } from '../redis/shared-redis.ts'
import type { TestLink } from '../redis/support.ts'
import { simulate } from './simulation.ts'

const SEEDS = [101, 106, 107, 121, 130, 311, 532, 629]
const CHECKS = 500

const { link } = await sharedRedis({ commandTimeoutMs: 2_000, role: 'cache' })

async function tiersOf(link: TestLink['link'] | undefined): Promise<ReadonlySet<string>> {
  const tiers = new Set<string>()
  const totals = { asked: 0, kept: 0, paidUses: 0, leased: 0 }
  for (const seed of SEEDS) {
    const report = await simulate({ seed, checks: CHECKS, link, prefix: `oracle${seed}` })
    for (const tier of Object.keys(report.tiers)) tiers.add(tier)
    for (const name of Object.keys(totals) as (keyof typeof totals)[]) totals[name] += report[name]
  }
  // All that a sidecar gives by itself is judged: what it has kept, paid for and leased.
  expect(totals.kept).toBeGreaterThan(totals.asked / 5)
  expect(totals.paidUses).toBeGreaterThan(0)
  expect(totals.leased).toBeGreaterThan(0)
  return tiers
}

describe('every answer of three nodes', () => {
  it('is one that evaluation without a cache gives, with a shared cache', async () => {
    // Whether something stale is served hangs on when Redis replies: the nodes that are on their own show that.
    const tiers = await tiersOf(link)
    for (const tier of ['backend', 'local', 'mesh']) expect(tiers).toContain(tier)
  })

  it('is one that evaluation without a cache gives, where each node is on its own', async () => {
    expect(await tiersOf(undefined)).toEqual(new Set(['backend', 'local', 'stale']))
  })
})
