// Which cache makes room best, and at what cost: `node load/eviction.ts --help`.

import { hash } from 'node:crypto'
import { CONTENDERS, type ContenderName } from './eviction/contenders.ts'
import { type Trace, traces } from './eviction/traces.ts'
import { runCommand } from './kit/command.ts'
import { medianOf } from './kit/pairs.ts'
import { printTable, saveResults, say } from './output.ts'

const help = `node load/eviction.ts [--quick] [OPTIONS]: hits and processor time of caches that make room by LRU, second chance and S3-FIFO

  --requests N   of each trace; default 1000000
  --rounds N     default 5, in turn; the median is told
  --seed N       default 1
  --quick        one round of 200000 requests

Seven traces over 100,000 keys, of caches for 2,000 and 20,000 entries. Keys are texts like those of verdicts. A miss stores.`

const options = {
  requests: { type: 'string', default: '1000000' },
  rounds: { type: 'string', default: '5' },
  seed: { type: 'string', default: '1' },
  quick: { type: 'boolean', default: false },
} as const

const SIZES = [2_000, 20_000]
const NAMES = Object.keys(CONTENDERS) as ContenderName[]

interface Outcome {
  readonly hits: number
  readonly nanoseconds: number
}

function play(name: ContenderName, entries: number, { keys }: Trace, texts: readonly string[]): Outcome {
  const cache = CONTENDERS[name](entries)
  const before = process.cpuUsage()
  let hits = 0
  for (const key of keys) if (cache.ask(texts[key] as string)) hits++
  const { user, system } = process.cpuUsage(before)
  return { hits: (100 * hits) / keys.length, nanoseconds: (1_000 * (user + system)) / keys.length }
}

await runCommand({ options, help }, async ({ requests, rounds, seed, quick }) => {
  const length = quick ? 200_000 : Number(requests)
  const all = traces(length, Number(seed))
  const most = Math.max(...all.map(({ keys }) => keys.reduce((one, two) => Math.max(one, two))))
  const texts = Array.from({ length: most + 1 }, (_, key) => hash('sha256', String(key), 'base64url'))
  for (const name of NAMES) play(name, 2_000, all[0] as Trace, texts)
  const rows: Record<string, string | number>[] = []
  const wins = { 'lru-cache': 0, 'second chance': 0 }
  for (const trace of all) {
    for (const entries of SIZES) {
      const outcomes = new Map<ContenderName, Outcome[]>(NAMES.map((name) => [name, []]))
      for (let round = 0; round < (quick ? 1 : Number(rounds)); round++)
        for (const name of NAMES) outcomes.get(name)?.push(play(name, entries, trace, texts))
      const of = (name: ContenderName): Outcome => {
        const list = outcomes.get(name) ?? []
        return { hits: list[0]?.hits ?? 0, nanoseconds: medianOf(list.map(({ nanoseconds }) => nanoseconds)) }
      }
      const own = of('s3-fifo')
      for (const rival of ['lru-cache', 'second chance'] as const)
        if (own.hits > of(rival).hits && own.nanoseconds < of(rival).nanoseconds) wins[rival]++
      const row: Record<string, string | number> = { trace: trace.name, entries }
      for (const name of NAMES) row[name] = `${of(name).hits.toFixed(1)} % ${of(name).nanoseconds.toFixed(0)} ns`
      rows.push(row)
    }
  }
  printTable(rows)
  for (const [rival, won] of Object.entries(wins))
    say(`s3-fifo has more hits than ${rival} in less time in ${won} of ${rows.length} rows`)
  await saveResults('eviction', { rows, wins })
})
