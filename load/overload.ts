// What a node still answers when more comes than it can: `node load/overload.ts [--quick]`. The driver is a process of its
// own and costs a few microseconds a call; callers wait 200 ms. Answers come out of the node's own cache.

import { Histogram } from './kit/histogram.ts'
import { answered, type Load, type LoadResult, perSecond, unanswered } from './kit/load.ts'
import { runLoad } from './kit/run-load.ts'
import { startServer } from './kit/servers.ts'
import { printTable, runScenario, saveResults, say, scenarioOptions } from './output.ts'

const TIMEOUT_MS = 200
const FACTORS = [1, 1.8, 3]
/** The server must notice that it is too much. */
const SETTLE_SECONDS = 1
const CONNECTIONS = { ext_authz: 8, http: 1_000 }

const { quick } = scenarioOptions()
const seconds = quick ? 4 : 15

await runScenario(async (defer) => {
  const server = await startServer('node')
  defer(() => server.stop())
  const rows: { door: string; factor: number; peak: number; result: LoadResult }[] = []
  for (const door of ['ext_authz', 'http'] as const) {
    const run = (pace: Load['pace']) =>
      runLoad({
        parts: [{ door, address: server.address(door), share: 1 }],
        request: 'bare',
        keys: { count: 100, zipf: 0 },
        pace,
        settleSeconds: SETTLE_SECONDS,
        // Connections of HTTP/1.1 are for what is sent too much: the peak is what 64 callers get.
        connections: pace.kind === 'open' ? CONNECTIONS[door] : 8,
        timeoutMs: TIMEOUT_MS,
        seed: 1,
        decides: true,
        fill: pace.kind === 'closed',
        pids: server.pids,
      })
    const closed = (forSeconds: number) => run({ kind: 'closed', inFlight: 64, seconds: SETTLE_SECONDS + forSeconds })
    await closed(3)
    const peak = perSecond(await closed(seconds))
    say(`${door}: ${Math.round(peak)} checks a second with 64 under way`)
    for (const factor of FACTORS) {
      const rate = peak * factor
      const phase = { from: rate, to: rate, seconds: SETTLE_SECONDS + seconds }
      rows.push({ door, factor, peak, result: await run({ kind: 'open', phases: [phase], impatient: true }) })
    }
  }
  printTable(
    rows.map(({ door, factor, peak, result }) => {
      const { counts } = result
      const all = Math.max(1, answered(result) + unanswered(result))
      const share = (...parts: readonly number[]) =>
        `${((parts.reduce((sum, part) => sum + part) / all) * 100).toFixed(1)} %`
      const [latency, shed, late] = [result.latency, result.shed, result.late].map((data) => Histogram.of(data))
      const ms = (histogram: Histogram | undefined, at: number) => ((histogram?.quantile(at) ?? 0) / 1_000).toFixed(0)
      return {
        door,
        load: `${factor} x`,
        'goodput/peak': (perSecond(result) / peak).toFixed(2),
        answered: share(answered(result)),
        shed: share(counts.shed),
        expired: share(counts.expired, counts.gone, counts.failed),
        unsent: share(counts.unsent),
        wrong: counts.wrong,
        'answer p99 ms': ms(latency, 0.99),
        'shed p50 ms': ms(shed, 0.5),
        'shed p99 ms': ms(shed, 0.99),
        'driver late p99': ms(late, 0.99),
      }
    }),
  )
  await saveResults('overload', { quick, rows })
})
