// The long fuzz run: node test/fuzz/run.ts [--runs 1000000] [--seed 1] [target ...]. Exits with 1 on a crash, a stall or a leak.

import { parseArgs } from 'node:util'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { fuzz } from './fuzz.ts'
import { TARGETS } from './targets.ts'

const MIB = 1024 * 1024
/** Compiled code and bounded caches grow at first; what leaks grows with the inputs. */
const MAX_GROWTH_MIB = 16

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { runs: { type: 'string', default: '1000000' }, seed: { type: 'string', default: '1' } },
})
const runs = Number(values.runs)
const seed = Number(values.seed)
if (!Number.isInteger(runs) || runs < 1 || !Number.isInteger(seed))
  throw new Error('--runs and --seed take whole numbers')
const unknown = positionals.filter((name) => !TARGETS.some((target) => target.name === name))
if (unknown.length > 0)
  throw new Error(`no target ${unknown.join(', ')}; there are: ${TARGETS.map(({ name }) => name).join(', ')}`)
const targets = positionals.length === 0 ? TARGETS : TARGETS.filter(({ name }) => positionals.includes(name))

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

function heapMib(): number {
  collectGarbage()
  return process.memoryUsage().heapUsed / MIB
}

const warmUp = await fuzz(targets, Math.ceil(runs / 20), seed + 1)
const before = heapMib()
const startedAt = performance.now()
const result = await fuzz(targets, runs, seed)
const seconds = (performance.now() - startedAt) / 1000
const growth = heapMib() - before

console.table(
  result.figures.map(({ name, inputs, refused, worstMs, totalMs }) => ({
    target: name,
    inputs,
    'refused %': Number(((100 * refused) / inputs).toFixed(1)),
    'mean µs': Number(((1000 * totalMs) / inputs).toFixed(1)),
    'worst ms': Number(worstMs.toFixed(2)),
  })),
)
const total = result.figures.reduce((sum, { inputs }) => sum + inputs, 0)
console.log(
  `${total} inputs in ${seconds.toFixed(0)} s, seed ${seed}; heap ${before.toFixed(1)} MiB, grew ${growth.toFixed(1)} MiB`,
)
const failures = [...warmUp.failures, ...result.failures]
for (const { target, reason, input } of failures) console.error(`${target}: ${reason}\n  input: ${input}`)
if (growth > MAX_GROWTH_MIB) console.error(`the heap grew by more than ${MAX_GROWTH_MIB} MiB`)
process.exitCode = failures.length > 0 || growth > MAX_GROWTH_MIB ? 1 : 0
