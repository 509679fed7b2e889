// The README's table: `npm run bench`, or `node load/bench.ts --help`.

import { readFile, writeFile } from 'node:fs/promises'
import { cpus, loadavg } from 'node:os'
import { fileURLToPath } from 'node:url'
import type { Baseline } from './kit/baseline.ts'
import { BENCH_ROWS, type BenchRow } from './kit/bench-rows.ts'
import { runCommand } from './kit/command.ts'
import { Histogram } from './kit/histogram.ts'
import { answered, cpuMicros, type Load, type LoadResult, perSecond, unanswered } from './kit/load.ts'
import { alternate, medianOf, type Ratio, ratioOf, ratioText } from './kit/pairs.ts'
import { savePlot, sayReasons } from './kit/report.ts'
import { runLoad } from './kit/run-load.ts'
import { type Server, startServer } from './kit/servers.ts'
import { printTable, saveResults, say } from './output.ts'

const help = `npm run bench, or node load/bench.ts [OPTIONS]: what a check costs at each door, beside bare echoes

  --rounds N              runs of each row, in turn; default 3, which takes about four minutes
  --readme                write the table into README.md
  --save-baseline         keep the ratios in load/baseline.json, for node load/compare-baseline.ts

Answers come from the node's own cache: 100 keys, requests of a mesh's proxy (30 attributes, 13 headers), 64 under way, 1,024 in batches.
Ratios are of processor time a check, to the echo of the same round; in brackets the smallest and the largest.`

const options = {
  rounds: { type: 'string', default: '3' },
  readme: { type: 'boolean', default: false },
  'save-baseline': { type: 'boolean', default: false },
} as const

const SETTLE_SECONDS = 1
const SECONDS = 3
const HALF_LOAD_SECONDS = 4

interface Measured extends BenchRow {
  readonly results: readonly LoadResult[]
  readonly atHalf: LoadResult
  readonly ratio: Ratio | undefined
}

function loadOf(row: BenchRow, server: Server, pace: Load['pace'], fill: boolean): Load {
  return {
    parts: [{ door: row.door, address: server.address(row.door), share: 1 }],
    request: 'mesh',
    keys: { count: 100, zipf: 0 },
    pace,
    settleSeconds: SETTLE_SECONDS,
    connections: 4,
    timeoutMs: 2_000,
    seed: 1,
    decides: server.decides,
    fill,
    pids: server.pids,
  }
}

function closed({ inFlight }: BenchRow): Load['pace'] {
  return { kind: 'closed', inFlight, seconds: SETTLE_SECONDS + SECONDS }
}

/** Beside the median over its rounds, how a server does when it is asked for half of what it can. */
function halfLoad(results: readonly LoadResult[]): Load['pace'] {
  const rate = medianOf(results.map(perSecond)) / 2
  return { kind: 'open', phases: [{ from: rate, to: rate, seconds: SETTLE_SECONDS + HALF_LOAD_SECONDS }] }
}

async function measure(rounds: number, defer: (end: () => Promise<unknown>) => void): Promise<readonly Measured[]> {
  const servers = new Map<string, Server>()
  for (const text of new Set(BENCH_ROWS.map((row) => row.server))) {
    const server = await startServer(text)
    defer(() => server.stop())
    servers.set(text, server)
  }
  const serverOf = ({ server }: BenchRow) => servers.get(server) as Server
  const rows: BenchRow[] = []
  // A first run of each compiles its code and fills its cache.
  for (const row of BENCH_ROWS) {
    const result = await runLoad(loadOf(row, serverOf(row), closed(row), true))
    if (answered(result) > 0) rows.push(row)
    else sayReasons(row.name, result)
  }
  const all = await alternate(
    rows.map((row) => () => runLoad(loadOf(row, serverOf(row), closed(row), false))),
    rounds,
  )
  const cpuOf = (row: BenchRow) => (all[rows.indexOf(row)] ?? []).map(cpuMicros)
  const measured = []
  for (const [index, row] of rows.entries()) {
    const results = all[index] ?? []
    const echo = rows.find(({ name }) => name === row.beside)
    const ratio = echo === undefined ? undefined : ratioOf(cpuOf(row), cpuOf(echo))
    measured.push({
      ...row,
      results,
      ratio,
      atHalf: await runLoad(loadOf(row, serverOf(row), halfLoad(results), false)),
    })
  }
  return measured
}

function tableRow({ name, results, ratio, atHalf }: Measured) {
  const latency = Histogram.of(atHalf.latency)
  const peak = Math.max(...results.map(({ peakBytes }) => peakBytes), atHalf.peakBytes)
  return {
    '': name,
    'CPU µs a check': medianOf(results.map(cpuMicros)).toFixed(1),
    'times the echo': ratio === undefined ? '' : ratioText(ratio),
    'checks a second': String(Math.round(medianOf(results.map(perSecond)) / 100) * 100),
    'p50 at half load, ms': (latency.quantile(0.5) / 1_000).toFixed(2),
    p99: (latency.quantile(0.99) / 1_000).toFixed(2),
    'peak memory, MB': String(Math.round(peak / 1e6)),
  }
}

type TableRow = ReturnType<typeof tableRow>

function markdown(rows: readonly TableRow[]): string {
  const columns = Object.keys(rows[0] ?? {}) as (keyof TableRow)[]
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  return [line(columns), line(columns.map(() => '---')), ...rows.map((row) => line(columns.map((c) => row[c])))].join(
    '\n',
  )
}

/** What the machine had to do already: latencies and rates are worth little where that is much. */
const [otherLoad = 0] = loadavg()

/** Replaces what stands between the marks. */
async function writeReadme(table: string): Promise<void> {
  const path = fileURLToPath(new URL('../README.md', import.meta.url))
  const text = await readFile(path, 'utf8')
  const day = new Date().toISOString().slice(0, 10)
  const machine = `${day}, ${cpus().length} cores (${cpus()[0]?.model}), Node ${process.versions.node}, load average before ${otherLoad.toFixed(1)}:`
  const next = text.replace(/(<!-- bench -->\n)[^]*(<!-- \/bench -->)/, `$1${machine}\n\n${table}\n$2`)
  if (next === text) throw new Error('README.md has no place for the table: <!-- bench --> and <!-- /bench -->')
  await writeFile(path, next)
}

await runCommand({ options, help }, async (values, defer) => {
  const rounds = Number(values.rounds)
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error(`--rounds ${values.rounds}: a whole number from 1`)
  const measured = await measure(rounds, defer)
  const rows = measured.map(tableRow)
  printTable(rows)
  for (const { name, atHalf } of measured)
    if (unanswered(atHalf) + atHalf.counts.wrong > 0) sayReasons(`${name}, at half load`, atHalf)
  const baseline: Baseline = Object.fromEntries(
    measured.flatMap(({ name, ratio }) =>
      ratio === undefined ? [] : [[name, { median: ratio.median, lowest: ratio.lowest, highest: ratio.highest }]],
    ),
  )
  await saveResults('bench', { rounds, baseline, measured })
  await savePlot(
    'bench',
    'latency at half load',
    measured.map(({ name, atHalf }) => ({ name, result: atHalf })),
  )
  if (values.readme) await writeReadme(markdown(rows))
  if (!values['save-baseline']) return
  await writeFile(
    fileURLToPath(new URL('baseline.json', import.meta.url)),
    `${JSON.stringify(baseline, undefined, 2)}\n`,
  )
  say('baseline: load/baseline.json')
})
