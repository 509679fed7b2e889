// A real Envoy whose rate limit filter asks two nodes, with a config of envoyproxy/ratelimit and one Redis.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Document } from 'yaml'
import { type Envoy, ENVOY_MANAGER, startEnvoy } from '../helpers/envoy.ts'
import { type HttpBackend, startHttpBackend } from '../helpers/http-backend.ts'
import { type RedisServer, startRedis } from '../helpers/redis.ts'
import { toolOrSkip } from '../helpers/tools.ts'
import { type Intermix, ROOT, startIntermix } from './intermix.ts'

const binary = toolOrSkip('envoy')

// Windows of a year: none ends while a test runs, or hardly ever.
const LIMITS = (each: number) => `
domain: shop
descriptors:
  - {key: api_key, rate_limit: {unit: year, requests_per_unit: ${each}}, metadata: {plan: {tier: free}}}
  - {key: api_key, value: partner, rate_limit: {unit: year, requests_per_unit: 1000}}
  - {key: api_key, value: partner-2, rate_limit: {unit: year, requests_per_unit: 1000}}
  - {key: api_key, value: test-*, rate_limit: {unlimited: true}}
`

/** The rate limit filter in place of ext_authz. */
function limitByApiKey(bootstrap: Document, timeout = '5s'): void {
  const host = [...ENVOY_MANAGER, 'route_config', 'virtual_hosts', 0]
  bootstrap.deleteIn([...host, 'typed_per_filter_config'])
  const tier = '%DYNAMIC_METADATA(envoy.filters.http.ratelimit:metadata:plan:tier)%'
  const added = bootstrap.createNode([{ header: { key: 'x-tier', value: tier } }])
  bootstrap.setIn([...host, 'response_headers_to_add'], added)
  const byKey = { request_headers: { header_name: 'x-api-key', descriptor_key: 'api_key' } }
  bootstrap.setIn([...host, 'routes', 0, 'route', 'rate_limits'], bootstrap.createNode([{ actions: [byKey] }]))
  const type = 'type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimit'
  const filter = {
    name: 'envoy.filters.http.ratelimit',
    typed_config: {
      '@type': type,
      domain: 'shop',
      timeout,
      failure_mode_deny: true,
      rate_limit_service: { transport_api_version: 'V3', grpc_service: { envoy_grpc: { cluster_name: 'intermix' } } },
    },
  }
  bootstrap.setIn([...ENVOY_MANAGER, 'http_filters', 0], bootstrap.createNode(filter))
}

/** Counts how often a timer of this process is late by more than so many ms. */
function watchStalls(ms: number): { end(): number } {
  let count = 0
  let due = performance.now() + 1
  const timer = setInterval(() => {
    const now = performance.now()
    if (now - due > ms) count += Math.ceil((now - due) / ms)
    due = now + 1
  }, 1)
  return {
    end() {
      clearInterval(timer)
      return count
    },
  }
}

describe.skipIf(binary === undefined)("Envoy's rate limit filter", () => {
  const ends: (() => Promise<unknown>)[] = []
  let limits: string
  let redis: RedisServer
  let upstream: HttpBackend
  let nodes: readonly Intermix[]
  let envoy: Envoy
  /** With the filter's own deadline, which is 20 ms. */
  let hurried: Envoy

  beforeAll(async () => {
    limits = await mkdtemp(join(tmpdir(), 'intermix-limits-'))
    ends.push(() => rm(limits, { recursive: true, force: true }))
    await writeFile(join(limits, 'shop.yaml'), LIMITS(5))
    redis = await startRedis()
    ends.push(() => redis.stop())
    upstream = await startHttpBackend()
    ends.push(() => upstream.close())
    const told = ['--ratelimit-headers', 'x-ratelimit', '--ratelimit-metadata']
    const flags = ['--redis', redis.url, '--ratelimit-config', limits, ...told]
    const config = join(ROOT, 'examples/quickstart')
    const start = (nodeId: string) => startIntermix({ role: 'node', config, nodeId, flags })
    nodes = await Promise.all([start('limits-1'), start('limits-2')])
    for (const { child } of nodes) ends.push(() => child.stop())
    const nodePorts = nodes.map(({ grpcPort }) => grpcPort)
    const start20 = (bootstrap: Document) => limitByApiKey(bootstrap, '0.02s')
    const both = [limitByApiKey, start20].map(async (adapt) => {
      const started = await startEnvoy({ binary: binary ?? '', nodePorts, upstreamPort: upstream.port, adapt })
      ends.push(() => started.stop())
      return started
    })
    ;[envoy, hurried] = (await Promise.all(both)) as [Envoy, Envoy]
  })
  afterAll(async () => {
    for (const end of ends.splice(0).toReversed()) await end()
  })

  async function leftOf(key: string): Promise<number> {
    const descriptors = [{ entries: [{ key: 'api_key', value: key }], hitsAddend: 0 }]
    const body = JSON.stringify({ domain: 'shop', descriptors })
    const response = await fetch(`http://127.0.0.1:${nodes[0]?.httpPort}/v1/quota`, { method: 'POST', body })
    const { statuses: all } = (await response.json()) as { statuses: { limitRemaining: number }[] }
    return all[0]?.limitRemaining ?? Number.NaN
  }

  const send = (key?: string) => fetch(envoy.url, { headers: key === undefined ? {} : { 'x-api-key': key } })

  async function statuses(key: string | undefined, times: number): Promise<number[]> {
    const found: number[] = []
    for (let each = 0; each < times; each++) {
      const response = await send(key)
      await response.arrayBuffer()
      found.push(response.status)
    }
    return found
  }

  it('lets pass exactly what the limit allows, over both nodes together', async () => {
    expect(await statuses('alice', 8)).toEqual([200, 200, 200, 200, 200, 429, 429, 429])
    expect(await statuses('bob', 1)).toEqual([200])
    expect(new Set(await statuses('partner', 8))).toEqual(new Set([200]))
    expect(new Set(await statuses('test-1', 8))).toEqual(new Set([200]))
    expect(new Set(await statuses(undefined, 8))).toEqual(new Set([200]))
    expect(await envoy.stat('cluster.upstream.ratelimit.over_limit')).toBe(3)
    expect(await envoy.stat('cluster.upstream.ratelimit.error')).toBe(0)
  })

  it('counts a client whose header is no UTF-8', async () => {
    const ask = () =>
      new Promise<number | undefined>((resolve, reject) => {
        const asked = request(envoy.url, { headers: { 'x-api-key': 'gr\u00fc\u00df' } }, (response) => {
          response.resume().on('end', () => resolve(response.statusCode))
        })
        asked.on('error', reject).end()
      })
    const found: (number | undefined)[] = []
    for (let each = 0; each < 7; each++) found.push(await ask())
    expect(found).toEqual([200, 200, 200, 200, 200, 429, 429])
  })

  it('shares its counters with POST /v1/quota', async () => {
    await statuses('frank', 2)
    const left: unknown[] = []
    for (const { httpPort } of nodes) {
      const descriptors = [{ entries: [{ key: 'api_key', value: 'frank' }] }]
      const body = JSON.stringify({ domain: 'shop', descriptors, hitsAddend: 2 })
      const response = await fetch(`http://127.0.0.1:${httpPort}/v1/quota`, { method: 'POST', body })
      const { overallCode, statuses: all } = (await response.json()) as {
        overallCode: string
        statuses: { limitRemaining: number }[]
      }
      left.push([overallCode, all[0]?.limitRemaining])
    }
    expect(left).toEqual([
      ['OK', 1],
      ['OVER_LIMIT', 0],
    ])
  })

  it('tells the client of its limit', async () => {
    const response = await send('carol')
    await response.arrayBuffer()
    expect(response.headers.get('x-ratelimit-limit')).toBe('5')
    expect(response.headers.get('x-ratelimit-remaining')).toBe('4')
    expect(Number(response.headers.get('x-ratelimit-reset'))).toBeGreaterThan(0)
  })

  it('hands the metadata of a limit to Envoy where it lets the request pass', async () => {
    const tiers: (string | null)[] = []
    for (const key of ['erin', 'erin', 'erin', 'erin', 'erin', 'erin', 'partner']) {
      const response = await send(key)
      await response.arrayBuffer()
      tiers.push(response.headers.get('x-tier'))
    }
    expect(tiers).toEqual(['free', 'free', 'free', 'free', 'free', null, null])
  })

  it('answers within 20 ms while Redis is paused, and charges once what was granted then', async () => {
    const key = 'partner-2'
    const sent = { all: 0, granted: 0 }
    const ask = async (times: number) => {
      for (let each = 0; each < times; each++) {
        const response = await fetch(hurried.url, { headers: { 'x-api-key': key } })
        await response.arrayBuffer()
        sent.all++
        if (response.status === 200) sent.granted++
      }
    }
    const errors = () => hurried.stat('cluster.upstream.ratelimit.error')
    // Connections are made by the first requests, and code is compiled.
    await ask(100)
    const before = { errors: await errors(), ...sent }
    // On a machine that does much else all of it stands still at times: that fails calls at any server.
    const stalls = watchStalls(5)
    for (let round = 0; round < 4; round++) {
      redis.pause()
      try {
        await ask(30)
      } finally {
        redis.resume()
      }
      await expect.poll(async () => (await leftOf(key)) < 1_000).toBe(true)
    }
    const [failed, late] = [(await errors()) - before.errors, stalls.end()]
    const requests = sent.all - before.all
    console.log(`${requests} requests while Redis was paused: ${failed} without an answer in 20 ms, ${late} stalls`)
    expect(failed).toBeLessThanOrEqual(late)
    expect(sent.granted - before.granted).toBe(requests - failed)
    // What Envoy did not wait for may have been charged, too.
    const charged = async () => 1_000 - (await leftOf(key))
    await expect.poll(charged, { timeout: 10_000 }).toBeGreaterThanOrEqual(sent.granted)
    await expect.poll(charged, { timeout: 10_000 }).toBeLessThanOrEqual(sent.all)
  })

  it('has a limit that was raised at once, and goes on with the last good one after a mistake', async () => {
    expect((await statuses('dave', 6)).at(-1)).toBe(429)
    // What is refused counts, too: it must not use up the raised limit before that is there.
    await writeFile(join(limits, 'shop.yaml'), LIMITS(10_000))
    await expect.poll(async () => (await statuses('dave', 1))[0], { interval: 200 }).toBe(200)
    await writeFile(join(limits, 'shop.yaml'), LIMITS(7).replace('unlimited', 'unlimted'))
    for (const { child } of nodes)
      await child.waitForOutput(/a rate limit has no field \\"unlimted\\"\. Did you mean/, 30_000)
    for (const each of ['first', 'second']) expect((await send(each)).headers.get('x-ratelimit-limit')).toBe('10000')
  })
})

// The rule counts windows of a year, too, and knows one key that the domain does not.
const FOLDER = `
domain: shop
descriptors:
  - {key: api_key, value: partner, rate_limit: {unit: year, requests_per_unit: 2}}
---
apiVersion: intermix.dev/v1
kind: rule
metadata: {name: limit-keys, namespace: shop}
spec:
  match: '"api_key" in ratelimit.descriptor'
  actions:
    - handler:
        adapter: quota
        params: {quotas: [{name: per-key, limits: [{maxAmount: 3, validDuration: 8760h, rateLimitAlgorithm: FIXED_WINDOW}]}]}
      instances:
        - {name: per-key, template: quota, params: {dimensions: {key: 'ratelimit.descriptor["api_key"]'}}}
`

describe.skipIf(binary === undefined)("rules and Envoy's rate limit filter", () => {
  const ends: (() => Promise<unknown>)[] = []
  let folder: string
  let node: Intermix
  let envoy: Envoy

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'intermix-limits-'))
    ends.push(() => rm(folder, { recursive: true, force: true }))
    await writeFile(join(folder, 'all.yaml'), FOLDER)
    const redis = await startRedis()
    ends.push(() => redis.stop())
    const upstream = await startHttpBackend()
    ends.push(() => upstream.close())
    const flags = ['--redis', redis.url, '--ratelimit-headers', 'x-ratelimit']
    node = await startIntermix({ role: 'node', config: folder, nodeId: 'rules-1', flags })
    ends.push(() => node.child.stop())
    const nodePorts = [node.grpcPort]
    envoy = await startEnvoy({ binary: binary ?? '', nodePorts, upstreamPort: upstream.port, adapt: limitByApiKey })
    ends.push(() => envoy.stop())
  })
  afterAll(async () => {
    for (const end of ends.splice(0).toReversed()) await end()
  })

  async function send(key: string): Promise<string> {
    const response = await fetch(envoy.url, { headers: { 'x-api-key': key } })
    await response.arrayBuffer()
    return `${response.status} ${response.headers.get('x-ratelimit-limit')} ${response.headers.get('x-ratelimit-remaining')}`
  }

  it('limit requests together, the stricter first, without any folder of limits', async () => {
    const alice = [await send('alice'), await send('alice'), await send('alice'), await send('alice')]
    expect(alice).toEqual(['200 3 2', '200 3 1', '200 3 0', '429 3 0'])
    const partner = [await send('partner'), await send('partner'), await send('partner')]
    expect(partner).toEqual(['200 2 1', '200 2 0', '429 2 0'])
    expect(await envoy.stat('cluster.upstream.ratelimit.error')).toBe(0)
  })

  it('are known to POST /v1/quota', async () => {
    const ask = async (domain: string) => {
      const descriptors = [{ entries: [{ key: 'api_key', value: 'carol' }], hitsAddend: 2 }]
      const body = JSON.stringify({ domain, descriptors })
      const response = await fetch(`http://127.0.0.1:${node.httpPort}/v1/quota`, { method: 'POST', body })
      return await response.json()
    }
    expect(await ask('shop')).toMatchObject({
      overallCode: 'OK',
      statuses: [{ currentLimit: { requestsPerUnit: 3, unit: 'YEAR', name: 'per-key' }, limitRemaining: 1 }],
    })
    expect(await ask('shop')).toMatchObject({ overallCode: 'OVER_LIMIT', statuses: [{ code: 'OVER_LIMIT' }] })
    expect(await ask('other')).toEqual({ overallCode: 'OK', statuses: [{ code: 'OK', limitRemaining: 0 }] })
  })

  it('change while requests are limited; domains with errors are named and stay as they were', async () => {
    const changed = FOLDER.replace('maxAmount: 3', 'maxAmount: 30').replace(
      'requests_per_unit: 2',
      'requests_per_unit: -1',
    )
    await writeFile(join(folder, 'all.yaml'), changed)
    await expect.poll(() => send('alice'), { timeout: 30_000, interval: 200 }).toMatch(/^200 30 /)
    await node.child.waitForOutput(/all\.yaml:4:\d+: error: descriptors\[0\]\.rate_limit\.requests_per_unit/, 30_000)
    expect(await send('partner')).toBe('429 2 0')
  })
})
