// What memory a sidecar takes: `node load/sidecar-memory.ts --help`.

import { fileURLToPath, pathToFileURL } from 'node:url'
import { resolve } from 'node:path'
import { startBackend } from './backend-control.ts'
import { startCluster } from './cluster.ts'
import { addressOf } from './kit/connection.ts'
import { runCommand } from './kit/command.ts'
import { answered, cpuMicros, unanswered, type Load } from './kit/load.ts'
import { alternate, medianOf } from './kit/pairs.ts'
import { policyText } from './kit/policy.ts'
import { type Memory, memoryParts } from './kit/process-usage.ts'
import { runLoad } from './kit/run-load.ts'
import { printTable, saveResults, say } from './output.ts'
import { startSidecar } from './sidecar-process.ts'

const help = `node load/sidecar-memory.ts [OPTIONS]: resident memory of a built sidecar (npm run build), and processor time of its hits

  --root DIR         of a built program; several are measured in turn; default this one
  --node-flags TEXT  in place of those of the root's bin/memory-flags.js; several go with the roots in turn
  --rounds N         default 3
  --keys N           answers that it keeps, default 10000
  --checks N         in all before memory is read, default 40000
  --seconds N        for which its hits are timed afterwards, 64 under way; default 4; 0: not at all

ext_authz requests as Envoy sends them, 30 attributes and 13 headers, over 4 connections, 16 under way; each key has an answer of its own. VmRSS is what the
system counts as resident. Of it RssAnon is the process's own, RssFile pages of files, mostly of Node's program, which all Node processes of a
machine share; PSS counts a shared page as a part. MB are 10⁶ bytes, as goals are given; medians of all rounds.`

const VALIDITY_SECONDS = 36_000

interface Figures {
  readonly ready: Memory
  readonly filled: Memory
  readonly cpuMicros: number
  readonly answers: number
}

await runCommand(
  {
    options: {
      root: { type: 'string', multiple: true, default: [fileURLToPath(new URL('..', import.meta.url))] },
      'node-flags': { type: 'string', multiple: true, default: [] },
      rounds: { type: 'string', default: '3' },
      keys: { type: 'string', default: '10000' },
      checks: { type: 'string', default: '40000' },
      seconds: { type: 'string', default: '4' },
    },
    help,
  },
  async (values, defer) => {
    const [rounds, keys, checks, seconds] = [values.rounds, values.keys, values.checks, values.seconds].map(Number) as [
      number,
      number,
      number,
      number,
    ]
    if (!(rounds > 0 && keys > 0 && checks >= keys && seconds >= 0)) throw new Error('wrong numbers; see --help')
    const { root: roots, 'node-flags': flagTexts } = values
    const nodes = await startNode(defer)
    const arms = Array.from({ length: Math.max(roots.length, flagTexts.length) }, (_, index) => ({
      root: resolve(roots[index % roots.length] ?? '.'),
      flags: flagTexts.length === 0 ? undefined : (flagTexts[index % flagTexts.length] ?? ''),
    }))
    const results = await alternate(
      arms.map((arm) => () => measure(nodes, arm, { keys, checks, seconds })),
      rounds,
    )
    const rows = arms.map((arm, index) => ({ ...arm, runs: results[index] ?? [] }))
    say(`medians of ${rounds} rounds; ${keys} answers kept after ${checks} checks`)
    printTable(rows.flatMap(({ root, flags, runs }) => tableOf(`${root} ${flags ?? ''}`, runs)))
    await saveResults('sidecar-memory', { keys, checks, rounds, rows })
  },
)

/** @returns addresses of nodes whose verdicts outlive the run */
async function startNode(defer: (end: () => Promise<unknown>) => void): Promise<readonly string[]> {
  const backend = await startBackend({ validitySeconds: VALIDITY_SECONDS })
  defer(() => backend.stop())
  const config = policyText({ backend: backend.url })
  const cluster = await startCluster({ nodes: 1, backends: [backend.url], redis: 'none', name: 'memory', config })
  defer(() => cluster.stop())
  return cluster.nodes.map(({ grpcAddress }) => grpcAddress)
}

interface Wanted {
  readonly keys: number
  readonly checks: number
  readonly seconds: number
}

async function measure(
  nodes: readonly string[],
  { root, flags }: { readonly root: string; readonly flags: string | undefined },
  { keys, checks, seconds }: Wanted,
): Promise<Figures> {
  const { memoryFlags, memoryEnvironment } = (await import(pathToFileURL(`${root}/bin/memory-flags.js`).href)) as {
    memoryFlags: (args: readonly string[], given: readonly string[], options: string) => string[]
    memoryEnvironment: (args: readonly string[], env: object) => Record<string, string>
  }
  const sidecar = await startSidecar({
    nodes,
    program: [...(flags?.split(' ').filter(Boolean) ?? memoryFlags(['sidecar'], [], '')), 'dist/src/main.js'],
    root,
    env: { ...memoryEnvironment(['sidecar'], {}), NODE_COMPILE_CACHE: '' },
  })
  try {
    const { pid } = sidecar.child
    const load = (given: Pick<Load, 'pace' | 'fill'>) =>
      runLoad({
        parts: [{ door: 'ext_authz', address: addressOf(sidecar.grpcAddress), share: 1 }],
        request: 'mesh',
        keys: { count: keys, zipf: 0 },
        connections: 4,
        timeoutMs: 1_000,
        seed: 1,
        decides: true,
        settleSeconds: 0,
        pids: [pid],
        ...given,
      })
    const ready = memoryParts(pid)
    let [asked, missing] = [keys, 0]
    while (asked < checks) {
      const result = await load({ pace: { kind: 'closed', inFlight: 16, seconds: 1 }, fill: asked === keys })
      asked += answered(result)
      missing += unanswered(result) + result.counts.wrong
    }
    const filled = memoryParts(pid)
    if (missing > checks / 20) throw new Error(`${missing} checks had no answer, or a wrong one`)
    const hits = seconds > 0 ? await load({ pace: { kind: 'closed', inFlight: 64, seconds }, fill: false }) : undefined
    // Last: what makes the text of metrics takes memory.
    const metrics = await (await fetch(`${sidecar.adminUrl}/metrics`)).text()
    const answers = Number(/^intermix_first_level_answers (\d+)$/m.exec(metrics)?.[1])
    if (!(answers >= 0.99 * keys)) throw new Error(`only ${answers} of ${keys} answers were kept`)
    return { ready, filled, cpuMicros: hits === undefined ? NaN : cpuMicros(hits), answers }
  } finally {
    await sidecar.child.stop()
  }
}

function tableOf(name: string, runs: readonly Figures[]) {
  const row = (when: 'ready' | 'filled') => {
    const of = (part: keyof Memory) => (medianOf(runs.map((run) => run[when][part])) / 1e6).toFixed(1)
    const all = runs.map((run) => run[when].rss / 1e6)
    return {
      sidecar: name,
      when,
      'RSS MB': `${of('rss')} (${Math.min(...all).toFixed(1)}–${Math.max(...all).toFixed(1)})`,
      RssAnon: of('anonymous'),
      RssFile: of('files'),
      PSS: of('proportional'),
      'hit µs': when === 'filled' ? medianOf(runs.map((run) => run.cpuMicros)).toFixed(1) : '',
    }
  }
  return [row('ready'), row('filled')]
}
