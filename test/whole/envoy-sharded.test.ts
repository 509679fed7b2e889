// A real Envoy that hashes its checks to three nodes: each user's go to one node, and those of a node that was killed move.
import { readFile } from 'node:fs/promises'
import { request } from 'node:https'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { Document } from 'yaml'
import { type Certificates, createCertificates } from '../helpers/certificates.ts'
import { type Envoy, ENVOY_MANAGER, ENVOY_SHARDED, startEnvoy } from '../helpers/envoy.ts'
import { toolOrSkip } from '../helpers/tools.ts'
import { sumOfSeries } from './intermix.ts'
import { type Mesh, startMesh } from './mesh.ts'

const binary = toolOrSkip('envoy')
const openssl = toolOrSkip('openssl')
const USERS = Array.from({ length: 60 }, (_, i) => `user-${i}`)
const HEALTHY = 'cluster.intermix.membership_healthy'
const CLUSTER = ['static_resources', 'clusters', 0]
const LISTENER = ['static_resources', 'listeners', 0, 'filter_chains', 0]
const AFFINITY = [...ENVOY_MANAGER, 'http_filters', 0, 'typed_config', 'grpc_service', 'initial_metadata', 0, 'value']

describe.skipIf(binary === undefined || openssl === undefined)('Envoy that hashes to three nodes', () => {
  const ends: (() => Promise<unknown>)[] = []
  let mesh: Mesh
  let envoy: Envoy

  const start = async (adapt?: (bootstrap: Document) => void) => {
    const started = await startEnvoy({
      binary: binary ?? '',
      path: ENVOY_SHARDED,
      nodePorts: mesh.nodes.map(({ grpcPort }) => grpcPort),
      upstreamPort: mesh.upstream.port,
      adapt(bootstrap) {
        // Else Envoy tells its workers only after a second what has become of a node.
        bootstrap.setIn([...CLUSTER, 'common_lb_config'], bootstrap.createNode({ update_merge_window: '0s' }))
        adapt?.(bootstrap)
      },
    })
    ends.push(() => started.stop())
    await vi.waitUntil(async () => (await started.stat(HEALTHY)) === 3, { timeout: 10_000 })
    return started
  }
  beforeAll(async () => {
    mesh = await startMesh({ nodes: 3, workers: 0 })
    ends.push(() => mesh.stop())
    envoy = await start()
  })
  afterAll(async () => {
    for (const end of ends.splice(0).toReversed()) await end()
  })

  /** Checks of each node that runs. */
  async function checks(): Promise<ReadonlyMap<number, number>> {
    const counts = new Map<number, number>()
    for (const [at, { child, adminUrl }] of mesh.nodes.entries()) {
      if (!child.running()) continue
      const page = await (await fetch(`${adminUrl}/metrics`)).text()
      counts.set(at, sumOfSeries(page, 'intermix_checks_total'))
    }
    return counts
  }

  /** Which nodes are asked while requests are sent. */
  async function asked(send: () => Promise<number>, times: number): Promise<readonly number[]> {
    const before = await checks()
    for (let time = 0; time < times; time++) expect(await send()).toBe(200)
    const after = await checks()
    return [...after].filter(([at, count]) => count > (before.get(at) ?? 0)).map(([at]) => at)
  }

  async function open(user?: string): Promise<number> {
    const answer = await fetch(`${envoy.url}/open`, { headers: user === undefined ? {} : { 'x-user': user } })
    await answer.arrayBuffer()
    return answer.status
  }

  /** The one node that is asked about each user. */
  async function homes(): Promise<readonly number[]> {
    const found: number[] = []
    for (const user of USERS) {
      const nodes = await asked(() => open(user), 3)
      expect(nodes).toHaveLength(1)
      found.push(...nodes)
    }
    return found
  }

  it('asks the nodes by turns about nobody in particular', async () => {
    expect(await asked(() => open(), 60)).toEqual([0, 1, 2])
  })

  it('asks one node about the principal of a certificate', async () => {
    const principals = ['ann', 'bob', 'cyd', 'dan', 'eve', 'fay', 'gil', 'hal']
    const clients = await Promise.all(principals.map((name) => createCertificates(`URI:spiffe://mesh/${name}`)))
    const server = await createCertificates()
    ends.push(() => Promise.all([server, ...clients].map((made) => made.remove())))
    const authorities = await Promise.all(clients.map(({ authority }) => readFile(authority, 'utf8')))
    const mutual = await start((bootstrap) => {
      if (!bootstrap.hasIn(AFFINITY)) throw new Error(`${ENVOY_SHARDED} has no affinity`)
      bootstrap.setIn(AFFINITY, '%DOWNSTREAM_PEER_URI_SAN%')
      bootstrap.setIn([...LISTENER, 'transport_socket'], bootstrap.createNode(mutualTls(server, authorities.join(''))))
    })
    const homesOf: (readonly number[])[] = []
    for (const client of clients) homesOf.push(await asked(() => openAs(mutual, client), 3))
    for (const home of homesOf) expect(home).toHaveLength(1)
    expect(new Set(homesOf.flat()).size).toBeGreaterThan(1)
  })

  it('moves the users of a node that was killed, and hardly any other', async () => {
    const before = await homes()
    expect(new Set(before)).toEqual(new Set([0, 1, 2]))
    await mesh.nodes[1]?.child.kill()
    for (const user of USERS) expect(await open(user)).toBe(200)
    await vi.waitUntil(async () => (await envoy.stat(HEALTHY)) === 2, { timeout: 10_000 })
    const after = await homes()
    // Maglev moves about one of a thousand users without need.
    expect(before.filter((home, at) => home !== 1 && home !== after[at]).length).toBeLessThanOrEqual(2)
    const moved = after.filter((_, at) => before[at] === 1)
    expect(new Set(moved)).toEqual(new Set([0, 2]))
  })
})

function mutualTls({ certificate, key }: Certificates, authorities: string): object {
  return {
    name: 'envoy.transport_sockets.tls',
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext',
      require_client_certificate: true,
      common_tls_context: {
        tls_certificates: [{ certificate_chain: { filename: certificate }, private_key: { filename: key } }],
        validation_context: { trusted_ca: { inline_string: authorities } },
      },
    },
  }
}

async function openAs({ url }: Envoy, { certificate, key }: Certificates): Promise<number> {
  const files = { cert: await readFile(certificate), key: await readFile(key), rejectUnauthorized: false }
  const asked = request(`${url.replace('http:', 'https:')}/open`, { ...files, agent: false })
  return await new Promise((resolve, reject) => {
    asked.once('error', reject)
    asked.once('response', (answer) => answer.resume().once('end', () => resolve(answer.statusCode ?? 0)))
    asked.end()
  })
}
