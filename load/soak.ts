// A node with many more keys than it meets at once, for long: `node load/soak.ts --help`. Its memory, the pauses of its
// collections, stalls of its loop, and callers that waited in vain.

import { GcTrace } from './kit/gc-trace.ts'
import { Histogram } from './kit/histogram.ts'
import { runCommand } from './kit/command.ts'
import { LOAD_HELP, LOAD_OPTIONS, loadOn, readLoad } from './kit/load-options.ts'
import { memoryOf } from './kit/process-usage.ts'
import { resultRow, savePlot, sayReasons } from './kit/report.ts'
import { runLoad } from './kit/run-load.ts'
import { startNode } from './kit/servers.ts'
import { printTable, saveResults, say } from './output.ts'

const QUICK_SECONDS = 60
const SECONDS = 1_200
/** What a node may keep (--cache-max-bytes), as it is run here. */
const CACHE_BYTES = 128 * 2 ** 20
const MAX_RSS = 2.5 * CACHE_BYTES
const MAX_PAUSE_MS = 50

const help = `node load/soak.ts [--quick] [OPTIONS]: 20 minutes, or one, of 200,000 keys at a node with a cache of 128 MiB

  --quick                 ${QUICK_SECONDS} s instead of ${SECONDS}
  --server NODE           default "node --cache-max-bytes 128MiB"; with flags in quotes: "node --transport native"
  --validity SECONDS      how long verdicts are valid; default 300

${LOAD_HELP}

Here 200,000 keys, 3,000 a second, callers leave after 2 s, and the cache begins empty, unless told otherwise.
Goals, on a machine that does nothing else: no collection stops the node for more than ${MAX_PAUSE_MS} ms; resident memory stays
below 2.5 times the cache's bound, ${MAX_RSS / 2 ** 20} MiB; nobody waits in vain.`

const options = {
  ...LOAD_OPTIONS,
  keys: { type: 'string', default: '200000' },
  rate: { type: 'string', default: '3000' },
  timeout: { type: 'string', default: '2000' },
  seconds: { type: 'string' },
  validity: { type: 'string', default: '300' },
  quick: { type: 'boolean', default: false },
  server: { type: 'string', default: 'node --cache-max-bytes 128MiB' },
} as const

await runCommand({ options, help }, async (values, defer) => {
  const seconds = values.seconds ?? String(values.quick ? QUICK_SECONDS : SECONDS)
  const given = { ...readLoad({ ...values, seconds }), fill: false }
  const trace = new GcTrace()
  const node = await startNode(values.server, {
    validitySeconds: Number(values.validity),
    nodeFlags: ['--trace-gc'],
    onOutput: (text) => trace.take(text),
  })
  defer(() => node.stop())
  const samples: { seconds: number; rssMiB: number }[] = []
  const startedAt = performance.now()
  const watch = setInterval(
    () => samples.push({ seconds: (performance.now() - startedAt) / 1_000, rssMiB: memoryOf(node.pids).now / 2 ** 20 }),
    1_000,
  )
  defer(async () => clearInterval(watch))
  const before = trace.collections.length
  const result = await runLoad(loadOn(node, given))
  const collections = trace.collections.slice(before)
  const tiers = await Promise.all(
    ['local', 'backend', 'stale'].map(async (tier) => [
      tier,
      await node.counter('intermix_checks_total', `tier="${tier}"`),
    ]),
  )
  const stalls = await node.counter('intermix_loop_stalls_total')
  const [entries, bytes] = [await node.counter('intermix_cache_entries'), await node.counter('intermix_cache_bytes')]
  printTable([resultRow('node', result)])
  sayReasons('node', result)
  printTable(pauseRows(collections))
  const { now, peak } = memoryOf(node.pids)
  const mib = (value: number) => `${Math.round(value / 2 ** 20)} MiB`
  const inVain = result.counts.gone + result.counts.expired + result.counts.unsent
  const longest = Math.max(0, ...collections.map(({ pauseMs }) => pauseMs))
  say(`answers by tier: ${tiers.map(([tier, count]) => `${tier} ${count}`).join(', ')}`)
  say(`cache: ${entries} entries, ${mib(bytes)} by its own count`)
  say(`resident: ${mib(now)} at the end, ${mib(peak)} at most; goal: at most ${mib(MAX_RSS)}: ${met(peak <= MAX_RSS)}`)
  say(`longest collection: ${longest.toFixed(1)} ms; goal: at most ${MAX_PAUSE_MS} ms: ${met(longest <= MAX_PAUSE_MS)}`)
  say(`stalls of the loop (25 ms or longer): ${stalls}`)
  say(`no answer within ${values.timeout} ms: ${inVain}; goal: none: ${met(inVain === 0)}`)
  await saveResults('soak', { load: given, result, collections, samples, stalls, tiers, entries, bytes })
  await savePlot('soak', `${values.keys} keys, ${values.rate} a second`, [{ name: 'node', result }])
})

function met(isMet: boolean): string {
  return isMet ? 'met' : 'missed'
}

function pauseRows(collections: GcTrace['collections']) {
  return [...new Set(collections.map(({ kind }) => kind))].map((kind) => {
    const own = collections.filter((each) => each.kind === kind)
    const pauses = new Histogram()
    for (const { pauseMs } of own) pauses.record(pauseMs * 1_000)
    const ms = (micros: number) => (micros / 1_000).toFixed(1)
    return {
      collection: kind,
      count: own.length,
      'p50 ms': ms(pauses.quantile(0.5)),
      'p99 ms': ms(pauses.quantile(0.99)),
      'longest ms': ms(pauses.max),
      'largest heap MiB': Math.round(Math.max(...own.map(({ heapMiB }) => heapMiB))),
    }
  })
}
