// `docker compose up` for real: the image of the Dockerfile, the stack of the compose file with three nodes and two
// workers, requests through its Envoy, containers killed under load, and an end by SIGTERM.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { containerEngine } from '../helpers/containers/engine.ts'
import { type Container, composeStack, type Stack } from '../helpers/containers/stack.ts'
import { freePorts } from '../helpers/ports.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))
const engine = await containerEngine(root)
if ('missing' in engine) console.warn(`skipped: ${engine.missing}`)

/** Some packages that only developers need; `ajv` comes with Fastify, too. */
const DEVELOPMENT = new Set(
  Object.keys((JSON.parse(readFileSync(`${root}package.json`, 'utf8')) as Manifest).devDependencies).filter(
    (name) => !name.startsWith('@') && name !== 'ajv',
  ),
)
const NODES = 3
const WORKERS = 2
const IN_FLIGHT = 8
/** An image takes long where others use the machine, too: its packages are installed and its sources compiled. */
const BUILD_MS = 1_500_000
/** The counter of a node's checks, all its series. */
const CHECKS = /^intermix_checks_total\{.*\} (\d+)$/gm

interface Manifest {
  readonly devDependencies: Readonly<Record<string, string>>
}

let stack: Stack
let entrance: string
let besideSidecar: string
let withFilter: string
let prometheus: string

async function status(url: string): Promise<number> {
  return await fetch(url).then(
    async (answer) => {
      await answer.arrayBuffer()
      return answer.status
    },
    () => 0,
  )
}

async function metric(containers: readonly Container[], port: number, pattern: RegExp): Promise<number> {
  let sum = 0
  for (const { address } of containers) {
    const text = await fetch(`http://${address}:${port}/metrics`).then((answer) => answer.text())
    for (const match of text.matchAll(pattern)) sum += Number(match[1])
  }
  return sum
}

/** Requests that the workers' metrics count. */
async function counted(): Promise<number> {
  return await metric(await stack.containers('worker'), 42_422, /^istio_requests_total\{.*\} (\d+)$/gm)
}

/** Records that the nodes took, as they themselves count them since they started. */
async function accepted(): Promise<number> {
  return await metric(await stack.containers('node'), 15_014, /^intermix_reports_accepted_total (\d+)$/gm)
}

/** Sends requests, `IN_FLIGHT` at once; gives the statuses that are not what the policy says. */
async function send(
  count: number,
  during: Readonly<Record<number, () => Promise<void>>> = {},
  to = entrance,
): Promise<string[]> {
  const wrong: string[] = []
  const tasks: Promise<void>[] = []
  let next = 0
  const work = async () => {
    for (let number = next++; number < count; number = next++) {
      const task = during[number]?.()
      if (task !== undefined) tasks.push(task)
      const path = number % 4 === 0 ? `/admin?n=${number}` : `/books?n=${number}`
      const expected = number % 4 === 0 ? 403 : 200
      const got = await status(`${to}${path}`)
      if (got !== expected) wrong.push(`${path}: ${got} instead of ${expected}`)
    }
  }
  await Promise.all(Array.from({ length: IN_FLIGHT }, work))
  await Promise.all(tasks)
  return wrong
}

async function expectReady(): Promise<void> {
  const containers = [...(await stack.containers('node')), ...(await stack.containers('worker'))]
  expect(containers).toHaveLength(NODES + WORKERS)
  for (const { address } of containers) {
    await expect.poll(() => status(`http://${address}:15014/readyz`)).toBe(200)
  }
  await expect.poll(() => status(`${entrance}/books`)).toBe(200)
}

describe.skipIf('missing' in engine)('docker compose up', () => {
  beforeAll(async () => {
    if ('missing' in engine) return
    const [envoyPort = 0, prometheusPort = 0, sidecarPort = 0, wasmPort = 0] = await freePorts(4)
    withFilter = `http://127.0.0.1:${wasmPort}`
    besideSidecar = `http://127.0.0.1:${sidecarPort}`
    entrance = `http://127.0.0.1:${envoyPort}`
    prometheus = `http://127.0.0.1:${prometheusPort}`
    await engine.build()
    stack = composeStack(engine, {
      env: {
        ENVOY_PORT: String(envoyPort),
        PROMETHEUS_PORT: String(prometheusPort),
        ENVOY_SIDECAR_PORT: String(sidecarPort),
        ENVOY_WASM_PORT: String(wasmPort),
      },
      profiles: ['sidecar', 'wasm'],
      scale: { node: NODES, worker: WORKERS },
    })
    await stack.up()
  }, BUILD_MS)
  afterAll(async () => {
    await stack.down()
  })

  it('is an image of what runs alone, for a user without rights', async () => {
    if ('missing' in engine) return
    const look =
      'id -u; ls -A; ls node_modules node_modules/@*; du -sk . | cut -f1; touch x 2>/dev/null && echo writable; true'
    const said = await engine.container(['run', '--rm', '--entrypoint', 'sh', 'intermix', '-c', look])
    const [user, ...lines] = said.trim().split('\n')
    expect(user).toBe('1000')
    expect(lines.slice(0, 6)).toEqual(['LICENSE', 'bin', 'dist', 'examples', 'node_modules', 'package.json'])
    expect(lines.filter((line) => DEVELOPMENT.has(line) || line.startsWith('node-linux-'))).toEqual([])
    const size = Number(lines.at(-1))
    expect(size).toBeGreaterThan(10_000)
    expect(size).toBeLessThan(100_000)
    console.log(`image: /app has ${Math.round(size / 1024)} MiB`)
  })

  it('becomes ready', async () => {
    await expectReady()
  })

  it('answers by the policy at every node, and counts every request once', async () => {
    const before = await accepted()
    expect(await send(400)).toEqual([])
    await expect.poll(async () => (await accepted()) - before).toBeGreaterThanOrEqual(400)
    const total = await accepted()
    await expect.poll(counted).toBe(total)
    // Envoy looks for further nodes every few seconds.
    const idleNodes = async () => {
      expect(await send(30)).toEqual([])
      const nodes = await stack.containers('node')
      const checks = await Promise.all(nodes.map((node) => metric([node], 15_014, CHECKS)))
      return checks.filter((count) => count === 0).length
    }
    await expect.poll(idleNodes).toBe(0)
  })

  it('answers by the policy through a sidecar, which asks nodes for hardly any of it', async () => {
    await expect.poll(() => status(`${besideSidecar}/books`), { timeout: 30_000 }).toBe(200)
    const [sidecar] = await stack.containers('sidecar')
    if (sidecar === undefined) throw new Error('no sidecar')
    const answered = (by: string) =>
      metric([sidecar], 15_014, new RegExp(`^intermix_first_level_checks_total\\{answer="${by}"\\} (\\d+)$`, 'gm'))
    const [kept, asked] = [await answered('kept'), await answered('node')]
    expect(await send(400, {}, besideSidecar)).toEqual([])
    expect((await answered('kept')) - kept).toBeGreaterThan(300)
    expect((await answered('node')) - asked).toBeLessThan(100)
  })

  it('answers by the policy through an Envoy with the filter in it, which asks nodes for hardly any of it', async () => {
    await expect.poll(() => status(`${withFilter}/books`), { timeout: 60_000 }).toBe(200)
    const asked = async () => await metric(await stack.containers('node'), 15_014, CHECKS)
    const [before, told] = [await asked(), await accepted()]
    expect(await send(400, {}, withFilter)).toEqual([])
    expect((await asked()) - before).toBeLessThan(100)
    await expect.poll(async () => (await accepted()) - told).toBeGreaterThanOrEqual(400)
  })

  it('is seen by its Prometheus', async () => {
    const query = `${prometheus}/api/v1/query?query=${encodeURIComponent('sum(istio_requests_total)')}`
    const value = async () => {
      const answer = (await fetch(query).then((response) => response.json())) as {
        readonly data: { readonly result: readonly { readonly value: readonly [number, string] }[] }
      }
      return Number(answer.data.result[0]?.value[1] ?? 0)
    }
    const behind = async () => (await counted()) - (await value())
    await expect.poll(behind, { interval: 500 }).toBe(0)
    expect(await value()).toBeGreaterThanOrEqual(400)
  })

  it('answers every request while a node is killed, comes back, and a worker is killed', async () => {
    const [node] = await stack.containers('node')
    const [worker] = await stack.containers('worker')
    if (node === undefined || worker === undefined) throw new Error('no containers')
    const wrong = await send(1_000, {
      200: () => stack.kill(node),
      500: () => stack.start(node),
      600: () => stack.kill(worker),
      800: () => stack.start(worker),
    })
    // A check whose answer had begun to arrive when its node died cannot be retried by Envoy, and fails closed: at most
    // those that were in flight.
    expect(wrong.filter((line) => !line.includes(': 503 instead of '))).toEqual([])
    expect(wrong.length).toBeLessThanOrEqual(IN_FLIGHT)
    await expectReady()
  })

  it('goes on answering while either Redis restarts', async () => {
    for (const service of ['redis-cache', 'redis-queue']) {
      const [redis] = await stack.containers(service)
      if (redis === undefined) throw new Error(`no ${service}`)
      const wrong = await send(300, { 50: () => stack.kill(redis), 150: () => stack.start(redis) })
      expect(wrong).toEqual([])
    }
    await expectReady()
  })

  it('ends by SIGTERM with exit code 0 and loses nothing that it accepted', async () => {
    const before = await counted()
    const acceptedBefore = await accepted()
    // What Envoy holds back for its flush interval is Envoy's; what a node has taken is ours.
    expect(await send(200)).toEqual([])
    await expect.poll(async () => (await accepted()) - acceptedBefore).toBeGreaterThanOrEqual(200)
    const ours = [...(await stack.containers('node')), ...(await stack.containers('worker'))]
    await Promise.all(ours.map((container) => stack.stop(container)))
    for (const container of ours) {
      expect([container.name, await stack.exitCode(container)]).toEqual([container.name, 0])
    }
    await Promise.all(ours.map((container) => stack.start(container)))
    await expectReady()
    await expect.poll(async () => (await counted()) - before).toBeGreaterThanOrEqual(200)
  })

  it('logs JSON lines only', async () => {
    for (const container of [...(await stack.containers('node')), ...(await stack.containers('worker'))]) {
      const lines = (await stack.logs(container)).split('\n').filter((line) => line !== '')
      expect(lines.filter((line) => !line.startsWith('{'))).toEqual([])
    }
  })
})
