// Shows that the filter's oracle can fail: each defect is planted in one source, and the simulation has to notice it soon.

import { describe, expect, it } from 'vitest'
import { WrongAnswer } from '../judge.ts'
import { FILTER_DEFECTS, PAID_DEFECTS, plantedFilter } from './filter-defects.ts'
import { simulateFilter } from './filter-simulation.ts'
import { simulatePaidUses } from './paid-uses.ts'

/** A defect has to show within so many checks; each seed brings configs and requests of its own. */
const SEEDS = 150
const CHECKS_PER_SEED = 250

/** What the first seed says at which something is wrong. */
async function firstWrong(simulate: (seed: number) => Promise<unknown>): Promise<string | undefined> {
  for (let seed = 1; seed <= SEEDS; seed++) {
    try {
      await simulate(seed)
    } catch (error) {
      if (!(error instanceof WrongAnswer)) throw error
      return error.message
    }
  }
  return undefined
}

describe('the oracle of filters', () => {
  it.each(FILTER_DEFECTS)('notices when $name', async (defect) => {
    const module = await plantedFilter(defect)
    const common = { module, checks: CHECKS_PER_SEED, link: undefined }
    const noticed = await firstWrong((seed) => simulateFilter({ ...common, seed, prefix: `planted${seed}` }))
    expect(noticed).toMatch(/^seed \d+/)
  })

  it.each(PAID_DEFECTS)('notices, where rules charge quotas, when $name', async (defect) => {
    const module = await plantedFilter(defect)
    expect(await firstWrong((seed) => simulatePaidUses(module, seed))).toMatch(/^seed \d+/)
  })
})
