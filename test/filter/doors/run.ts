// `node test/filter/doors/run.ts [--seeds N] [--seed N]`: the filter and ext_authz compared at length. Ends with 1 and the seed at the first
// request about which they do not agree.

import { parseArgs } from 'node:util'
import { compiledFilter } from '../filter-bench.ts'
import { compareDoors } from './compare-doors.ts'

const { values } = parseArgs({
  options: { seeds: { type: 'string', default: '1000' }, seed: { type: 'string', default: '1' } },
})
const module = await compiledFilter()
const seen = { kept: 0, denied: 0, allowed: 0 }
const first = Number(values.seed)
for (let seed = first; seed < first + Number(values.seeds); seed++) await compareDoors(module, seed, seen)
console.log(JSON.stringify(seen))
