// A real Envoy asks two nodes before each request and tells them afterwards; two workers count what they are told.
import { afterEach, describe, expect, it } from 'vitest'
import { type Envoy, startEnvoy } from '../helpers/envoy.ts'
import { toolOrSkip } from '../helpers/tools.ts'
import { latencyLine, sendAll } from './load.ts'
import { type Mesh, startMesh } from './mesh.ts'
import { CALLS, expectedStatus, mixedRequests } from './policy.ts'

const binary = toolOrSkip('envoy')
const REQUESTS = 2_000
const IN_FLIGHT = 16
/** Time for a killed worker's jobs to be found stalled and taken over, and for its counters to be adopted. */
const TAKEOVER_MS = 90_000
const OVER_GRPC_JS = process.env['INTERMIX_TRANSPORT'] === 'grpc-js'

let mesh: Mesh | undefined
let envoy: Envoy | undefined
afterEach(async () => {
  await envoy?.stop()
  await mesh?.stop()
  envoy = undefined
  mesh = undefined
})

async function startAll(envoyBinary: string): Promise<{ mesh: Mesh; envoy: Envoy }> {
  mesh = await startMesh({ nodes: 2, workers: 2 })
  const nodePorts = mesh.nodes.map(({ grpcPort }) => grpcPort)
  envoy = await startEnvoy({ binary: envoyBinary, nodePorts, upstreamPort: mesh.upstream.port })
  return { mesh, envoy }
}

async function expectCounted(running: Mesh, timeout: number): Promise<void> {
  await expect.poll(() => running.countedRequests(), { timeout, interval: 250 }).toBe(REQUESTS)
  // Counted once means that it stays so: nothing is left that could be delivered a second time.
  await expect.poll(() => running.unfinishedJobs(), { timeout, interval: 250 }).toEqual([])
  expect(await running.countedRequests()).toBe(REQUESTS)
}

describe.skipIf(binary === undefined)('Envoy with two nodes and two workers', () => {
  it('lets through exactly what the policy allows, and counts every request once', async () => {
    const running = await startAll(binary ?? '')
    const requests = mixedRequests(REQUESTS)
    const outcome = await sendAll({ url: running.envoy.url, requests })
    console.log(`through Envoy: ${latencyLine(outcome)}`)
    expect(outcome.wrong).toEqual([])
    expect(running.mesh.upstream.count).toBe(requests.filter((asked) => expectedStatus(asked) === 200).length)
    await expectCounted(running.mesh, 30_000)
  })

  it('answers every request and counts it once when a node is killed half-way', async () => {
    const running = await startAll(binary ?? '')
    const requests = mixedRequests(REQUESTS)
    const half = REQUESTS / 2
    const first = await sendAll({ url: running.envoy.url, requests: requests.slice(0, half) })
    // An access-log stream is lossy by protocol: nothing acknowledges an entry. So the entries of the first half are let
    // arrive, and the node be done with them, before it dies. From then on Envoy opens its stream to the other node.
    await expect.poll(() => running.mesh.countedRequests(), { interval: 250 }).toBe(half)
    await running.mesh.nodes[0]?.child.kill()
    const second = await sendAll({ url: running.envoy.url, requests: requests.slice(half) })
    expect([...first.wrong, ...second.wrong]).toEqual([])
    await expectCounted(running.mesh, 30_000)
  })

  it('answers the checks that are in flight at a node when it is killed, at the other node', async () => {
    const running = await startAll(binary ?? '')
    const kill = async () => {
      await running.mesh.nodes[1]?.child.kill()
    }
    const options = { url: running.envoy.url, requests: mixedRequests(1_000), concurrency: IN_FLIGHT }
    const outcome = await sendAll({ ...options, before: { 500: kill } })
    console.log(`with a node killed: ${latencyLine(outcome)}; unanswered: ${outcome.wrong.length}`)
    expect(await running.envoy.stat('cluster.intermix.upstream_rq_retry_success')).toBeGreaterThan(0)
    // An answer of the native transport comes as a whole or not at all.
    if (!OVER_GRPC_JS) return expect(outcome.wrong).toEqual([])
    // Envoy does not retry a check whose answer has begun to arrive: grpc-js sends the status after the verdict, and a node
    // killed between them leaves an answer that never ends. Such a check fails closed. None is answered wrongly, and all
    // of them were in flight at that moment.
    for (const line of outcome.wrong) expect(line).toMatch(/: 503 instead of /)
    expect(outcome.wrong.length).toBeLessThanOrEqual(IN_FLIGHT)
    const numbers = outcome.wrong.map((line) => Number(line.match(/^request (\d+)/)?.[1]))
    for (const number of numbers) expect(Math.abs(number - 500)).toBeLessThan(4 * IN_FLIGHT)
  })
})

// Quotas and workers know no transport.
if (!OVER_GRPC_JS) {
  describe.skipIf(binary === undefined)('Envoy with two nodes and two workers, whatever carries its checks', () => {
    it('ends what is beyond a quota of a rule, over both nodes together, and says what is left', async () => {
      const running = await startAll(binary ?? '')
      const headers = { 'x-user': 'ann' }
      const answers: Response[] = []
      for (let each = 0; each < CALLS + 2; each++)
        answers.push(await fetch(`${running.envoy.url}/limited`, { headers }))
      expect(answers.map(({ status }) => status)).toEqual([...new Array(CALLS).fill(200), 429, 429])
      expect(answers.map((answer) => answer.headers.get('ratelimit')?.split(';')[1])).toEqual([
        'r=2',
        'r=1',
        'r=0',
        'r=0',
        'r=0',
      ])
      expect(Number(answers.at(-1)?.headers.get('retry-after'))).toBeGreaterThan(0)
      expect(running.mesh.upstream.count).toBe(CALLS)
    })

    it('counts every request once when a worker is killed half-way', async () => {
      const running = await startAll(binary ?? '')
      const kill = async () => {
        await running.mesh.workers[0]?.child.kill()
      }
      const requests = mixedRequests(REQUESTS)
      const outcome = await sendAll({ url: running.envoy.url, requests, before: { [REQUESTS / 2]: kill } })
      expect(outcome.wrong).toEqual([])
      await expectCounted(running.mesh, TAKEOVER_MS)
    })
  })
}
