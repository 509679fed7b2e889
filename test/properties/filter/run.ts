// `node test/properties/filter/run.ts [--checks N] [--seed N] [--show]`: the filter's oracle at length, over a real Redis.
// Prints what it did; ends with 1 and the seed at the first wrong answer, with `--show` with the configs, too.

import { parseArgs } from 'node:util'
import { compiledFilter } from '../../filter/filter-bench.ts'
import { longRun } from '../long-run.ts'
import { simulateFilter } from './filter-simulation.ts'
import { simulatePaidUses } from './paid-uses.ts'

const { values } = parseArgs({
  options: {
    checks: { type: 'string', default: '1000000' },
    seed: { type: 'string', default: '1' },
    show: { type: 'boolean', default: false },
  },
})
const module = await compiledFilter()
await longRun({
  checks: Number(values.checks),
  seed: Number(values.seed),
  every: 20,
  async simulate(seed, checks, link) {
    // Nodes that share nothing serve what is stale more often.
    const shared = seed % 4 === 0 ? undefined : link
    await simulatePaidUses(module, seed)
    const report = await simulateFilter({ module, seed, checks, link: shared, prefix: `f${seed}`, shows: values.show })
    return { ...report, checks }
  },
})
