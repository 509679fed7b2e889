// A real Envoy asks a sidecar at a Unix socket before each request, and tells it afterwards; behind it are real nodes.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Envoy, ENVOY_SIDECAR, startEnvoy } from '../helpers/envoy.ts'
import { toolOrSkip } from '../helpers/tools.ts'
import { type Intermix, revoke, type SidecarProcess, startSidecar, sumOfSeries } from './intermix.ts'
import { latencyLine, sendAll } from './load.ts'
import { type Mesh, startMesh } from './mesh.ts'
import { expectedStatus, mixedRequests } from './policy.ts'

const binary = toolOrSkip('envoy')
const REQUESTS = 2_000

let mesh: Mesh
let sidecar: SidecarProcess
let envoy: Envoy
const ends: (() => Promise<unknown>)[] = []

/** One mesh for the tests of a block: each goes on where the one before ended. */
function withMesh(size: { readonly nodes: number; readonly workers: number }): void {
  beforeAll(async () => {
    const folder = await mkdtemp(join(tmpdir(), 'intermix-sidecar-'))
    ends.push(() => rm(folder, { recursive: true, force: true }))
    mesh = await startMesh(size)
    ends.push(() => mesh.stop())
    const nodePorts = mesh.nodes.map(({ grpcPort }) => grpcPort)
    sidecar = await startSidecar({ nodePorts, nodeId: 'side', folder })
    ends.push(() => sidecar.child.stop())
    const upstreamPort = mesh.upstream.port
    envoy = await startEnvoy({
      binary: binary ?? '',
      path: ENVOY_SIDECAR,
      nodePorts: [sidecar.grpcPath],
      upstreamPort,
    })
    ends.push(() => envoy.stop())
  })
  afterAll(async () => {
    for (const end of ends.splice(0).toReversed()) await end()
  })
}

/** Checks that a node has answered. */
async function answeredBy({ adminUrl }: Intermix): Promise<number> {
  return sumOfSeries(await (await fetch(`${adminUrl}/metrics`)).text(), 'intermix_checks_total')
}

describe.skipIf(binary === undefined)('Envoy with a sidecar before two nodes and a worker', () => {
  withMesh({ nodes: 2, workers: 1 })
  const requests = mixedRequests(REQUESTS)

  it('lets through exactly what the policy allows, and asks nodes for hardly any of it', async () => {
    const outcome = await sendAll({ url: envoy.url, requests })
    console.log(`through Envoy and a sidecar: ${latencyLine(outcome)}`)
    expect(outcome.wrong).toEqual([])
    expect(mesh.upstream.count).toBe(requests.filter((asked) => expectedStatus(asked) === 200).length)
    const [first = 0, second = 0] = await Promise.all(mesh.nodes.map(answeredBy))
    expect(first + second).toBeLessThan(REQUESTS / 10)
  })

  it('confirms a revocation, and has forgotten by then what it voids', async () => {
    const before = mesh.policyBackend.count
    const ask = async () => (await fetch(`${envoy.url}/entitled`, { headers: { 'x-user': 'user-1001' } })).status
    const asked = () => mesh.policyBackend.count - before
    expect([await ask(), await ask(), asked()]).toEqual([200, 200, 1])
    const revokeUser = (user: string) => revoke(mesh.nodes[0] as Intermix, '-a', `request.headers[x-user]=${user}`)
    const output = expect.stringContaining('confirmed by 2 of 2 nodes')
    expect(await revokeUser('user-1001')).toEqual({ code: 0, output })
    expect([await ask(), asked()]).toEqual([200, 2])
    // One that does not hear is named.
    sidecar.child.signal('SIGSTOP')
    const late = expect.stringMatching(/not confirmed by the sidecars side \(at /)
    expect(await revokeUser('user-1002')).toEqual({ code: 3, output: late })
    sidecar.child.signal('SIGCONT')
  })

  it('hands on all reports, those too that it has when it is told to end', async () => {
    // Two of the test before.
    const sent = REQUESTS + 3
    const accepted = () => sidecar.count('intermix_report_buffer_accepted_total')
    await expect.poll(accepted).toBe(sent)
    await sendAll({ url: envoy.url, requests: requests.slice(0, 100) })
    await expect.poll(accepted).toBe(sent + 100)
    expect(await sidecar.child.stop()).toEqual({ code: 0, signal: undefined })
    await expect.poll(() => mesh.countedRequests(), { interval: 250 }).toBe(sent + 100)
  })
})

describe.skipIf(binary === undefined)('Envoy with a sidecar before three nodes', () => {
  withMesh({ nodes: 3, workers: 0 })

  it('has every request answered when the busiest of them is killed under load', async () => {
    // Each by somebody else, so that nodes are asked.
    const requests = Array.from({ length: REQUESTS / 2 }, (_, at) => {
      return { path: `/entitled?i=${at}`, user: `user-${1_000 + at}` }
    })
    const kill = async () => {
      const counts = await Promise.all(mesh.nodes.map(answeredBy))
      await mesh.nodes[counts.indexOf(Math.max(...counts))]?.child.kill()
    }
    const outcome = await sendAll({ url: envoy.url, requests, before: { [requests.length / 2]: kill } })
    console.log(`with a node killed: ${latencyLine(outcome)}; unanswered: ${outcome.wrong.length}`)
    expect(outcome.wrong).toEqual([])
  })

  it('goes on with what it knows when all of them are killed, and fails the rest', async () => {
    const warm = mixedRequests(400)
    expect((await sendAll({ url: envoy.url, requests: warm })).wrong).toEqual([])
    for (const node of mesh.nodes) await node.child.kill()
    expect((await sendAll({ url: envoy.url, requests: warm })).wrong).toEqual([])
    const headers = { 'x-user': 'user-9999' }
    expect((await fetch(`${envoy.url}/entitled`, { headers })).status).toBe(503)
    const authz = `http://127.0.0.1:${sidecar.httpPort}/v1/authz/entitled`
    expect((await fetch(authz, { headers })).status).toBe(503)
    expect((await fetch(`${sidecar.adminUrl}/readyz`)).status).toBe(200)
  })
})
