// A node whose connections come and go, of peers that behave and of such that do not: `node load/connection-churn.ts
// [--quick] [--seed N]`. What it holds must not grow with what has been. Exits with 1 where it does.

import { create, toBinary } from '@bufbuild/protobuf'
import { CheckRequestSchema } from '../src/wire/generated/envoy/service/auth/v3/external_auth_pb.ts'
import { startBackend } from './backend-control.ts'
import { type Peer, WAYS } from './churn/peers.ts'
import { startCluster } from './cluster.ts'
import { memoryOf } from './kit/process-usage.ts'
import { decisionOn, pathOf } from './oracle.ts'
import { printTable, runScenario, saveResults, say, scenarioOptions } from './output.ts'
import { seededRandom } from './random.ts'
import { serviceOf } from './targets.ts'

const KEYS = 100
const PEERS = 60
/** From the third quarter to the last; the first half is for what grows once: compiled code, pools, caches, the heap itself. */
const MAX_GROWTH_MIB = 16

const MIB = 1024 * 1024
const GAUGES = ['nodejs_heap_size_used_bytes', 'nodejs_external_memory_bytes', 'intermix_grpc_connections']

const { quick, seed } = scenarioOptions()
const durationMs = quick ? 90_000 : 1_200_000
const everyMs = durationMs / 60

interface Sample {
  readonly seconds: number
  readonly rssMib: number
  /** In use: the heap, and buffers beside it. */
  readonly heldMib: number
  readonly connections: number
}

/** What the last quarter of the samples has more than the one before, by what stands for a quarter. */
function growth(samples: readonly Sample[], quarter: (samples: readonly Sample[]) => number): number {
  const half = Math.floor(samples.length / 2)
  const last = Math.floor((samples.length * 3) / 4)
  return quarter(samples.slice(last)) - quarter(samples.slice(half, last))
}

function checks(): Peer['checks'] {
  return Array.from({ length: KEYS }, (_, key) => {
    const attributes = {
      destination: { service: serviceOf(key, 1) },
      request: { http: { method: 'GET', path: pathOf(key), host: 'example.test', scheme: 'http' } },
    }
    const message = Buffer.from(toBinary(CheckRequestSchema, create(CheckRequestSchema, { attributes })))
    return { message, allowed: decisionOn(pathOf(key)) === 'allow' }
  })
}

await runScenario(async (defer) => {
  const backend = await startBackend({ validitySeconds: 86_400 })
  defer(() => backend.stop())
  const cluster = await startCluster({
    nodes: 1,
    backends: [backend.url],
    redis: 'none',
    name: 'churn',
    flags: ['--transport', 'native'],
  })
  defer(() => cluster.stop())
  const [node] = cluster.nodes
  if (node === undefined) throw new Error('the cluster has no node')
  const { pid } = node.child
  const port = Number(node.grpcAddress.slice(node.grpcAddress.lastIndexOf(':') + 1))
  const random = seededRandom(seed)
  const counts = { connections: 0, right: 0, wrong: 0, none: 0 }
  const failures = new Map<string, number>()
  const byWeight = Object.entries(WAYS).flatMap(([name, { weight }]) => new Array<string>(weight).fill(name))
  const peer: Peer = {
    target: { port },
    checks: checks(),
    random,
    onEnd: (ended) => void counts[ended]++,
  }
  const startedAt = performance.now()
  const comeAndGo = async () => {
    while (performance.now() - startedAt < durationMs) {
      const way = byWeight[Math.floor(random() * byWeight.length)] ?? ''
      counts.connections++
      await WAYS[way]?.run(peer).catch((error: Error) => {
        const what = `${way}: ${error.message.slice(0, 150)}`
        failures.set(what, (failures.get(what) ?? 0) + 1)
      })
    }
  }
  say(`${PEERS} peers at a time for ${durationMs / 60_000} min`)
  const samples: Sample[] = []
  const sampling = setInterval(() => {
    const seconds = (performance.now() - startedAt) / 1_000
    void Promise.all(GAUGES.map((name) => cluster.counter(name))).then(([heap = 0, external = 0, connections = 0]) =>
      samples.push({ seconds, rssMib: memoryOf([pid]).now / MIB, heldMib: (heap + external) / MIB, connections }),
    )
  }, everyMs)
  await Promise.all(Array.from({ length: PEERS }, comeAndGo))
  clearInterval(sampling)
  const rows = samples.filter((_, index) => index % 6 === 5)
  printTable(
    rows.map((sample) => ({
      second: sample.seconds.toFixed(0),
      'RSS MiB': sample.rssMib.toFixed(1),
      'held MiB': sample.heldMib.toFixed(1),
      connections: sample.connections,
    })),
  )
  // Peers that went without a word are noticed when the node next reads or writes.
  const open = () => cluster.counter('intermix_grpc_connections')
  const deadline = performance.now() + 30_000
  while ((await open()) > 0 && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 200))
  const left = await open()
  const grew = {
    rssMib: growth(samples, (quarter) => Math.max(...quarter.map(({ rssMib }) => rssMib))),
    // Between collections it rises: the lowest is what is left by one.
    heldMib: growth(samples, (quarter) => Math.min(...quarter.map(({ heldMib }) => heldMib))),
  }
  const seconds = durationMs / 1_000
  say(
    `${counts.connections} connections (${(counts.connections / seconds).toFixed(0)} a second), ${counts.right} answers, ${counts.wrong} wrong, ${counts.none} not decided`,
  )
  say(
    `from the third quarter to the last RSS grew by ${grew.rssMib.toFixed(1)} MiB at its highest, what is held by ${grew.heldMib.toFixed(1)} at its lowest; ${left} connections are left`,
  )
  for (const [what, count] of failures) say(`${count} times ${what}`)
  await saveResults('connection-churn', { quick, seed, ...counts, grew, left, samples, failures: [...failures] })
  const flat = grew.rssMib < MAX_GROWTH_MIB && grew.heldMib < MAX_GROWTH_MIB && left === 0
  if (!flat || counts.wrong > 0 || failures.size > 0) process.exitCode = 1
})
