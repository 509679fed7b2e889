// That limits count right whatever becomes of Redis: `node load/quota-chaos.ts --help`.

import { runCommand } from './kit/command.ts'
import { printTable, saveResults, say } from './output.ts'
import { quotaChaos, violations } from './quota-chaos/run.ts'

const help = `node load/quota-chaos.ts [OPTIONS]: nodes charge limits of each policy in one Redis with an append-only file, which is
killed and paused again and again; then what they granted is held against what Redis has counted

  --seconds N   how long it takes (300)
  --nodes N     how many there are (3)
  --rate N      charges a second of all nodes together, for each of the counters (200)
  --seed N      another schedule of faults
  --only KIND   kill or pause
  --faults      say each fault as it comes

Exits with 1 where a grant was not counted, or anything but a call under way at a kill was counted twice.`

const options = {
  seconds: { type: 'string', default: '300' },
  nodes: { type: 'string', default: '3' },
  rate: { type: 'string', default: '200' },
  seed: { type: 'string', default: '1' },
  only: { type: 'string' },
  faults: { type: 'boolean', default: false },
} as const

await runCommand({ options, help }, async (values, defer) => {
  const [seconds, nodes, perSecond, seed] = [values.seconds, values.nodes, values.rate, values.seed].map(Number) as [
    number,
    number,
    number,
    number,
  ]
  const onFault = (kind: string, forMs: number) => say(`${kind} for ${(forMs / 1_000).toFixed(1)} s`)
  const kinds = (['kill', 'pause'] as const).filter((kind) => values.only === undefined || values.only === kind)
  const given = { kinds, nodes, durationMs: seconds * 1_000, perSecond, seed, ...(values.faults ? { onFault } : {}) }
  const outcome = await quotaChaos(given, defer)
  printTable(outcome.accounts.map((each) => ({ ...each })))
  const found = violations(outcome)
  say(`${outcome.faults} faults; ${found.length === 0 ? 'all counted' : found.join('; ')}`)
  await saveResults('quota-chaos', { ...outcome, violations: found })
  if (found.length > 0) process.exitCode = 1
})
