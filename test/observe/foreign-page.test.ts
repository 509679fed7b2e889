import { request } from 'node:http'
import { text } from 'node:stream/consumers'
import { afterEach, describe, expect, it } from 'vitest'
import type { Operation } from '../../src/kernel/operation.ts'
import type { AdminServer, CreateAdminServer } from '../../src/observe/admin-server.ts'
import { Health } from '../../src/observe/health.ts'
import { createLogger } from '../../src/observe/logger.ts'
import { createMeter } from '../../src/observe/meter.ts'
import { ADMIN_HOSTS } from './admin-hosts.ts'

let server: AdminServer
afterEach(() => server.close())

async function startOn(createAdmin: CreateAdminServer, hosts: readonly string[] = []) {
  const lines: string[] = []
  const log = createLogger({ format: 'json', level: 'info', terminal: false, write: (line) => lines.push(line) })
  const meter = createMeter({ processMetrics: false })
  const operations = new Map<string, Operation>()
  server = createAdmin({ meter, health: new Health(), debug: new Map(), operations, hosts, log, version: {} })
  const [host, port] = (await server.listen({ host: '127.0.0.1', port: 0 })).split(':')
  const done: string[] = []
  operations.set('revocations', async ({ body, query }) => {
    done.push(body.toString())
    return { httpStatus: 202, body: { query } }
  })
  const ask = async (method: string, path: string, headers: Record<string, string>, body = '') => {
    const { promise, resolve, reject } = Promise.withResolvers<{ status: number; text: string }>()
    const call = request({ host, port, method, path, headers }, (answer) => {
      text(answer).then((read) => resolve({ status: answer.statusCode ?? 0, text: read }), reject)
    })
    call.on('error', reject).end(body)
    return await promise
  }
  const json = { 'content-type': 'application/json' }
  return { ask, done, lines, json, own: `127.0.0.1:${port}` }
}

describe.each(ADMIN_HOSTS)('operations at the admin port on %s', (_, createAdmin) => {
  const start = (hosts?: readonly string[]) => startOn(createAdmin, hosts)

  it('take JSON and answer with what they say, once they are there', async () => {
    const { ask, done, json } = await start()
    expect(await ask('POST', '/v1/revocations?a=1', json, '{"kind":"all"}')).toEqual({
      status: 202,
      text: '{"query":{"a":"1"}}',
    })
    expect(done).toEqual(['{"kind":"all"}'])
    const unknown = await ask('POST', '/v1/revocation', json, '{}')
    expect([unknown.status, unknown.text]).toEqual([404, expect.stringContaining('there are: revocations') as string])
    expect((await ask('GET', '/v1/revocations', {})).status).toBe(404)
  })

  it.each(['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data', 'application/jsonp', ''])(
    'take no %s, which a page of anybody can send without asking first',
    async (type) => {
      const { ask, done } = await start()
      const answer = await ask('POST', '/v1/revocations', type === '' ? {} : { 'content-type': type }, '{"kind":"all"}')
      expect([answer.status, answer.text]).toEqual([
        415,
        expect.stringContaining('content-type: application/json') as string,
      ])
      expect(done).toEqual([])
    },
  )

  it.each<[string, Record<string, string>]>([
    ['of another site', { origin: 'https://evil.example' }],
    ['of no origin', { origin: 'null' }],
    ['of another port', { origin: 'http://127.0.0.1:1' }],
    ['that the browser calls cross-site', { 'sec-fetch-site': 'cross-site' }],
    ['that the browser calls same-site', { 'sec-fetch-site': 'same-site' }],
    ['of a name that was turned to this address', { host: 'evil.example:15014', origin: 'http://evil.example:15014' }],
    ['of such a name, without an origin', { host: 'evil.example' }],
    ['of a name that ends as an address does', { host: '127.0.0.1.evil.example' }],
  ])('are refused to a page %s, and so are views and changes; the log says so', async (_, headers) => {
    const { ask, done, lines, json } = await start()
    expect((await ask('POST', '/v1/revocations', { ...json, ...headers }, '{"kind":"all"}')).status).toBe(403)
    expect((await ask('PUT', '/debug/log-level', headers, 'debug')).status).toBe(403)
    expect((await ask('GET', '/debug', headers)).status).toBe(403)
    expect(done).toEqual([])
    expect(lines.join('')).toContain('an admin request was refused: ')
    for (const path of ['/metrics', '/healthz', '/version']) expect((await ask('GET', path, headers)).status).toBe(200)
  })

  it.each([
    'localhost:15014',
    'node-7:15014',
    '[::1]:15014',
    '10.0.0.7',
    'node.mesh.svc.cluster.local',
    'Console.Example:1',
  ])('are open to callers by the name %s', async (host) => {
    const { ask, json } = await start(['console.example'])
    const headers = { ...json, host, origin: `http://${host}`, 'sec-fetch-site': 'same-origin' }
    expect((await ask('POST', '/v1/revocations', headers, '{}')).status).toBe(202)
  })
})
