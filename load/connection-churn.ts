// A node whose connections come and go, of peers that behave and of such that do not: `node load/connection-churn.ts
// [--quick] [--seed N]`. What it holds must not grow with what has been. Exits with 1 where it does.

import { readdirSync } from 'node:fs'
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
/** The first half is for what grows once: compiled code, pools of buffers, caches, and the heap to its usual size. */
const SETTLED_AFTER = 1 / 2
const MAX_GROWTH_MIB = 16

const MIB = 1024 * 1024
const MEMORY = ['nodejs_heap_size_used_bytes', 'nodejs_heap_size_total_bytes', 'nodejs_external_memory_bytes']

const { quick, seed } = scenarioOptions()
const durationMs = quick ? 90_000 : 1_200_000
const everyMs = durationMs / 60

interface Sample {
  readonly seconds: number
  readonly rssMib: number
  readonly heapMib: number
  /** Of the heap, with what is free in it. */
  readonly heapTotalMib: number
  /** Buffers and other things beside the heap. */
  readonly externalMib: number
  readonly sockets: number
}

function openFiles(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length
}

/** The straight line through the samples (least squares), as what it rises by over their time. */
function growth(samples: readonly Sample[], value: (sample: Sample) => number): number {
  const n = samples.length
  const meanX = samples.reduce((sum, { seconds }) => sum + seconds, 0) / n
  const meanY = samples.reduce((sum, sample) => sum + value(sample), 0) / n
  let covariance = 0
  let variance = 0
  for (const sample of samples) {
    covariance += (sample.seconds - meanX) * (value(sample) - meanY)
    variance += (sample.seconds - meanX) ** 2
  }
  return (covariance / variance) * ((samples.at(-1)?.seconds ?? 0) - (samples[0]?.seconds ?? 0))
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
  const filesBefore = openFiles(pid)
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
    void Promise.all(MEMORY.map((name) => cluster.counter(name))).then(([heap = 0, total = 0, external = 0]) =>
      samples.push({
        seconds,
        rssMib: memoryOf([pid]).now / MIB,
        heapMib: heap / MIB,
        heapTotalMib: total / MIB,
        externalMib: external / MIB,
        sockets: openFiles(pid) - filesBefore,
      }),
    )
  }, everyMs)
  await Promise.all(Array.from({ length: PEERS }, comeAndGo))
  clearInterval(sampling)
  const settled = samples.slice(Math.floor(samples.length * SETTLED_AFTER))
  const rows = samples.filter((_, index) => index % 6 === 5)
  printTable(
    rows.map((sample) => ({
      second: sample.seconds.toFixed(0),
      'RSS MiB': sample.rssMib.toFixed(1),
      'heap MiB': sample.heapMib.toFixed(1),
      'of MiB': sample.heapTotalMib.toFixed(1),
      'external MiB': sample.externalMib.toFixed(1),
      sockets: sample.sockets,
    })),
  )
  // Peers that went without a word are noticed when the node next reads or writes.
  const deadline = performance.now() + 30_000
  while (openFiles(pid) > filesBefore + 2 && performance.now() < deadline) {
    await new Promise((resolve) => {
      setTimeout(resolve, 200)
    })
  }
  const left = openFiles(pid) - filesBefore
  const grew = { rssMib: growth(settled, ({ rssMib: rss }) => rss), heapMib: growth(settled, ({ heapMib }) => heapMib) }
  const seconds = durationMs / 1_000
  say(
    `${counts.connections} connections (${(counts.connections / seconds).toFixed(0)} a second), ${counts.right} answers, ${counts.wrong} wrong, ${counts.none} not decided`,
  )
  say(
    `in the second half RSS grew by ${grew.rssMib.toFixed(1)} MiB, the heap by ${grew.heapMib.toFixed(1)} MiB; ${left} sockets are left open`,
  )
  for (const [what, count] of failures) say(`${count} times ${what}`)
  await saveResults('connection-churn', { quick, seed, ...counts, grew, left, samples, failures: [...failures] })
  const flat = grew.rssMib < MAX_GROWTH_MIB && left <= 2
  if (!flat || counts.wrong > 0 || failures.size > 0) process.exitCode = 1
})
