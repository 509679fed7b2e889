// A real Envoy with the filter in it tells nodes of requests: what its own access log says of them, in few calls, each once.
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { writeFileSync } from 'node:fs'
import { mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { type IncomingMessage, request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { SecureContextOptions } from 'node:tls'
import { Pool } from 'undici'
import { afterEach, describe, expect, it } from 'vitest'
import { type Document, parseDocument } from 'yaml'
import type { DroppedRecords, ReportBatch } from '../../src/kernel/report.ts'
import { unpackReportCall } from '../../src/wire/reports/report-call.ts'
import { type Certificates, createCertificates } from '../helpers/certificates.ts'
import { type Envoy, ENVOY_BOOTSTRAP, ENVOY_MANAGER, ENVOY_WASM, setFilter, startEnvoy } from '../helpers/envoy.ts'
import { startHttpBackend } from '../helpers/http-backend.ts'
import { freePort } from '../helpers/ports.ts'
import { toolOrSkip } from '../helpers/tools.ts'
import { answerOf, dependencies, served } from '../server/fixtures.ts'
import { createGrpcServer } from '../server/transport.ts'
import { sendAll } from './load.ts'
import { startMesh } from './mesh.ts'
import { mixedRequests } from './policy.ts'
import { recordsOf, type ToldRecord } from '../helpers/told-records.ts'

const binary = toolOrSkip('envoy')
const LISTENER = 'type.googleapis.com/envoy.config.listener.v3.Listener'
interface Bootstrap {
  readonly static_resources: { readonly listeners: readonly object[] }
}
const ends: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
})

interface World {
  readonly given: ReturnType<typeof dependencies>
  readonly envoy: Envoy
  /** A counter or gauge of the filter's reports. */
  readonly stat: (name: string) => Promise<number>
  /** The node goes, and comes back at the same place. */
  readonly leave: () => Promise<void>
  readonly comeBack: () => Promise<void>
}

/** An Envoy before a node in this process that keeps what it is told. */
async function startWorld(settings: object, adapt: (bootstrap: Document) => void = () => undefined): Promise<World> {
  const given = dependencies()
  const port = await freePort()
  let server = createGrpcServer(served(given))
  await server.listen({ host: '127.0.0.1', port })
  ends.push(() => server.drain(100))
  const upstream = await startHttpBackend(({ path }) =>
    path.startsWith('/missing')
      ? { status: 404, body: 'nothing here', headers: { 'x-why': 'gone' } }
      : { status: 200, body: 'ok' },
  )
  ends.push(() => upstream.close())
  const envoy = await startEnvoy({
    binary: binary ?? '',
    path: ENVOY_WASM,
    nodePorts: [port],
    upstreamPort: upstream.port,
    adapt(bootstrap) {
      setFilter(bootstrap, settings)
      logByEnvoy(bootstrap)
      adapt(bootstrap)
    },
  })
  ends.push(() => envoy.stop())
  return {
    given,
    envoy,
    stat: (name) => envoy.stat(`wasmcustom.intermix.reports.${name}`),
    leave: () => server.drain(0),
    async comeBack() {
      server = createGrpcServer(served(given))
      await server.listen({ host: '127.0.0.1', port })
    },
  }
}

interface Sent {
  readonly method?: string
  readonly headers?: readonly string[]
  readonly body?: string
  readonly tls?: SecureContextOptions
}

/** Sends a request as it is given, header lines as well, over a connection of its own. */
async function send(
  url: string,
  path: string,
  { method = 'GET', headers = [], body = '', tls }: Sent = {},
): Promise<void> {
  const { hostname, port } = new URL(url)
  const connection = { hostname, port, agent: false, checkServerIdentity: () => undefined, ...tls }
  const options = { ...connection, path, method, headers: ['host', 'shop.test', ...headers] }
  const sent = tls === undefined ? httpRequest(options) : httpsRequest(options)
  sent.end(body)
  const [response] = (await once(sent, 'response')) as [IncomingMessage]
  response.resume()
  await once(response, 'end')
}

describe.skipIf(binary === undefined)('records of the filter in a real Envoy', () => {
  it('say what the access log of that Envoy says, by the derivations of its door', async () => {
    const files = await createCertificates('URI:spiffe://cluster.local/ns/shop/sa/ann,IP:127.0.0.1')
    ends.push(() => files.remove())
    const report = { request_headers: ['x-user', 'x-two'], response_headers: ['content-type', 'x-why'], wait_ms: 20 }
    const world = await startWorld({ report, context_extensions: {} }, (bootstrap) => {
      logHeaders(bootstrap, report)
      nameCluster(bootstrap, 'outbound|80||reviews.shop.svc.cluster.local')
      takeTls(bootstrap, files)
    })
    const { batches } = world.given.report
    world.given.check.decide = (bag) => {
      const status = bag.get('request.path') === '/denied' ? { code: 7, message: 'not you' } : { code: 0, message: '' }
      return { answer: answerOf({ status }), quotas: new Map() }
    }
    const paths = [files.key, files.certificate, files.authority]
    const [key = '', cert = '', ca = ''] = await Promise.all(paths.map(async (path) => await readFile(path, 'utf8')))
    const url = world.envoy.url.replace('http:', 'https:')
    const grpc = ['content-type', 'application/grpc', 'te', 'trailers']
    const sent: [string, Sent?][] = [
      ['/'],
      ['/a?x=1&y=%20z+q&x=2&%zz&=e&%C3%A9=%ff;b', { headers: ['x-user', 'ann', 'referer', 'http://r.test/'] }],
      ['/a?', { headers: ['x-two', 'one', 'x-user', 'ann', 'x-two', 'two'], method: 'HEAD' }],
      ['/post', { method: 'POST', body: 'hello', headers: ['content-length', '5', 'user-agent', 'us'] }],
      ['/chunks', { method: 'POST', body: 'hello', headers: ['transfer-encoding', 'chunked'] }],
      ['/missing/1', { headers: grpc, method: 'POST' }],
      ['/denied'],
      ['/denied'],
    ]
    for (const [path, how] of sent) await send(url, path, { ...how, tls: { key, cert, ca } })
    await expect.poll(() => world.stat('sent')).toBe(sent.length)
    await expect.poll(() => recordsOf(batches, 'envoy-als').length).toBe(sent.length)
    // This Envoy evaluated all of them, or the filter would have counted.
    expect(await world.stat('read_singly')).toBe(0)
    const told = byId(recordsOf(batches, 'mixer-report'))
    // What the log says of checks and of gRPC it has of other filters, and of headers that it was told to log.
    const alike = told.map((record) => without(record, /^check\.|^context\.protocol$|^response\.grpc_status$/))
    expect(alike).toEqual(byId(recordsOf(batches, 'envoy-als')).map((record) => without(record, /^context\.protocol$/)))
    const ofGrpc = told.filter((record) => record['context.protocol'] === 'grpc')
    expect(ofGrpc).toMatchObject([{ 'response.grpc_status': '12' }])
    expect(told[0]).toMatchObject({
      'source.principal': 'cluster.local/ns/shop/sa/ann',
      'destination.serviceAccount': 'ann',
      'context.reporter.uid': 'wasm-entrance',
    })
    const checks = told.map((record) => [record['check.error_code'], record['check.error_message']])
    expect(checks.filter(([code]) => code === 7n)).toEqual(Array.from({ length: 2 }, () => [7n, 'not you']))
    expect(checks.filter(([code]) => code === 0n)).toEqual(Array.from({ length: sent.length - 2 }, () => [0n, '']))
  })

  it('are one for each request, though Envoy writes entries before its end', async () => {
    const world = await startWorld({ report: { wait_ms: 20 } }, (bootstrap) => {
      const log = { flush_access_log_on_new_request: true, access_log_flush_interval: '1s' }
      bootstrap.setIn([...ENVOY_MANAGER, 'access_log_options'], log)
    })
    await send(world.envoy.url, '/')
    await expect.poll(() => recordsOf(world.given.report.batches, 'envoy-als').length).toBe(2)
    await expect.poll(() => world.stat('sent')).toBe(1)
    expect(recordsOf(world.given.report.batches, 'mixer-report')).toMatchObject([{ 'response.code': 200n }])
  })

  it('have what the operator has set, by its type, and nothing of it twice', async () => {
    const set = {
      'destination.service.name': 'reviews',
      'destination.port': '77',
      'source.port': 'x',
      'connection.mtls': 'true',
      'source.ip': '::1',
    }
    const world = await startWorld({ report: { wait_ms: 20 }, context_extensions: set })
    for (let time = 0; time < 3; time++) await send(world.envoy.url, '/')
    await expect.poll(() => world.stat('sent')).toBe(3)
    for (const record of recordsOf(world.given.report.batches, 'mixer-report')) {
      expect(record).toMatchObject({
        'destination.service.name': 'reviews',
        'destination.port': 77n,
        'connection.mtls': true,
        'source.ip': '::1',
        'origin.ip': '127.0.0.1',
      })
      expect(typeof record['source.port']).toBe('bigint')
    }
  })

  it('wait within their bound while no node takes any; what gave way is told, and all of it counts once', async () => {
    const world = await startWorld({
      report: { wait_ms: 20, max_bytes: 262_144 },
      fail_policy: 'open',
      timeout_ms: 1,
    })
    const { batches } = world.given.report
    const ask = async (count: number, path: string) => {
      const pool = new Pool(world.envoy.url, { connections: 8 })
      const headers = { 'user-agent': 'a'.repeat(500) }
      const some = async (_: unknown, each: number) => {
        for (let number = each; number < count; number += 8)
          await (
            await pool.request({ path: `${path}${number}-${'p'.repeat(500)}`, method: 'GET', headers })
          ).body.dump()
      }
      await Promise.all(Array.from({ length: 8 }, some))
      await pool.close()
    }
    await ask(100, '/first')
    await expect.poll(() => world.stat('sent')).toBe(100)
    await world.leave()
    await ask(2_000, '/away')
    expect(await world.stat('held_bytes')).toBeLessThanOrEqual(262_144)
    await expect.poll(() => world.stat('accepted')).toBe(2_100)
    const dropped = await world.stat('dropped.full')
    expect(dropped).toBeGreaterThan(0)
    await world.comeBack()
    await expect.poll(() => world.stat('held'), { timeout: 30_000 }).toBe(0)
    expect((await world.stat('sent')) + dropped).toBe(2_100)
    const seen = recordsOf(batches, 'mixer-report').map((record) => String(record['request.path']).split('-')[0])
    expect(new Set(seen).size).toBe(seen.length)
    expect(seen.length).toBe(2_100 - dropped)
    // The newest are here.
    expect(seen).toContain('/away1999')
    await expect.poll(() => droppedOf(batches)).toEqual([{ reason: 'full', count: dropped }])
  })

  it('are sent by a filter that goes because its config has changed', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'intermix-listeners-'))
    ends.push(() => rm(directory, { recursive: true, force: true }))
    let listeners = ''
    const write = async (text: string) => {
      // Envoy looks for files that are moved there.
      await writeFile(join(directory, 'new.yaml'), text)
      await rename(join(directory, 'new.yaml'), join(directory, 'listeners.yaml'))
    }
    const report = { wait_ms: 60_000 }
    const world = await startWorld({ report }, (bootstrap) => {
      const listener = { '@type': LISTENER, ...(bootstrap.toJS() as Bootstrap).static_resources.listeners[0] }
      listeners = JSON.stringify({ version_info: '1', resources: [listener] })
      bootstrap.deleteIn(['static_resources', 'listeners'])
      const path = join(directory, 'listeners.yaml')
      bootstrap.setIn(['dynamic_resources'], {
        lds_config: { path_config_source: { path, watched_directory: { path: directory } } },
      })
      writeFileSync(path, listeners)
    })
    for (let time = 0; time < 5; time++) await send(world.envoy.url, '/')
    await expect.poll(() => world.stat('accepted')).toBe(5)
    expect(await world.stat('sent')).toBe(0)
    await write(listeners.replace('60000', '50000'))
    await expect.poll(() => world.stat('sent')).toBe(5)
    await send(world.envoy.url, '/')
    await expect.poll(() => world.stat('accepted')).toBe(6)
    expect(await world.stat('held')).toBe(1)
    expect(await world.stat('dropped.end')).toBe(0)
    expect(recordsOf(world.given.report.batches, 'mixer-report')).toHaveLength(5)
  })

  it('are told in calls of thousands, and all of them arrive', async () => {
    const mesh = await startMesh({ nodes: 2, workers: 1 })
    ends.push(() => mesh.stop())
    const envoy = await startEnvoy({
      binary: binary ?? '',
      path: ENVOY_WASM,
      nodePorts: mesh.nodes.map(({ grpcPort }) => grpcPort),
      upstreamPort: mesh.upstream.port,
      adapt(bootstrap) {
        bootstrap.deleteIn([...ENVOY_MANAGER, 'access_log'])
        setFilter(bootstrap, { report: { request_headers: ['x-user'], wait_ms: 60_000 } })
      },
    })
    ends.push(() => envoy.stop())
    const stat = (name: string) => envoy.stat(`wasmcustom.intermix.reports.${name}`)
    const outcome = await sendAll({ url: envoy.url, requests: mixedRequests(20_000) })
    expect(outcome.wrong).toEqual([])
    await expect.poll(() => stat('accepted')).toBe(20_000)
    expect((await stat('sent')) + (await stat('held'))).toBe(20_000)
    expect(await stat('held')).toBeLessThan(4_000)
    const calls = await stat('calls.taken')
    expect(calls * 2_000).toBeLessThanOrEqual(await stat('sent'))
    const sent = await stat('sent')
    await expect.poll(() => mesh.countedRequests(), { timeout: 30_000 }).toBe(sent)
  })
})

const byId = (records: readonly ToldRecord[]): ToldRecord[] =>
  records.toSorted((one, other) => String(one['request.id']).localeCompare(String(other['request.id'])))

const without = (record: ToldRecord, names: RegExp): ToldRecord =>
  Object.fromEntries(Object.entries(record).filter(([name]) => !names.test(name)))

function droppedOf(batches: readonly ReportBatch[]): readonly DroppedRecords[] {
  return batches
    .filter(({ format }) => format.startsWith('report-call'))
    .flatMap((batch) => unpackReportCall(batch.payload).dropped)
}

/** Has Envoy tell of requests by itself, too. */
function logByEnvoy(bootstrap: Document): void {
  const shipped = parseDocument(readFileSync(ENVOY_BOOTSTRAP, 'utf8'))
  const logs = shipped.getIn([...ENVOY_MANAGER, 'access_log'], true) as { toJSON(): unknown }
  bootstrap.setIn([...ENVOY_MANAGER, 'access_log'], bootstrap.createNode(logs.toJSON()))
}

function logHeaders(bootstrap: Document, report: { request_headers: string[]; response_headers: string[] }): void {
  const logs = bootstrap.getIn([...ENVOY_MANAGER, 'access_log']) as { items: unknown[] }
  const at = [...ENVOY_MANAGER, 'access_log', logs.items.length - 1, 'typed_config']
  bootstrap.setIn([...at, 'additional_request_headers_to_log'], report.request_headers)
  bootstrap.setIn([...at, 'additional_response_headers_to_log'], report.response_headers)
}

function nameCluster(bootstrap: Document, name: string): void {
  const route = [...ENVOY_MANAGER, 'route_config', 'virtual_hosts', 0, 'routes', 0, 'route', 'cluster']
  bootstrap.setIn(route, name)
  bootstrap.setIn(['static_resources', 'clusters', 1, 'name'], name)
  bootstrap.setIn(['static_resources', 'clusters', 1, 'load_assignment', 'cluster_name'], name)
}

function takeTls(bootstrap: Document, { authority, certificate, key }: Certificates): void {
  const file = (filename: string) => ({ filename })
  bootstrap.setIn(['static_resources', 'listeners', 0, 'filter_chains', 0, 'transport_socket'], {
    name: 'envoy.transport_sockets.tls',
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext',
      require_client_certificate: true,
      common_tls_context: {
        tls_certificates: [{ certificate_chain: file(certificate), private_key: file(key) }],
        validation_context: { trusted_ca: file(authority) },
      },
    },
  })
}
