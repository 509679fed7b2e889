// A real Envoy asks two nodes and tells them afterwards: so many requests are in flight as the example says, and no more.
import { readFileSync } from 'node:fs'
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parse, stringify } from 'yaml'
import { type Envoy, ENVOY_MANAGER, startEnvoy } from '../helpers/envoy.ts'
import { type HttpBackend, startHttpBackend } from '../helpers/http-backend.ts'
import { type RedisServer, startRedis } from '../helpers/redis.ts'
import { toolOrSkip } from '../helpers/tools.ts'
import { type Intermix, ROOT, startIntermix } from './intermix.ts'

const binary = toolOrSkip('envoy')
const PLACES = 3

/** The example with fewer places, which stay taken for an hour unless they are given back. */
function exampleWith(maxAmount: number): string {
  const rule = parse(readFileSync(join(ROOT, 'examples/in-flight/limit-flights.yaml'), 'utf8')) as {
    spec: { actions: [{ handler: { params: { quotas: [{ limits: [object] }] } } }] }
  }
  const { limits } = rule.spec.actions[0].handler.params.quotas[0]
  limits[0] = { ...limits[0], maxAmount, validDuration: '1h' }
  return stringify(rule)
}

describe.skipIf(binary === undefined)('a limit of requests in flight', () => {
  const ends: (() => Promise<unknown>)[] = []
  let redis: RedisServer
  let upstream: HttpBackend
  let nodes: readonly Intermix[]
  let envoy: Envoy
  /** Answers what the upstream holds, in order. */
  const held: (() => void)[] = []

  beforeAll(async () => {
    const config = await mkdtemp(join(tmpdir(), 'intermix-in-flight-'))
    ends.push(() => rm(config, { recursive: true, force: true }))
    await cp(join(ROOT, 'examples/quickstart/attributes.yaml'), join(config, 'attributes.yaml'))
    await writeFile(join(config, 'flights.yaml'), exampleWith(PLACES))
    redis = await startRedis()
    ends.push(() => redis.stop())
    upstream = await startHttpBackend(({ path }) => {
      if (path !== '/held') return { status: 200, body: 'ok' }
      const { promise, resolve } = Promise.withResolvers<void>()
      held.push(resolve)
      return promise.then(() => ({ status: 200, body: 'ok' }))
    })
    ends.push(() => upstream.close())
    const start = (nodeId: string) => startIntermix({ role: 'node', config, nodeId, flags: ['--redis', redis.url] })
    nodes = await Promise.all([start('flights-1'), start('flights-2')])
    for (const { child } of nodes) ends.push(() => child.stop())
    const nodePorts = nodes.map(({ grpcPort }) => grpcPort)
    envoy = await startEnvoy({
      binary: binary ?? '',
      nodePorts,
      upstreamPort: upstream.port,
      // The shipped route ends requests after 15 s; these are held for as long as the test wants.
      adapt: (bootstrap) => {
        const route = [...ENVOY_MANAGER, 'route_config', 'virtual_hosts', 0, 'routes', 0, 'route']
        bootstrap.setIn([...route, 'timeout'], '0s')
      },
    })
    ends.push(() => envoy.stop())
  })
  afterAll(async () => {
    for (const release of held) release()
    for (const end of ends.splice(0).toReversed()) await end()
  })

  const ask = async (path: string, key = 'k') => {
    const response = await fetch(`${envoy.url}${path}`, { headers: { 'x-api-key': key } })
    await response.arrayBuffer()
    return response.status
  }
  /** How many places were given back, at both nodes. */
  const places = async () => {
    let sum = 0
    for (const { adminUrl } of nodes) {
      const page = await (await fetch(`${adminUrl}/metrics`)).text()
      sum += Number(page.match(/^intermix_quota_ended_total\{.*"given_back".*\} (\d+)$/m)?.[1] ?? 0)
    }
    return sum
  }

  it('lets as many pass, refuses further ones, and has room again when one has ended', async () => {
    const flights: Promise<number>[] = []
    for (let each = 1; each <= PLACES; each++) {
      flights.push(ask('/held'))
      await expect.poll(() => held.length).toBe(each)
    }
    expect([await ask('/free'), await ask('/held')]).toEqual([429, 429])
    expect(await ask('/free', 'another')).toBe(200)
    held.shift()?.()
    expect(await flights.shift()).toBe(200)
    // The place that "another" had, and that of the one which has ended.
    await expect.poll(places, { timeout: 10_000 }).toBe(2)
    flights.push(ask('/held'))
    await expect.poll(() => held.length).toBe(PLACES)
    expect(await ask('/free')).toBe(429)
    for (const release of held.splice(0)) release()
    expect(await Promise.all(flights)).toEqual(new Array(PLACES).fill(200))
    await expect.poll(places, { timeout: 10_000 }).toBe(2 + PLACES)
  })

  it('lets one after the other pass without end', async () => {
    const before = await places()
    for (let each = 0; each < 4 * PLACES; each++) {
      await expect.poll(() => ask('/free'), { timeout: 10_000, interval: 50 }).toBe(200)
    }
    await expect.poll(places, { timeout: 10_000 }).toBe(before + 4 * PLACES)
  })

  it('has the place again of a request whose client went away', async () => {
    const before = await places()
    const abort = new AbortController()
    const gone = fetch(`${envoy.url}/held`, { headers: { 'x-api-key': 'k' }, signal: abort.signal })
    await expect.poll(() => held.length).toBe(1)
    abort.abort()
    await expect(gone).rejects.toThrow()
    await expect.poll(places, { timeout: 10_000 }).toBe(before + 1)
  })
})
