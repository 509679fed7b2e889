// A short run of the filter's oracle with every test run; `node test/properties/filter/run.ts` is the long one.

import { beforeAll, describe, expect, it } from 'vitest'
import { compiledFilter } from '../../filter/filter-bench.ts'
import type { CheckedModule } from '../../helpers/proxy-wasm/vm.ts'
import { sharedRedis } from '../../redis/shared-redis.ts'
import type { TestLink } from '../../redis/support.ts'
import { simulateFilter } from './filter-simulation.ts'
import { simulatePaidUses } from './paid-uses.ts'

const SEEDS = [2, 3, 6, 11, 14, 38, 54]
const CHECKS = 400
const PAID_SEEDS = 12

const { link } = await sharedRedis({ commandTimeoutMs: 2_000, role: 'cache' })
let module: CheckedModule
beforeAll(async () => {
  module = await compiledFilter()
})

async function tiersOf(link: TestLink['link'] | undefined): Promise<ReadonlyMap<string, number>> {
  const tiers = new Map<string, number>()
  for (const seed of SEEDS) {
    const report = await simulateFilter({ module, seed, checks: CHECKS, link, prefix: `filter${seed}` })
    for (const [tier, count] of Object.entries(report.tiers)) tiers.set(tier, (tiers.get(tier) ?? 0) + count)
  }
  return tiers
}

describe('whatever comes of a request at a filter', () => {
  it('is what comes of it without caches, before nodes that share one', async () => {
    const tiers = await tiersOf(link)
    expect(tiers.get('filter')).toBeGreaterThan(CHECKS / 2)
    expect(tiers.get('mesh')).toBeGreaterThan(0)
  })

  it('is what comes of it without caches, before nodes on their own', async () => {
    const tiers = await tiersOf(undefined)
    expect(tiers.get('filter')).toBeGreaterThan(CHECKS / 2)
    expect(tiers.get('stale')).toBeGreaterThan(0)
  })
})

describe('what filters pay for ahead', () => {
  it('is used once, in its window, or goes back', async () => {
    const sum = { kept: 0, refused: 0, returned: 0 }
    for (let seed = 1; seed <= PAID_SEEDS; seed++) {
      const report = await simulatePaidUses(module, seed)
      sum.kept += report.kept
      sum.refused += report.refused
      sum.returned += report.returned
    }
    for (const count of Object.values(sum)) expect(count).toBeGreaterThan(10 * PAID_SEEDS)
  })
})
