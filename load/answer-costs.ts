// What an answer costs by where it comes from: `node load/answer-costs.ts --help`.

import { startLibrary } from './answer-costs/library.ts'
import { type Place, REMOTE, startPlaces } from './answer-costs/servers.ts'
import type { LibraryFigures } from './answer-costs/library-process.ts'
import { runCommand } from './kit/command.ts'
import { Histogram } from './kit/histogram.ts'
import { answered, type Load, unanswered } from './kit/load.ts'
import { alternate, medianOf, ratioOf, ratioText } from './kit/pairs.ts'
import { cpuSeconds } from './kit/process-usage.ts'
import { runLoad } from './kit/run-load.ts'
import { printTable, saveResults, say } from './output.ts'

const help = `node load/answer-costs.ts [OPTIONS]: latency and processor time of an answer from the library, a sidecar, a node, the mesh and a backend

  --rounds N         of all places in turn; default 3
  --seconds N        of each of the two parts of a run; default 4
  --rate N           checks a second while latency is measured; default 500
  --in-flight N      calls under way while processor time is measured; default 64
  --keys N           default 1000
  --network MS       between proxy and the node that is far away, for a request and its answer together; default 1

ext_authz requests as Envoy sends them, 30 attributes and 13 headers, over 4 connections. Latency counts at the caller from when it should have asked.
The backend answers at once: any time that it takes comes on top. The library is asked with 10 attributes, of which one is a map of 13 headers;
its figures are means of 50 checks.`

const options = {
  rounds: { type: 'string', default: '3' },
  seconds: { type: 'string', default: '4' },
  rate: { type: 'string', default: '500' },
  'in-flight': { type: 'string', default: '64' },
  keys: { type: 'string', default: '1000' },
  network: { type: 'string', default: '1' },
} as const

/** Seconds of a run that are not counted. */
const SETTLE_SECONDS = 1

interface Figures {
  /** In ms. */
  readonly p50: number
  readonly p99: number
  readonly lateP99: number
  readonly unanswered: number
  readonly wrong: number
  /** Microseconds for each answer, by process. */
  readonly cpu: Readonly<Record<string, number>>
}

await runCommand({ options, help }, async (values, defer) => {
  const [rounds, seconds, rate, inFlight, keys, network] = [
    values.rounds,
    values.seconds,
    values.rate,
    values['in-flight'],
    values.keys,
    values.network,
  ].map(Number) as [number, number, number, number, number, number]
  if (!(rounds > 0 && seconds > 0 && rate > 0 && inFlight > 0 && keys > 0 && network >= 0))
    throw new Error('all options take numbers; see --help')
  const { places, nodeAddress } = await startPlaces(network, defer)
  const library = await startLibrary(nodeAddress, keys)
  defer(() => library.stop())
  const base = {
    request: 'mesh',
    keys: { count: keys, zipf: 1 },
    connections: 4,
    timeoutMs: 1_000,
    seed: 1,
    decides: true,
    fill: false,
    pids: [],
  } as const
  const on = ({ address }: Place, load: Pick<Load, 'pace' | 'settleSeconds'> & { readonly fill?: boolean }) =>
    runLoad({ ...base, parts: [{ door: 'ext_authz', address, share: 1 }], ...load })
  const measure = async (place: Place): Promise<Figures> => {
    const phases = [{ from: rate, to: rate, seconds: SETTLE_SECONDS + seconds }]
    const calm = await on(place, { pace: { kind: 'open', phases }, settleSeconds: SETTLE_SECONDS })
    const before = usageOf(place)
    const busy = await on(place, { pace: { kind: 'closed', inFlight, seconds }, settleSeconds: 0 })
    const after = usageOf(place)
    const latency = Histogram.of(calm.latency)
    return {
      p50: latency.quantile(0.5) / 1_000,
      p99: latency.quantile(0.99) / 1_000,
      lateP99: Histogram.of(calm.late).quantile(0.99) / 1_000,
      unanswered: unanswered(calm) + unanswered(busy),
      wrong: calm.counts.wrong + busy.counts.wrong,
      cpu: Object.fromEntries(
        Object.keys(place.pids).map((name) => [
          name,
          (1e6 * ((after[name] ?? 0) - (before[name] ?? 0))) / Math.max(1, answered(busy)),
        ]),
      ),
    }
  }
  // Fills caches and has code compiled.
  for (const place of places)
    await on(place, { pace: { kind: 'closed', inFlight, seconds: 3 }, settleSeconds: 0, fill: true })
  const libraryRuns: LibraryFigures[] = []
  const measureLibrary = async () => {
    libraryRuns.push(await library.measure(seconds))
  }
  const results = await alternate(
    places.map((place, index) => async () => {
      // Once a round, beside the others.
      if (index === 0) await measureLibrary()
      return await measure(place)
    }),
    rounds,
  )
  const rows = places.map(({ name, pids }, index) => ({ name, pids, runs: results[index] ?? [] }))
  say(
    `${keys} keys, latency at ${rate} checks a second, processor time with ${inFlight} under way; medians of ${rounds} rounds`,
  )
  const micros = (of: (figures: LibraryFigures) => number) => medianOf(libraryRuns.map(of)).toFixed(2)
  say(
    `library: p50 ${micros(({ p50 }) => p50 / 1_000)} µs, p99 ${micros(({ p99 }) => p99 / 1_000)} µs, processor ` +
      `${micros(({ cpuMicros }) => cpuMicros)} µs, ${libraryRuns.reduce((n, { asked }) => n + asked, 0)} not answered at once; goal: at most 1`,
  )
  printTable(
    rows.map(({ name, pids, runs }) => ({
      'answer of': name,
      'p50 ms': medianOf(runs.map(({ p50 }) => p50)).toFixed(2),
      'p99 ms': medianOf(runs.map(({ p99 }) => p99)).toFixed(2),
      'processor µs': Object.keys(pids)
        .map((of) => `${of} ${medianOf(runs.map(({ cpu }) => cpu[of] ?? 0)).toFixed(1)}`)
        .join(', '),
      'no answer': sum(runs.map((run) => run.unanswered)),
      wrong: sum(runs.map(({ wrong }) => wrong)),
      'driver late p99': medianOf(runs.map(({ lateP99 }) => lateP99)).toFixed(2),
    })),
  )
  const remote = rows.find(({ name }) => name === REMOTE)?.runs.map(({ p50 }) => p50) ?? []
  for (const { name, runs } of rows.slice(0, 2)) {
    const ratio = ratioOf(
      remote,
      runs.map(({ p50 }) => p50),
    )
    say(`p50 of the node ${network} ms away beside ${name}: ${ratioText(ratio)}; goal: at least 2`)
  }
  await saveResults('answer-costs', { keys, rate, inFlight, network, rounds, rows, library: libraryRuns })
})

function usageOf({ pids }: Place): Record<string, number> {
  return Object.fromEntries(Object.entries(pids).map(([name, pid]) => [name, cpuSeconds([pid])]))
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
