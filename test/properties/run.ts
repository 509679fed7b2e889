// `node test/properties/run.ts [--checks N] [--seed N]`: the oracle at length, over a real Redis. Prints what it did;
// ends with 1 and the seed at the first wrong answer.

import { parseArgs } from 'node:util'
import { longRun } from './long-run.ts'
import { simulate } from './simulation.ts'

const { values } = parseArgs({
  options: { checks: { type: 'string', default: '1000000' }, seed: { type: 'string', default: '1' } },
})
const bySidecars = { asked: 0, kept: 0, keptStale: 0, unanswered: 0, paidUses: 0, returnedUses: 0, leased: 0 }
await longRun({
  checks: Number(values.checks),
  seed: Number(values.seed),
  every: 50,
  simulate: (seed, checks, link) => simulate({ seed, checks, link, prefix: `p${seed}` }),
  take(report) {
    for (const name of Object.keys(bySidecars) as (keyof typeof bySidecars)[]) bySidecars[name] += report[name]
  },
  says: () => `, sidecars ${JSON.stringify(bySidecars)}`,
})
