// A memory that divides itself between caches: `node load/cache-tuning.ts --help`.

import { runTuned } from './cache-tuning/run.ts'
import { PARTS, WORKLOADS } from './cache-tuning/workloads.ts'
import { runCommand } from './kit/command.ts'
import { printTable, saveResults, say } from './output.ts'

const help = `node load/cache-tuning.ts [--quick] [OPTIONS]: caches that divide their memory by themselves, beside the best division that stays

  --memory BYTES   of the caches; default 4000000
  --rate N         look-ups a second; default 2000
  --minutes N      of each phase; default 10
  --seed N         default 1
  --quick          one workload, 200 look-ups a second

Three workloads, each of which shifts in the middle, on simulated time: the caches of a node, which begin with half of the memory for
answers and a quarter for each of two handlers. The best division is found by trying all by twentieths. Exits with 1 where
less than 98 % of its hits are had in the last minute of a phase, or caches had more than their memory.`

const options = {
  memory: { type: 'string', default: '4000000' },
  rate: { type: 'string', default: '2000' },
  minutes: { type: 'string', default: '10' },
  seed: { type: 'string', default: '1' },
  quick: { type: 'boolean', default: false },
} as const

const ENOUGH = 0.98
const percent = (share: number) => (100 * share).toFixed(1)

await runCommand({ options, help }, async ({ memory, rate, minutes, seed, quick }) => {
  const rows: Record<string, string | number>[] = []
  const outcomes: object[] = []
  let isGood = true
  for (const workload of quick ? WORKLOADS.slice(0, 1) : WORKLOADS) {
    const outcome = runTuned(workload, {
      memoryBytes: Number(memory),
      requestsPerSecond: quick ? 200 : Number(rate),
      minutes: Number(minutes),
      seed: Number(seed),
    })
    outcomes.push({ workload: workload.name, ...outcome })
    for (const [index, phase] of outcome.phases.entries()) {
      const share = phase.hitRatio / phase.bestRatio
      isGood &&= share >= ENOUGH && outcome.mostBound <= 1 && outcome.mostHeld <= 1
      const reached = phase.byMinute.findIndex((ratio) => ratio >= ENOUGH * phase.bestRatio)
      rows.push({
        workload: workload.name,
        phase: index === 0 ? 'first' : 'shifted',
        'hits %': percent(phase.hitRatio),
        'best %': percent(phase.bestRatio),
        'of best %': percent(share),
        '98 % after min': reached < 0 ? '–' : reached + 1,
        'sizes %': PARTS.map((part) => percent(phase.sizes[part])).join(' '),
        'best sizes %': PARTS.map((part) => percent(phase.best[part])).join(' '),
        'moves (back)': `${outcome.moves} (${outcome.movesBack})`,
        'most memory %': percent(Math.max(outcome.mostBound, outcome.mostHeld)),
      })
    }
  }
  printTable(rows)
  if (!isGood) {
    say('not good enough')
    process.exitCode = 1
  }
  await saveResults('cache-tuning', { outcomes })
})
