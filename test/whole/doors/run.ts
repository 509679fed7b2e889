// The long differential of doors: node test/whole/doors/run.ts [--requests 2000] [--seed 1] [--transport grpc-js].
// Exits with 1 where one door lets through what another refuses or policy denies.
import { parseArgs } from 'node:util'
import { differential, tableOf } from './differential.ts'
import { missingTools, startDoors } from './doors.ts'

const { values } = parseArgs({
  options: {
    requests: { type: 'string', default: '2000' },
    seed: { type: 'string', default: '1' },
    transport: { type: 'string' },
  },
})
const requests = Number(values.requests)
const seed = Number(values.seed)
if (!Number.isInteger(requests) || requests < 1 || !Number.isInteger(seed))
  throw new Error('--requests and --seed take whole numbers')

for (const tool of missingTools()) console.warn(`left out, since it is not here: ${tool}`)
const doors = await startDoors({ flags: values.transport === undefined ? [] : ['--transport', values.transport] })
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => void doors.stop().finally(() => process.exit(1)))
}
try {
  const startedAt = performance.now()
  const result = await differential(doors, requests, seed)
  console.table(tableOf(result))
  for (const finding of result.findings) console.error(finding)
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(0)
  console.log(
    `${requests} requests through ${result.tallies.size} doors in ${seconds} s, seed ${seed}: ${result.findings.length} findings`,
  )
  process.exitCode = result.findings.length === 0 ? 0 : 1
} finally {
  await doors.stop()
}
