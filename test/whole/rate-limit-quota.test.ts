// Two real Envoys whose rate limit quota filters are assigned what they may let pass by two nodes, over one Redis.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Document, parse } from 'yaml'
import { type Envoy, ENVOY_MANAGER, startEnvoy } from '../helpers/envoy.ts'
import { type HttpBackend, startHttpBackend } from '../helpers/http-backend.ts'
import { type RedisServer, startRedis } from '../helpers/redis.ts'
import { toolOrSkip } from '../helpers/tools.ts'
import { type Intermix, ROOT, startIntermix, sumOfSeries } from './intermix.ts'

const binary = toolOrSkip('envoy')
const FILTER = join(ROOT, 'deploy/envoy/rate-limit-quota.yaml')
const LIMIT = 40

// Windows of a year: none ends while a test runs, or hardly ever.
const LIMITS = `
domain: shop
descriptors:
  - {key: api_key, rate_limit: {unit: year, requests_per_unit: ${LIMIT}}}
  - {key: api_key, value: test-*, rate_limit: {unlimited: true}}
`

describe.skipIf(binary === undefined)("Envoy's rate limit quota filter", () => {
  const ends: (() => Promise<unknown>)[] = []
  let redis: RedisServer
  let upstream: HttpBackend
  let nodes: readonly Intermix[]
  let envoys: readonly Envoy[]

  beforeAll(async () => {
    const limits = await mkdtemp(join(tmpdir(), 'intermix-limits-'))
    ends.push(() => rm(limits, { recursive: true, force: true }))
    await writeFile(join(limits, 'shop.yaml'), LIMITS)
    redis = await startRedis()
    ends.push(() => redis.stop())
    upstream = await startHttpBackend()
    ends.push(() => upstream.close())
    const flags = ['--redis', redis.url, '--ratelimit-config', limits, '--rlqs']
    const config = join(ROOT, 'examples/quickstart')
    const start = (nodeId: string) => startIntermix({ role: 'node', config, nodeId, flags })
    nodes = await Promise.all([start('quotas-1'), start('quotas-2')])
    for (const { child } of nodes) ends.push(() => child.stop())
    const filter = parse(await readFile(FILTER, 'utf8')) as object
    const ports = nodes.map(({ grpcPort }) => grpcPort)
    // Each Envoy has a node of its own, and the other one where that has gone.
    const adapt = (own: number) => (bootstrap: Document) => {
      bootstrap.deleteIn([...ENVOY_MANAGER, 'route_config', 'virtual_hosts', 0, 'typed_per_filter_config'])
      bootstrap.setIn([...ENVOY_MANAGER, 'http_filters', 0], bootstrap.createNode(filter))
      const endpoints = [own, ...ports.filter((port) => port !== own)].map((port, priority) => ({
        priority,
        lb_endpoints: [{ endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: port } } } }],
      }))
      const path = ['static_resources', 'clusters', 0, 'load_assignment', 'endpoints']
      bootstrap.setIn(path, bootstrap.createNode(endpoints))
    }
    envoys = await Promise.all(
      ports.map((own) =>
        startEnvoy({ binary: binary ?? '', nodePorts: [own], upstreamPort: upstream.port, adapt: adapt(own) }),
      ),
    )
    for (const envoy of envoys) ends.push(() => envoy.stop())
  })
  afterAll(async () => {
    for (const end of ends.splice(0).toReversed()) await end()
  })

  async function send(envoy: Envoy | undefined, key: string): Promise<number> {
    const response = await fetch(envoy?.url ?? '', { headers: { 'x-api-key': key } })
    await response.arrayBuffer()
    return response.status
  }

  const metric = async (node: Intermix | undefined, name: string): Promise<number> =>
    sumOfSeries(await (await fetch(`${node?.adminUrl}/metrics`)).text(), name)

  const leftOf = async (key: string): Promise<number | undefined> => {
    const descriptors = [{ entries: [{ key: 'api_key', value: key }], hitsAddend: 0 }]
    const body = JSON.stringify({ domain: 'shop', descriptors })
    const response = await fetch(`http://127.0.0.1:${nodes[1]?.httpPort}/v1/quota`, { method: 'POST', body })
    return ((await response.json()) as { statuses: { limitRemaining: number }[] }).statuses[0]?.limitRemaining
  }

  it('lets pass what the limit allows over both proxies and nodes, refuses the rest, and counts for the other doors', async () => {
    let passed = 0
    let refused = 0
    // Both are busy all the time, until both are told that nothing is left.
    await expect
      .poll(
        async () => {
          const statuses = await Promise.all(envoys.map((envoy) => send(envoy, 'alice')))
          const ok = statuses.filter((status) => status === 200).length
          passed += ok
          refused += statuses.length - ok
          return passed >= LIMIT && (await leftOf('alice')) === 0 && statuses.every((status) => status === 429)
        },
        { timeout: 60_000, interval: 50 },
      )
      .toBe(true)
    expect(refused).toBeGreaterThan(0)
    // What passes while assignments are on their way is counted: at least the first request of each, more on a busy machine.
    const unassigned = async () => {
      const each = await Promise.all(nodes.map((node) => metric(node, 'intermix_rate_limit_quota_unassigned_total')))
      return each.reduce((sum, one) => sum + one, 0)
    }
    await expect.poll(unassigned).toBeGreaterThanOrEqual(Math.max(envoys.length, passed - LIMIT))
    expect(await unassigned()).toBeLessThan(LIMIT / 2)
    expect(new Set(await Promise.all(envoys.map((envoy) => send(envoy, 'alice'))))).toEqual(new Set([429]))
  })

  it('does not limit what is unlimited', async () => {
    for (let each = 0; each < 2 * LIMIT; each++) expect(await send(envoys[0], 'test-1')).toBe(200)
  })

  it('reports to another node where its own has gone', async () => {
    const proxies = (node: Intermix | undefined) => metric(node, 'intermix_rate_limit_quota_proxies')
    expect([await proxies(nodes[0]), await proxies(nodes[1])]).toEqual([1, 1])
    // Envoy drops the first report of a bucket where it has no stream: this bucket is known before.
    expect(await send(envoys[0], 'bob')).toBe(200)
    await expect.poll(() => leftOf('bob')).toBe(LIMIT - 1)
    await nodes[0]?.child.stop()
    for (let each = 0; each < 5; each++) expect(await send(envoys[0], 'bob')).toBe(200)
    await expect.poll(() => proxies(nodes[1]), { timeout: 30_000 }).toBe(2)
    await expect.poll(() => leftOf('bob'), { timeout: 30_000 }).toBe(LIMIT - 6)
  })
})
