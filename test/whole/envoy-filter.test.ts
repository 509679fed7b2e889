// A real Envoy with the filter in it, before two nodes: what it ships with in deploy/envoy-wasm.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Envoy, ENVOY_WASM, setFilter, startEnvoy } from '../helpers/envoy.ts'
import { toolOrSkip } from '../helpers/tools.ts'
import { sumOfSeries } from './intermix.ts'
import { latencyLine, sendAll } from './load.ts'
import { type Mesh, startMesh } from './mesh.ts'
import { expectedStatus, mixedRequests } from './policy.ts'

const binary = toolOrSkip('envoy')
const REQUESTS = 2_000
const KEPT = 'wasmcustom.intermix.answers.kept'

describe.skipIf(binary === undefined)('Envoy with the filter in it', () => {
  const ends: (() => Promise<unknown>)[] = []
  let mesh: Mesh

  const start = async (settings: object = {}): Promise<Envoy> => {
    const envoy = await startEnvoy({
      binary: binary ?? '',
      path: ENVOY_WASM,
      nodePorts: mesh.nodes.map(({ grpcPort }) => grpcPort),
      upstreamPort: mesh.upstream.port,
      adapt: (bootstrap) => setFilter(bootstrap, settings),
    })
    ends.push(() => envoy.stop())
    return envoy
  }
  beforeAll(async () => {
    mesh = await startMesh({ nodes: 2, workers: 1 })
    ends.push(() => mesh.stop())
  })
  afterAll(async () => {
    for (const end of ends.splice(0).toReversed()) await end()
  })

  async function checks(): Promise<number> {
    let sum = 0
    for (const { adminUrl } of mesh.nodes)
      sum += sumOfSeries(await (await fetch(`${adminUrl}/metrics`)).text(), 'intermix_checks_total')
    return sum
  }

  it('lets through exactly what the policy allows, asks for little of it, and counts every request once', async () => {
    const envoy = await start()
    const requests = mixedRequests(REQUESTS)
    const [asked, counted, delivered] = [await checks(), await mesh.countedRequests(), mesh.upstream.count]
    const outcome = await sendAll({ url: envoy.url, requests })
    console.log(`through Envoy with the filter: ${latencyLine(outcome)}; asked ${(await checks()) - asked} times`)
    expect(outcome.wrong).toEqual([])
    expect(mesh.upstream.count - delivered).toBe(requests.filter((each) => expectedStatus(each) === 200).length)
    expect((await checks()) - asked).toBeLessThan(REQUESTS / 4)
    await expect.poll(() => envoy.stat(KEPT)).toBeGreaterThan(REQUESTS * 0.75)
    await expect.poll(async () => (await mesh.countedRequests()) - counted, { interval: 250 }).toBe(REQUESTS)
  })

  it('tells access logs of denials: why, from where and how fresh', async () => {
    const envoy = await start()
    for (let time = 0; time < 2; time++) expect((await fetch(`${envoy.url}/closed`)).status).toBe(403)
    const lines = () =>
      envoy.child
        .output()
        .split('\n')
        .filter((line) => line.startsWith('{'))
        .map((line) => JSON.parse(line) as Record<string, unknown>)
    await expect.poll(() => lines().length).toBe(2)
    const [first, second] = lines()
    expect(first).toMatchObject({
      path: '/closed',
      status: 403,
      verdict: 'PERMISSION_DENIED',
      details: 'intermix_denied',
    })
    expect(String(first?.['reason'])).toContain('closed to you')
    expect(second).toMatchObject({ tier: 'filter' })
    expect(Number(second?.['age_ms'])).toBeGreaterThanOrEqual(0)
    expect(Number(second?.['valid_for_ms'])).toBeGreaterThan(0)
  })

  it('says what is wrong with its settings, all of it, and does not start', async () => {
    await expect(start({ cluster: '', fail_policy: 'perhaps', timeout: 5 })).rejects.toThrow(
      /cluster: name the cluster[\s\S]*fail_policy: must be one of closed, open|timeout: there is no such setting/,
    )
  })

  it('goes on with what it knows when all nodes are killed, and fails as it is told with the rest', async () => {
    const envoys = [await start({ timeout_ms: 300 }), await start({ timeout_ms: 300, fail_policy: 'open' })]
    const statusAt = async (envoy: Envoy | undefined, path: string) =>
      (await fetch(`${envoy?.url}${path}`, { headers: { 'x-user': 'user-1' } })).status
    for (const envoy of envoys) expect(await statusAt(envoy, '/members')).toBe(200)
    for (const envoy of envoys) expect(await statusAt(envoy, '/closed')).toBe(403)
    for (const { child } of mesh.nodes) await child.kill()
    for (const envoy of envoys) expect(await statusAt(envoy, '/members')).toBe(200)
    for (const envoy of envoys) expect(await statusAt(envoy, '/closed')).toBe(403)
    expect(await statusAt(envoys[0], '/login')).toBe(503)
    expect(await statusAt(envoys[1], '/login')).toBe(200)
  })
})
