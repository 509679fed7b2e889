// What a node still answers when more comes than it can: `node load/overload.ts [--quick]`. The driver is a process of its
// own and costs a few microseconds a call; callers wait 200 ms. Answers come out of the node's own cache.

import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { startBackend } from './backend-control.ts'
import { startCluster } from './cluster.ts'
import { printTable, runScenario, saveResults, say, scenarioOptions } from './output.ts'

const TIMEOUT_MS = 200
const FACTORS = [1, 1.8, 3]
const DRIVER = fileURLToPath(new URL('overload/drive.ts', import.meta.url))

const { quick } = scenarioOptions()
const seconds = quick ? 4 : 15

/** What the driver prints. `expired` heard DEADLINE_EXCEEDED, `gone` nothing in time, `unsent` had no connection left. */
interface Figures {
  readonly answered: number
  readonly shed: number
  readonly expired: number
  readonly failed: number
  readonly gone: number
  readonly unsent: number
  readonly perSecond: number
  readonly answeredP99: number
  readonly shedP50: number
  readonly shedP99: number
  readonly lateP99: number
}

async function run(protocol: string, address: string, rate: number, forSeconds: number): Promise<Figures> {
  const args = [DRIVER, protocol, address, String(rate), String(forSeconds), String(TIMEOUT_MS)]
  const { stdout } = await promisify(execFile)(process.execPath, args)
  return JSON.parse(stdout) as Figures
}

await runScenario(async (defer) => {
  const backend = await startBackend({ validitySeconds: 600 })
  defer(() => backend.stop())
  const cluster = await startCluster({ nodes: 1, backends: [backend.url], redis: 'none', name: 'overload' })
  defer(() => cluster.stop())
  const [node] = cluster.nodes
  if (node === undefined) throw new Error('the cluster has no node')
  const rows = []
  for (const [protocol, address] of [
    ['grpc', node.grpcAddress],
    ['http', new URL(node.httpUrl).host],
  ] as const) {
    await run(protocol, address, 0, 3)
    const { perSecond: peak } = await run(protocol, address, 0, seconds)
    say(`${protocol}: ${Math.round(peak)} checks a second with 64 under way`)
    for (const factor of FACTORS)
      rows.push({ protocol, factor, peak, ...(await run(protocol, address, Math.round(peak * factor), seconds)) })
  }
  const share = (part: number, row: Figures) => {
    const { answered, shed, expired, failed, gone, unsent } = row
    return `${((part / Math.max(1, answered + shed + expired + failed + gone + unsent)) * 100).toFixed(1)} %`
  }
  printTable(
    rows.map((row) => ({
      door: row.protocol,
      load: `${row.factor} x`,
      'goodput/peak': (row.perSecond / row.peak).toFixed(2),
      answered: share(row.answered, row),
      shed: share(row.shed, row),
      expired: share(row.expired + row.gone + row.failed, row),
      unsent: share(row.unsent, row),
      'answer p99 ms': row.answeredP99.toFixed(0),
      'shed p50 ms': row.shedP50.toFixed(0),
      'shed p99 ms': row.shedP99.toFixed(0),
      'driver late p99': row.lateP99.toFixed(1),
    })),
  )
  await saveResults('overload', { quick, rows })
})
