// `node test/filter/hostile/run.ts [--runs N] [--seed N]`: hostile nodes at length. Prints what it did; ends with 1 and the seed at
// the first fault.

import { parseArgs } from 'node:util'
import { compiledFilter } from '../filter-bench.ts'
import { attack } from './attack.ts'

const { values } = parseArgs({
  options: { runs: { type: 'string', default: '1000' }, seed: { type: 'string', default: '1' } },
})
const module = await compiledFilter()
const first = Number(values.seed)
const runs = Number(values.runs)
const sum = { requests: 0, allowed: 0, denied: 0, streams: 0, unjudged: 0 }
const worst = { memory: 0, ms: 0 }
for (let seed = first; seed < first + runs; seed++) {
  try {
    const report = await attack(module, seed)
    sum.requests += report.requests
    sum.allowed += report.allowed
    sum.denied += report.denied
    sum.streams += report.streams
    if (report.unjudged !== undefined) {
      sum.unjudged++
      console.log(`seed ${seed}: ${report.unjudged}`)
    }
    if (report.memory > worst.memory) console.log(`seed ${seed}: ${report.memory} bytes`)
    if (report.worstMs > worst.ms) console.log(`seed ${seed}: a message took ${report.worstMs.toFixed(0)} ms`)
    worst.memory = Math.max(worst.memory, report.memory)
    worst.ms = Math.max(worst.ms, report.worstMs)
  } catch (caught) {
    console.error(`seed ${seed}:`, caught)
    process.exitCode = 1
    break
  }
}
console.log(JSON.stringify({ ...sum, ...worst }))
