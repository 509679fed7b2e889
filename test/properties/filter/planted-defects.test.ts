// Shows that the filter's oracle can fail: each defect is planted in one source, and the simulation has to notice it soon.

import { describe, expect, it } from 'vitest'
import { WrongAnswer } from '../judge.ts'
import { FILTER_DEFECTS, plantedFilter } from './filter-defects.ts'
import { simulateFilter } from './filter-simulation.ts'

/** A defect has to show within so many checks; each seed brings configs and requests of its own. */
const SEEDS = 60
const CHECKS_PER_SEED = 250

describe('the oracle of filters', () => {
  it.each(FILTER_DEFECTS)('notices when $name', async (defect) => {
    const module = await plantedFilter(defect)
    let noticed: string | undefined
    for (let seed = 1; seed <= SEEDS && noticed === undefined; seed++) {
      try {
        await simulateFilter({ module, seed, checks: CHECKS_PER_SEED, link: undefined, prefix: `planted${seed}` })
      } catch (error) {
        if (!(error instanceof WrongAnswer)) throw error
        noticed = error.message
      }
    }
    expect(noticed).toMatch(/^seed \d+/)
  })
})
