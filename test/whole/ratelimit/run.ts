// The long differential beside envoyproxy/ratelimit: node test/whole/ratelimit/run.ts [--demands 10000] [--seed 1] [--domains 40]
// [--current]. The last is for a newer version than Go builds, which RATELIMIT_BIN names. Exits with 1 where answers differ.
import { parseArgs } from 'node:util'
import { findGoProgram, GO_PROGRAMS } from '../../helpers/go.ts'
import { differential } from './differential.ts'

const { values } = parseArgs({
  options: {
    demands: { type: 'string', default: '10000' },
    seed: { type: 'string', default: '1' },
    domains: { type: 'string', default: '40' },
    current: { type: 'boolean', default: false },
  },
})
const [demands, seed, domains] = [values.demands, values.seed, values.domains].map(Number)
if (!(Number.isInteger(demands) && Number.isInteger(seed) && Number.isInteger(domains)))
  throw new Error('--demands, --seed and --domains take whole numbers')
const found = await findGoProgram(GO_PROGRAMS.ratelimit)
if ('missing' in found) throw new Error(found.missing)
const startedAt = performance.now()
const result = await differential({
  binary: found.binary,
  demands: demands as number,
  seed: seed as number,
  domains: domains as number,
  isCurrent: values.current,
})
for (const finding of result.findings) console.error(`${finding}\n`)
console.table([result.tally])
const seconds = ((performance.now() - startedAt) / 1_000).toFixed(0)
console.log(
  `${demands} demands of ${domains} domains in ${seconds} s, seed ${seed}: ${result.findings.length} findings`,
)
process.exitCode = result.findings.length === 0 ? 0 : 1
