// Real Envoys with the filter in them ask a sidecar at a Unix socket, and tell it of requests; behind it are real nodes.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Envoy, ENVOY_MANAGER, ENVOY_WASM, setFilter, startEnvoy } from '../helpers/envoy.ts'
import { toolOrSkip } from '../helpers/tools.ts'
import { type Intermix, revoke, type SidecarProcess, startSidecar, sumOfSeries } from './intermix.ts'
import { latencyLine, sendAll } from './load.ts'
import { type Mesh, startMesh } from './mesh.ts'
import { expectedStatus, mixedRequests } from './policy.ts'

const binary = toolOrSkip('envoy')
const REQUESTS = 2_000
const WARM = 400
const KEPT = 'wasmcustom.intermix.answers.kept'

describe.skipIf(binary === undefined)('Envoys with the filter in them, before a sidecar', () => {
  const ends: (() => Promise<unknown>)[] = []
  let mesh: Mesh
  let folder: string
  let sidecar: SidecarProcess

  const start = async (): Promise<Envoy> => {
    const envoy = await startEnvoy({
      binary: binary ?? '',
      path: ENVOY_WASM,
      nodePorts: [sidecar.grpcPath],
      upstreamPort: mesh.upstream.port,
      adapt(bootstrap) {
        setFilter(bootstrap, { report: { wait_ms: 200 } })
        // Each request would count twice.
        bootstrap.deleteIn([...ENVOY_MANAGER, 'access_log'])
      },
    })
    ends.push(() => envoy.stop())
    return envoy
  }
  const startBeside = () => {
    const nodePorts = mesh.nodes.map(({ grpcPort }) => grpcPort)
    return startSidecar({ nodePorts, nodeId: 'side', folder })
  }
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'intermix-filter-sidecar-'))
    ends.push(() => rm(folder, { recursive: true, force: true }))
    mesh = await startMesh({ nodes: 2, workers: 1 })
    ends.push(() => mesh.stop())
    sidecar = await startBeside()
    ends.push(() => sidecar.child.stop())
  })
  afterAll(async () => {
    for (const end of ends.splice(0).toReversed()) await end()
  })

  /** Checks that nodes have answered. */
  async function checks(): Promise<number> {
    let sum = 0
    for (const { adminUrl } of mesh.nodes)
      sum += sumOfSeries(await (await fetch(`${adminUrl}/metrics`)).text(), 'intermix_checks_total')
    return sum
  }

  it('let through exactly what the policy allows; the second one has the answers of the first, and each request counts once', async () => {
    const requests = mixedRequests(REQUESTS)
    const counted = await mesh.countedRequests()
    const one = await start()
    const first = await sendAll({ url: one.url, requests })
    const asked = await checks()
    const other = await start()
    const second = await sendAll({ url: other.url, requests })
    console.log(
      `two Envoys with the filter, a sidecar: ${latencyLine(second)}; ${asked}, ${await checks()} checks at nodes`,
    )
    expect([first.wrong, second.wrong]).toEqual([[], []])
    expect(mesh.upstream.count).toBe(2 * requests.filter((each) => expectedStatus(each) === 200).length)
    expect(asked).toBeLessThan(REQUESTS / 4)
    // What ends while the second one asks is asked for again.
    expect((await checks()) - asked).toBeLessThan(REQUESTS / 40)
    await expect.poll(() => other.stat(KEPT)).toBeGreaterThan(REQUESTS / 2)
    for (const envoy of [one, other]) expect(await envoy.stat('wasmcustom.intermix.not_kept.mismatch')).toBe(0)
    const told = async () => (await mesh.countedRequests()) - counted
    await expect.poll(told, { interval: 250, timeout: 20_000 }).toBe(2 * REQUESTS)
    expect(await one.stat('wasmcustom.intermix.reports.calls.refused')).toBe(0)
  })

  it('are waited for by revocations: they have forgotten what is void, or are named with the sidecar', async () => {
    const envoy = await start()
    const before = mesh.policyBackend.count
    const ask = async () => (await fetch(`${envoy.url}/entitled`, { headers: { 'x-user': 'user-1501' } })).status
    const asked = () => mesh.policyBackend.count - before
    expect([await ask(), await ask(), asked()]).toEqual([200, 200, 1])
    const revokeUser = (user: string) => revoke(mesh.nodes[0] as Intermix, '-a', `request.headers[x-user]=${user}`)
    const confirmed = expect.stringContaining('confirmed by 2 of 2 nodes')
    expect(await revokeUser('user-1501')).toEqual({ code: 0, output: confirmed })
    expect([await ask(), asked()]).toEqual([200, 2])
    envoy.child.signal('SIGSTOP')
    const late = expect.stringMatching(/not confirmed by the sidecars envoy-filter[\w-]* behind side \(at /)
    expect(await revokeUser('user-1502')).toEqual({ code: 3, output: late })
    envoy.child.signal('SIGCONT')
    await expect.poll(async () => (await revokeUser('user-1503')).code).toBe(0)
  })

  it('go on with what they know when all nodes are killed, and when the sidecar is, and fail the rest', async () => {
    const envoy = await start()
    const warm = mixedRequests(WARM)
    // All that is kept from now on has all of its life before it.
    expect(await revoke(mesh.nodes[0] as Intermix, '--all')).toMatchObject({ code: 0 })
    expect((await sendAll({ url: envoy.url, requests: warm })).wrong).toEqual([])
    for (const { child } of mesh.nodes) await child.kill()
    expect((await sendAll({ url: envoy.url, requests: warm })).wrong).toEqual([])
    const cold = async () => (await fetch(`${envoy.url}/entitled`, { headers: { 'x-user': 'user-9999' } })).status
    expect(await cold()).toBe(503)
    // The filter has a part of the uses that the sidecar had.
    const hot = warm.slice(0, WARM / 10)
    await sidecar.child.kill()
    expect((await sendAll({ url: envoy.url, requests: hot })).wrong).toEqual([])
    expect(await cold()).toBe(503)
  })
})
