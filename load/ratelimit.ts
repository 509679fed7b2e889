// Beside envoyproxy/ratelimit: `node load/ratelimit.ts --help`.

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findGoProgram, GO_PROGRAMS } from '../test/helpers/go.ts'
import { startRatelimit } from '../test/helpers/ratelimit.ts'
import { startCluster } from './cluster.ts'
import { runCommand } from './kit/command.ts'
import { Histogram } from './kit/histogram.ts'
import { answered, cpuMicros, type Load, type LoadResult, perSecond } from './kit/load.ts'
import { alternate, medianOf, ratioOf, ratioText } from './kit/pairs.ts'
import { cpuSeconds, processTree } from './kit/process-usage.ts'
import { sayReasons } from './kit/report.ts'
import { runLoad } from './kit/run-load.ts'
import { printTable, saveResults, say } from './output.ts'
import { callsOf, SCENARIOS, type Scenario } from './ratelimit/scenarios.ts'
import { startRedis } from './redis-process.ts'

const help = `node load/ratelimit.ts [OPTIONS]: a node beside envoyproxy/ratelimit, with the same config, load and kind of Redis

  --only NAME       one of: ${SCENARIOS.map(({ name }) => name).join(', ')}
  --rounds N        runs of each server, in turn; default 3
  --seconds N       length of a run; default 4
  --in-flight N     calls under way; default 64
  --without TEXT    leaves out servers whose name holds it
  --profile FOLDER  a CPU profile of each node, into a folder of its name there

Each server has a redis-server of its own, emptied before each run. Servers: ratelimit, which Go builds (RATELIMIT_BIN names another),
where much is refused also with its local cache; Intermix with exact limits and the very same files; and with "accuracy: 1%".
"a core" are requests a second and core, by processor time of the server without Redis, and "times" what that is of ratelimit's in the
same round: the median and all from the smallest to the largest.`

const options = {
  only: { type: 'string' },
  rounds: { type: 'string', default: '3' },
  seconds: { type: 'string', default: '4' },
  'in-flight': { type: 'string', default: '64' },
  without: { type: 'string' },
  profile: { type: 'string' },
} as const

type Ending = () => Promise<unknown>
type Defer = (end: Ending) => void

interface Arm {
  readonly name: string
  readonly address: { readonly host: string; readonly port: number }
  readonly pids: readonly number[]
  readonly redis: { readonly pid: number; readonly port: number }
}

interface Run {
  readonly result: LoadResult
  readonly redisCpuSeconds: number
  readonly redisCalls: number
}

const THEIRS = 'ratelimit'

interface Starting {
  readonly binary: string
  readonly profile: string | undefined
  readonly defer: Defer
}

async function startArms(scenario: Scenario, { binary, profile, defer }: Starting): Promise<readonly Arm[]> {
  const { limits, isOver } = scenario
  const theirs = async (name: string, env: Readonly<Record<string, string>>): Promise<Arm> => {
    const redis = await startRedis()
    defer(() => redis.stop())
    const server = await startRatelimit({ binary, configs: [limits], redis: `127.0.0.1:${redis.port}`, env })
    defer(() => server.stop())
    const address = { host: '127.0.0.1', port: server.grpcPort }
    return { name, address, pids: [server.pid], redis: { pid: redis.pid(), port: redis.port } }
  }
  const ours = async (name: string, text: string): Promise<Arm> => {
    const redis = await startRedis()
    defer(() => redis.stop())
    const folder = await mkdtemp(join(tmpdir(), 'intermix-load-limits-'))
    defer(() => rm(folder, { recursive: true, force: true }))
    await writeFile(join(folder, 'load.yaml'), text)
    const flags = ['--ratelimit-config', folder]
    const into = profile === undefined ? '' : join(profile, scenario.name, name.replaceAll(/\W+/g, '-'))
    const nodeFlags = into === '' ? [] : ['--cpu-prof', '--cpu-prof-dir', into]
    const cluster = await startCluster({ nodes: 1, backends: [], redis: redis.url, name: 'limits', flags, nodeFlags })
    defer(() => cluster.stop())
    const [node] = cluster.nodes
    if (node === undefined) throw new Error('the cluster has no node')
    const [host = '', port] = node.grpcAddress.split(':')
    return {
      name,
      address: { host, port: Number(port) },
      pids: processTree(node.child.pid),
      redis: { pid: redis.pid(), port: redis.port },
    }
  }
  return [
    await theirs(THEIRS, {}),
    ...(isOver ? [await theirs(`${THEIRS}, local cache`, { LOCAL_CACHE_SIZE_IN_BYTES: String(64 << 20) })] : []),
    await ours('Intermix, exact', limits),
    await ours('Intermix, 1 %', `${limits}intermix: {accuracy: 1%}\n`),
  ]
}

function loadOn({ address, pids }: Arm, { door, keys }: Scenario, inFlight: number, seconds: number): Load {
  return {
    parts: [{ door, address, share: 1 }],
    request: 'bare',
    keys,
    pace: { kind: 'closed', inFlight, seconds },
    settleSeconds: 0,
    connections: 4,
    timeoutMs: 5_000,
    seed: 1,
    decides: true,
    fill: false,
    pids,
  }
}

async function run(arm: Arm, load: Load): Promise<Run> {
  await callsOf(arm.redis.port, 'empty')
  const before = cpuSeconds([arm.redis.pid])
  const result = await runLoad(load)
  const redisCpuSeconds = cpuSeconds([arm.redis.pid]) - before
  return { result, redisCpuSeconds, redisCalls: await callsOf(arm.redis.port) }
}

function rowOf(arm: Arm, runs: readonly Run[], theirs: readonly Run[]) {
  const median = (of: (run: Run) => number) => medianOf(runs.map(of))
  const each = (of: (run: Run) => number) => median((one) => of(one) / Math.max(1, answered(one.result)))
  const latency = (share: number) => median(({ result }) => Histogram.of(result.latency).quantile(share) / 1_000)
  const aCore = ({ result }: Run) => 1e6 / cpuMicros(result)
  return {
    server: arm.name,
    'requests/s': Math.round(median(({ result }) => perSecond(result))),
    'CPU µs': median(({ result }) => cpuMicros(result)).toFixed(1),
    'a core': Math.round(median(aCore)),
    times: ratioText(ratioOf(runs.map(aCore), theirs.map(aCore))),
    'Redis CPU µs': each(({ redisCpuSeconds }) => redisCpuSeconds * 1e6).toFixed(2),
    'Redis calls': each(({ redisCalls }) => redisCalls).toFixed(3),
    'p50 ms': latency(0.5).toFixed(2),
    'p99 ms': latency(0.99).toFixed(2),
    'over %': (100 * each(({ result }) => result.counts.deny)).toFixed(1),
  }
}

await runCommand({ options, help }, async (values, defer) => {
  const [rounds, seconds, inFlight] = [values.rounds, values.seconds, values['in-flight']].map(Number)
  if (!(rounds && seconds && inFlight)) throw new Error('--rounds, --seconds and --in-flight take numbers above 0')
  const found = await findGoProgram(GO_PROGRAMS.ratelimit)
  if ('missing' in found) throw new Error(found.missing)
  const scenarios = SCENARIOS.filter(({ name }) => values.only === undefined || name === values.only)
  if (scenarios.length === 0) throw new Error(`--only ${values.only}: there is no such scenario; see --help`)
  const figures = []
  for (const scenario of scenarios) {
    const ends: Ending[] = []
    const end = async () => {
      for (const each of ends.splice(0).toReversed()) await each()
    }
    defer(end)
    const starting = { binary: found.binary, profile: values.profile, defer: (each: Ending) => ends.push(each) }
    const all = await startArms(scenario, starting)
    const arms = all.filter(({ name }) => values.without === undefined || !name.includes(values.without))
    const runs = arms.map((arm) => () => run(arm, loadOn(arm, scenario, inFlight, seconds)))
    // Compiles their code.
    for (const warmUp of runs) await warmUp()
    const results = await alternate(runs, rounds)
    const theirs = results[arms.findIndex(({ name }) => name === THEIRS)] ?? []
    const rows = arms.map((arm, index) => rowOf(arm, results[index] ?? [], theirs))
    say(`\n${scenario.title}`)
    printTable(rows)
    for (const [index, arm] of arms.entries()) {
      const last = results[index]?.at(-1)
      if (last !== undefined) sayReasons(arm.name, last.result)
    }
    figures.push({ scenario: scenario.name, rows })
    await end()
  }
  await saveResults('ratelimit', { rounds, seconds, inFlight, figures })
})
