// Shows that the filter's oracle can fail: each defect is planted in one source, and the simulation has to notice it soon.

import { afterEach, describe, expect, it, vi } from 'vitest'
import { compiledFilter } from '../../filter/filter-bench.ts'
import { WrongAnswer } from '../judge.ts'
import { FILTER_DEFECTS, PAID_DEFECTS, plantedFilter } from './filter-defects.ts'
import { simulateFilter } from './filter-simulation.ts'
import { simulatePaidUses } from './paid-uses.ts'
import { PAID_RELAY_DEFECTS, RELAY_DEFECTS } from './relay-defects.ts'
import { uproot } from '../planted.ts'

/** A defect has to show within so many checks; each seed brings configs and requests of its own. */
const SEEDS = 150
const CHECKS_PER_SEED = 250

/** What the first seed says at which something is wrong. */
async function firstWrong(simulate: (seed: number) => Promise<unknown>): Promise<string | undefined> {
  for (let seed = 1; seed <= SEEDS; seed++) {
    try {
      await simulate(seed)
    } catch (error) {
      // Where modules were replaced, it is another class of this name.
      if (!(error instanceof Error) || error.constructor.name !== WrongAnswer.name) throw error
      return error.message
    }
  }
  return undefined
}

/** The simulation with what was planted in modules of the product. */
async function planted() {
  vi.resetModules()
  const { simulateFilter: simulate } = await import('./filter-simulation.ts')
  const { simulatePaidUses: simulatePaid } = await import('./paid-uses.ts')
  return { simulate, simulatePaid, module: await compiledFilter() }
}

afterEach(uproot)

describe('the oracle of filters', () => {
  it.each(FILTER_DEFECTS)('notices when $name', async (defect) => {
    const module = await plantedFilter(defect)
    // What sidecars keep hides some of them.
    const common = { module, checks: CHECKS_PER_SEED, link: undefined, relayed: false }
    const noticed = await firstWrong((seed) => simulateFilter({ ...common, seed, prefix: `planted${seed}` }))
    expect(noticed).toMatch(/^seed \d+/)
  })

  it.each(PAID_DEFECTS)('notices, where rules charge quotas, when $name', async (defect) => {
    const module = await plantedFilter(defect)
    expect(await firstWrong((seed) => simulatePaidUses(module, seed))).toMatch(/^seed \d+/)
  })

  it.each(RELAY_DEFECTS)('notices when $name', async ({ plant }) => {
    plant()
    const { simulate, module } = await planted()
    const common = { module, checks: CHECKS_PER_SEED, link: undefined, relayed: true }
    const noticed = await firstWrong((seed) => simulate({ ...common, seed, prefix: `planted${seed}` }))
    expect(noticed).toMatch(/^seed \d+/)
  })

  it.each(PAID_RELAY_DEFECTS)('notices, where rules charge quotas, when $name', async ({ plant }) => {
    plant()
    const { simulatePaid, module } = await planted()
    expect(await firstWrong((seed) => simulatePaid(module, seed))).toMatch(/^seed \d+/)
  })
})
