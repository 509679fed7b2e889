// Checks a second out of a node's own cache, beside bare servers of the same transport: `node load/throughput.ts
// [--quick]`. The driver runs on the same machine, so processor time per check tells more than checks per second.

import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { create, toBinary } from '@bufbuild/protobuf'
import { Client, credentials } from '@grpc/grpc-js'
import { Pool } from 'undici'
import { CheckRequestSchema } from '../src/wire/generated/envoy/service/auth/v3/external_auth_pb.ts'
import { startBackend } from './backend-control.ts'
import { startCluster } from './cluster.ts'
import { EXT_AUTHZ_PATH } from './ext-authz-path.ts'
import { pathOf } from './oracle.ts'
import { printTable, runScenario, saveResults, say, scenarioOptions } from './output.ts'
import { start } from './processes.ts'
import { serviceOf } from './targets.ts'

const KEYS = 100
const IN_FLIGHT = 64

const { quick } = scenarioOptions()
const durationMs = quick ? 4_000 : 15_000

interface Row {
  readonly server: string
  readonly perSecond: number
  readonly cpuMicros: number
  readonly failed: number
}

type Ask = (key: number) => Promise<boolean>

/** Keeps a fixed number of requests under way for a while, after as long to run warm. */
async function measure(server: string, pid: number, ask: Ask): Promise<Row> {
  await run(ask, durationMs / 2)
  const cpuBefore = cpuSeconds(pid)
  const { done, failed, seconds } = await run(ask, durationMs)
  const cpuMicros = ((cpuSeconds(pid) - cpuBefore) / Math.max(1, done)) * 1e6
  return { server, perSecond: done / seconds, cpuMicros, failed }
}

async function run(ask: Ask, forMs: number) {
  const startedAt = performance.now()
  let done = 0
  let failed = 0
  const work = async () => {
    while (performance.now() - startedAt < forMs) {
      const ok = await ask(done % KEYS).catch(() => false)
      if (ok) done++
      else failed++
    }
  }
  await Promise.all(Array.from({ length: IN_FLIGHT }, () => work()))
  return { done, failed, seconds: (performance.now() - startedAt) / 1_000 }
}

/** User and system time of a process in seconds; /proc counts in hundredths. */
function cpuSeconds(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}

function httpAsk(url: string): { ask: Ask; close: () => Promise<void> } {
  const pool = new Pool(url, { connections: 8, pipelining: 8, headersTimeout: 5_000 })
  const bodies = Array.from({ length: KEYS }, (_, key) =>
    JSON.stringify({ attributes: { 'request.path': pathOf(key), 'destination.service.name': serviceOf(key, 1) } }),
  )
  return {
    async ask(key) {
      const { statusCode, body } = await pool.request({
        path: '/v1/check',
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: bodies[key] ?? '',
      })
      await body.dump()
      return statusCode === 200
    },
    close: () => pool.destroy(),
  }
}

function grpcAsk(address: string): { ask: Ask; close: () => Promise<void> } {
  const client = new Client(address, credentials.createInsecure())
  const requests = Array.from({ length: KEYS }, (_, key) =>
    Buffer.from(
      toBinary(
        CheckRequestSchema,
        create(CheckRequestSchema, {
          attributes: {
            destination: { service: serviceOf(key, 1) },
            request: { http: { method: 'GET', path: pathOf(key), host: 'example.test', scheme: 'http' } },
          },
        }),
      ),
    ),
  )
  const bytes = (message: Buffer) => message
  return {
    ask: (key) =>
      new Promise((resolve) => {
        const options = { deadline: Date.now() + 5_000 }
        const request = requests[key] ?? Buffer.alloc(0)
        client.makeUnaryRequest(EXT_AUTHZ_PATH, bytes, bytes, request, options, (error) => resolve(error === null))
      }),
    async close() {
      client.close()
    },
  }
}

await runScenario(async (defer) => {
  const echo = await start({
    command: process.execPath,
    args: [fileURLToPath(new URL('echo-server.ts', import.meta.url))],
    ready: /echo http (\d+) grpc (\d+)/,
  })
  defer(() => echo.stop())
  const backend = await startBackend({ validitySeconds: 600 })
  defer(() => backend.stop())
  const cluster = await startCluster({ nodes: 1, backends: [backend.url], redis: 'none', name: 'throughput' })
  defer(() => cluster.stop())
  const [node] = cluster.nodes
  if (node === undefined) throw new Error('the cluster has no node')
  const [, httpPort, grpcPort] = echo.match
  const targets = [
    { server: 'HTTP echo', pid: echo.pid, ...httpAsk(`http://127.0.0.1:${httpPort}`) },
    { server: 'POST /v1/check', pid: node.child.pid, ...httpAsk(node.httpUrl) },
    { server: 'gRPC echo', pid: echo.pid, ...grpcAsk(`127.0.0.1:${grpcPort}`) },
    { server: 'ext_authz', pid: node.child.pid, ...grpcAsk(node.grpcAddress) },
  ]
  say(`one node, ${KEYS} keys in its cache, ${IN_FLIGHT} requests under way, ${durationMs / 1_000} s a row`)
  const rows: Row[] = []
  for (const { server, pid, ask, close } of targets) {
    defer(close)
    rows.push(await measure(server, pid, ask))
  }
  const bare = (index: number) => rows[index - (index % 2)]
  printTable(
    rows.map((row, index) => ({
      server: row.server,
      'checks/s': Math.round(row.perSecond),
      'of the echo': (row.perSecond / (bare(index)?.perSecond ?? 1)).toFixed(2),
      'server µs of CPU each': row.cpuMicros.toFixed(1),
      'times the echo': (row.cpuMicros / (bare(index)?.cpuMicros ?? 1)).toFixed(2),
      failed: row.failed,
    })),
  )
  const calls = (await backend.calls()).length
  say(`the backend was asked ${calls} times`)
  await saveResults('throughput', { quick, rows, backendCalls: calls })
})
