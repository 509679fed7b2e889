// What the filter inside Envoy costs beside ext_authz, and beside no filter, in one run: `node load/envoy-filter.ts --help`.

import type { Envoy } from '../test/helpers/envoy.ts'
import { findTool } from '../test/helpers/tools.ts'
import { type Asks, startDirectEnvoy } from './envoy-filter/envoys.ts'
import { askByH2load } from './envoy-filter/h2load.ts'
import { type Paths, pathFiles } from './envoy-filter/paths.ts'
import { runCommand } from './kit/command.ts'
import { alternate, medianOf, ratioOf, ratioText } from './kit/pairs.ts'
import { cpuSeconds, memoryOf } from './kit/process-usage.ts'
import { startNode } from './kit/servers.ts'
import { printTable, saveResults, say } from './output.ts'

const help = `node load/envoy-filter.ts [OPTIONS]: a request through a real Envoy without a filter, with ext_authz, and with our filter, in turn

  --rounds N       of all arms; at least 3, default 5
  --seconds N      of each of the two parts of a run; default 4
  --rate N         requests a second while latency is measured; default 4000
  --connections N  HTTP/2, with 8 requests under way at each while processor time is measured; default 4. Latency is measured by others, each
                   of which asks a hundred times a second: h2load makes up for time that has passed every 10 ms, all at once
  --keys N         of the arm that does not hit always; default 60000
  --zipf N         exponent of the keys' popularity; default 1.25
  --only ARM,…     beside "none"

Envoy has one worker and answers allowed requests itself; h2load asks. The node has all answers in its cache, the filter has room for 10,000.`

const options = {
  rounds: { type: 'string', default: '5' },
  seconds: { type: 'string', default: '4' },
  rate: { type: 'string', default: '4000' },
  connections: { type: 'string', default: '4' },
  keys: { type: 'string', default: '60000' },
  zipf: { type: 'string', default: '1.25' },
  only: { type: 'string' },
} as const

const IN_FLIGHT = 8
const FILL_IN_FLIGHT = 64
/** Of each connection; then from the beginning again. */
const DRAWN = 30_000
/** Requests a second of each connection while latency is measured: one whenever h2load looks at the time. */
const CALM_PER_SECOND = 100
/** Few enough that all of them stay. */
const KEPT_KEYS = 5_000
const MEBIBYTE = 2 ** 20

interface Arm {
  readonly name: string
  readonly envoy: Envoy
  readonly paths: Paths
}

interface Figures {
  /** Microseconds of processor time for each request. */
  readonly envoy: number
  readonly node: number
  /** Under `--rate`, in microseconds. */
  readonly mean: number
  readonly p50: number
  readonly p99: number
  /** Of the requests that the filter answered, from its cache. */
  readonly hits: number
  readonly refused: number
}

await runCommand({ options, help }, async ({ only, ...values }, defer) => {
  const [rounds, seconds, rate, connections, keys, zipf] = [
    values.rounds,
    values.seconds,
    values.rate,
    values.connections,
    values.keys,
    values.zipf,
  ].map(Number) as [number, number, number, number, number, number]
  if (!(rounds >= 3 && seconds > 0 && rate > 0 && connections > 0 && keys > 0 && zipf >= 0))
    throw new Error('all options take numbers, and there are at least 3 rounds; see --help')
  const binary = findTool('envoy')
  if (binary === undefined || findTool('h2load') === undefined) throw new Error('Envoy and h2load are needed')
  const node = await startNode('node')
  defer(() => node.stop())
  const { port } = node.address('ext_authz')
  const calm = Math.ceil(rate / CALM_PER_SECOND)
  const files = await pathFiles(
    { connections, requests: DRAWN },
    { connections: calm, requests: Math.ceil(seconds * CALM_PER_SECOND) },
  )
  defer(() => files.remove())
  const kept = await files.of(KEPT_KEYS, zipf)
  const many = await files.of(keys, zipf)
  const plans: readonly (Asks & { readonly name: string; readonly paths: Paths })[] = [
    { name: 'none', by: 'nobody', paths: kept },
    { name: 'filter, hits', by: 'filter', settings: { report: undefined }, paths: kept },
    { name: 'filter, Zipf', by: 'filter', settings: { report: undefined }, paths: many },
    // As it is shipped.
    { name: 'filter, Zipf, reports', by: 'filter', paths: many },
    { name: 'ext_authz', by: 'ext_authz', paths: many },
  ]
  const wanted = ['none', ...(only?.split(',') ?? plans.map(({ name }) => name))]
  const arms: Arm[] = []
  for (const { name, paths, ...asks } of plans) {
    if (!wanted.includes(name)) continue
    const envoy = await startDirectEnvoy(binary, port, asks)
    defer(() => envoy.stop())
    // Fills all caches; the first requests of a node that has just started may be late.
    const form = { requests: paths.count }
    await askByH2load({ files: [paths.all], url: envoy.url, inFlight: FILL_IN_FLIGHT, form })
    arms.push({ name, envoy, paths })
  }
  const pids = node.pids
  const measured = await alternate(
    arms.map((arm) => () => measure(arm, seconds, pids)),
    rounds,
  )
  const [none = []] = measured
  const of = (figures: readonly Figures[], figure: keyof Figures) => figures.map((each) => each[figure])
  printTable(
    arms.map(({ name }, index) => {
      const figures = measured[index] ?? []
      const median = (figure: keyof Figures) => medianOf(of(figures, figure))
      const above = figures.map((each, round) => each.envoy - (none[round]?.envoy ?? NaN))
      return {
        'Envoy with': name,
        'Envoy µs': median('envoy').toFixed(1),
        'above none': `${medianOf(above).toFixed(1)} (${Math.min(...above).toFixed(1)}–${Math.max(...above).toFixed(1)})`,
        'node µs': median('node').toFixed(1),
        'mean ms': (median('mean') / 1_000).toFixed(2),
        'of none': ratioText(ratioOf(of(figures, 'mean'), of(none, 'mean'))),
        p50: (median('p50') / 1_000).toFixed(2),
        p99: (median('p99') / 1_000).toFixed(2),
        hits: Number.isNaN(median('hits')) ? '–' : `${(100 * median('hits')).toFixed(1)} %`,
        refused: Math.max(...of(figures, 'refused')),
      }
    }),
  )
  const memory = arms.map(({ name, envoy }) => ({ name, bytes: memoryOf([envoy.child.pid]).now }))
  say(
    `\nresident memory of Envoy, MiB: ${memory.map((each) => `${each.name} ${(each.bytes / MEBIBYTE).toFixed(1)}`).join('; ')}`,
  )
  await saveResults('envoy-filter', {
    rounds,
    seconds,
    rate,
    keys,
    zipf,
    arms: arms.map(({ name }) => name),
    measured,
    memory,
  })
})

async function measure({ envoy, paths }: Arm, seconds: number, pids: readonly number[]): Promise<Figures> {
  const base = { url: envoy.url, inFlight: IN_FLIGHT }
  const usage = () => [cpuSeconds([envoy.child.pid]), cpuSeconds(pids)] as const
  const [counted, used] = [await countedBy(envoy), usage()]
  const busy = await askByH2load({ ...base, files: paths.busy, form: { seconds } })
  const [nowCounted, nowUsed] = [await countedBy(envoy), usage()]
  const each = (index: 0 | 1) => ((nowUsed[index] - used[index]) * 1e6) / busy.done
  const [hits, asked] = [nowCounted.kept - counted.kept, nowCounted.asked - counted.asked]
  const calm = await askByH2load({ ...base, files: paths.calm, form: { seconds, perSecond: CALM_PER_SECOND } })
  return {
    envoy: each(0),
    node: each(1),
    ...calm.latency,
    hits: hits / (hits + asked),
    refused: busy.refused + calm.refused,
  }
}

async function countedBy(envoy: Envoy): Promise<{ readonly kept: number; readonly asked: number }> {
  const [kept, asked] = await Promise.all(
    ['kept', 'node'].map((from) => envoy.stat(`wasmcustom.intermix.answers.${from}`)),
  )
  return { kept: kept ?? 0, asked: asked ?? 0 }
}
