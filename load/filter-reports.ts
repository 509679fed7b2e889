// Whether the filter inside Envoy tells of every request, in few calls: `node load/filter-reports.ts --help`.

import { setTimeout as sleep } from 'node:timers/promises'
import type { Envoy } from '../test/helpers/envoy.ts'
import { findTool } from '../test/helpers/tools.ts'
import { startDirectEnvoy } from './envoy-filter/envoys.ts'
import { askByH2load } from './envoy-filter/h2load.ts'
import { pathFiles } from './envoy-filter/paths.ts'
import { runCommand } from './kit/command.ts'
import { cpuSeconds } from './kit/process-usage.ts'
import { startNode } from './kit/servers.ts'
import { printTable, saveResults, say } from './output.ts'

const help = `node load/filter-reports.ts [OPTIONS]: requests through a real Envoy whose filter tells a node of them, and what became of the records

  --requests N     default 1000000
  --connections N  HTTP/2, with 8 requests under way at each; default 4
  --keys N         paths that are asked for; default 8000

Ends with an error where records are missing, or calls have fewer than 2,000 records each.`

const options = {
  requests: { type: 'string', default: '1000000' },
  connections: { type: 'string', default: '4' },
  keys: { type: 'string', default: '8000' },
} as const

const IN_FLIGHT = 8
/** Records of a call, at least, as long as requests come. */
const FEWEST = 2_000
/** For the last call to be answered. */
const PATIENCE_MS = 30_000
const STATISTICS = ['accepted', 'sent', 'held', 'dropped.full', 'dropped.refused', 'calls.taken', 'calls.failed']

type Statistics = Readonly<Record<string, number>>

async function statisticsOf(envoy: Envoy): Promise<Statistics> {
  const values = STATISTICS.map(
    async (name) => [name, await envoy.stat(`wasmcustom.intermix.reports.${name}`)] as const,
  )
  return Object.fromEntries(await Promise.all(values))
}

await runCommand({ options, help }, async (values, defer) => {
  const [requests, connections, keys] = [values.requests, values.connections, values.keys].map(Number) as [
    number,
    number,
    number,
  ]
  if (!(requests > 0 && connections > 0 && keys > 0)) throw new Error('all options take numbers; see --help')
  const binary = findTool('envoy')
  if (binary === undefined || findTool('h2load') === undefined) throw new Error('Envoy and h2load are needed')
  const node = await startNode('node')
  defer(() => node.stop())
  const files = await pathFiles({ connections, requests: 100_000 }, { connections: 0, requests: 0 })
  defer(() => files.remove())
  const paths = await files.of(keys, 1)
  const settings = { report: { request_headers: ['x-b3-traceid'] } }
  const envoy = await startDirectEnvoy(binary, node.address('ext_authz').port, { by: 'filter', settings })
  defer(() => envoy.stop())
  const before = cpuSeconds([envoy.child.pid])
  const each = Math.ceil(requests / connections)
  const startedAt = performance.now()
  const { done, refused } = await askByH2load({
    files: paths.busy,
    url: envoy.url,
    inFlight: IN_FLIGHT,
    form: { requests: each },
  })
  const seconds = (performance.now() - startedAt) / 1_000
  const spent = cpuSeconds([envoy.child.pid]) - before
  const under = await statisticsOf(envoy)
  let after = under
  for (const until = performance.now() + PATIENCE_MS; performance.now() < until; await sleep(100)) {
    after = await statisticsOf(envoy)
    if (after['accepted'] === done && after['held'] === 0) break
  }
  const { accepted = 0, sent = 0, held = 0 } = after
  const calls = after['calls.taken'] ?? 0
  const dropped = (after['dropped.full'] ?? 0) + (after['dropped.refused'] ?? 0)
  const heard = await node.counter('intermix_sidecar_records_total')
  const reported = await node.counter('intermix_report_instances_total', 'handler="fan-out",event="delivered"')
  printTable([
    {
      'what became of': 'requests',
      of: done,
      seconds: seconds.toFixed(0),
      'Envoy µs': ((spent * 1e6) / done).toFixed(1),
    },
  ])
  say('')
  printTable([{ records: accepted, sent, held, dropped, 'heard by the node': heard, delivered: reported }])
  const perCall = sent / calls
  say(
    `\n${calls} calls (${after['calls.failed']} tries failed), ${perCall.toFixed(0)} records each; ${refused} requests were refused`,
  )
  await saveResults('filter-reports', {
    requests,
    connections,
    keys,
    seconds,
    spent,
    done,
    under,
    after,
    heard,
    reported,
  })
  if (accepted !== done) throw new Error(`${done} requests, and ${accepted} records`)
  if (sent + held + dropped !== accepted || heard !== sent) throw new Error('the ledger does not add up')
  if (perCall < FEWEST) throw new Error(`${perCall.toFixed(0)} records a call; at least ${FEWEST} are wanted`)
})
