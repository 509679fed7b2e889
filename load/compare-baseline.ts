// What got slower than load/baseline.json: `node load/compare-baseline.ts`, after `npm run bench`. Exits with 1 where anything did.

import { readFile } from 'node:fs/promises'
import { type Baseline, judge } from './kit/baseline.ts'
import { runCommand } from './kit/command.ts'
import { printTable, say } from './output.ts'

const help = `node load/compare-baseline.ts [--results FILE] [--baseline FILE]: what got slower

  --results FILE          default load/results/bench.json, which npm run bench writes
  --baseline FILE         default load/baseline.json, which node load/bench.ts --save-baseline writes

Compared are ratios of processor time to the echo of the same run. Slower is what is a tenth above the baseline's median, and
whose rounds are all above it, or whose median is above all of its rounds. Exits with 1 where a row is slower or gone.`

const options = {
  results: { type: 'string' },
  baseline: { type: 'string' },
} as const

async function read(file: string | undefined, usual: string, how: string): Promise<unknown> {
  const path = file ?? new URL(usual, import.meta.url)
  return JSON.parse(
    await readFile(path, 'utf8').catch(() => {
      throw new Error(`${file ?? `load/${usual}`} cannot be read: ${how} writes it`)
    }),
  )
}

await runCommand({ options, help }, async (values) => {
  const baseline = (await read(values.baseline, 'baseline.json', 'node load/bench.ts --save-baseline')) as Baseline
  const results = (await read(values.results, 'results/bench.json', 'npm run bench')) as { baseline: Baseline }
  const judged = judge(baseline, results.baseline)
  const text = (ratio: number | undefined) => ratio?.toFixed(3) ?? '–'
  printTable(judged.map(({ row, before, now, verdict }) => ({ row, before: text(before), now: text(now), verdict })))
  const worse = judged.filter(({ verdict }) => verdict === 'slower' || verdict === 'gone')
  say(worse.length === 0 ? 'nothing got slower' : `slower or gone: ${worse.map(({ row }) => row).join('; ')}`)
  if (worse.length > 0) process.exitCode = 1
})
