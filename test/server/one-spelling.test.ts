// However a path or a host is written, and whichever door it comes through, it meets the rule that is about it.
import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { Client, credentials } from '@grpc/grpc-js'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { inject } from '../helpers/inject.ts'
import { builtInAdapters } from '../../src/adapters/index.ts'
import { compileSnapshot } from '../../src/config/compile-snapshot.ts'
import { parseConfigText } from '../../src/config/load.ts'
import { formatProblem } from '../../src/kernel/problem.ts'
import { httpStatusOf } from '../../src/kernel/status.ts'
import { NormalizingCheck } from '../../src/policy/normalizing-check.ts'
import type { GrpcServer } from '../../src/server/grpc-server.ts'
import { createHttpServer, type HttpServer } from '../../src/server/http.ts'
import type { PathAmbiguity } from '../../src/wire/ambiguity.ts'
import {
  CheckRequestSchema as EnvoyCheckRequest,
  CheckResponseSchema as EnvoyCheckResponse,
} from '../../src/wire/generated/envoy/service/auth/v3/external_auth_pb.ts'
import { CheckRequestSchema, CheckResponseSchema } from '../../src/wire/generated/istio/mixer/v1/mixer_pb.ts'
import { FakeClock } from '../helpers/clock.ts'
import { createSimulatedNode, type SimulatedNode } from '../properties/simulated-node.ts'
import { spellingsOf } from '../wire/path-spellings.ts'
import { compress } from '../wire/mixer/compress.ts'
import { dependencies, served } from './fixtures.ts'
import { HOSTS } from './hosts.ts'
import { createGrpcServer } from './transport.ts'

const denial = (name: string, match: string) => `
apiVersion: intermix.dev/v1
kind: rule
metadata: {name: ${name}}
spec:
  match: ${JSON.stringify(match)}
  actions:
    - handler: {adapter: denier, params: {status: {code: PERMISSION_DENIED}}}
      instances: [{template: checknothing}]
`
const CONFIG = [
  `
apiVersion: intermix.dev/v1
kind: attributemanifest
metadata: {name: vocabulary}
spec:
  attributes:
    request.path: {valueType: STRING}
    request.raw_path: {valueType: STRING}
    request.url_path: {valueType: STRING}
    request.query_params: {valueType: STRING_MAP}
    request.host: {valueType: STRING}
    request.headers: {valueType: STRING_MAP}
`,
  denial('admin', 'request.path.startsWith("/admin")'),
  denial('closed', 'request.url_path == "/closed/s.txt"'),
  denial('private', 'request.host == "private.example"'),
  denial('odd', '"host" in request.headers && request.headers["host"] == "odd.example"'),
  denial('user', '"x-user" in request.headers && request.headers["x-user"] == "mallory"'),
  denial('raw', 'request.raw_path == "/op%65n-raw"'),
  denial('debug', 'request.query_params["debug"] == "1"'),
].join('---')

interface Asked {
  readonly path: string
  readonly host: string
  /** Beside those that name the path and the host. */
  readonly headers?: readonly (readonly [name: string, value: string])[]
}

let node: SimulatedNode
let given: ReturnType<typeof dependencies>
let grpc: GrpcServer
/** One on each host of routes. */
let http: readonly HttpServer[]
let client: Client

async function start(allowed: readonly PathAmbiguity[] = []) {
  const compiled = compileSnapshot(parseConfigText('spelling.yaml', CONFIG), { adapters: builtInAdapters() })
  if (compiled.snapshot === undefined) throw new Error(compiled.problems.map(formatProblem).join('\n'))
  const options = { clock: new FakeClock(), random: () => 0.5, link: undefined, prefix: 'spelling', nodeId: 'n1' }
  node = await createSimulatedNode(options, compiled.snapshot)
  given = dependencies()
  const check = new NormalizingCheck({ check: node.engine, allowed: new Set(allowed), meter: given.meter })
  const shared = { ...given, check }
  grpc = createGrpcServer(served(shared))
  http = HOSTS.map(([, createHost]) => createHttpServer(shared, createHost))
  client = new Client(`127.0.0.1:${await grpc.listen({ host: '127.0.0.1', port: 0 })}`, credentials.createInsecure())
}

async function stop() {
  client.close()
  await Promise.all([grpc, ...http].map((server) => server.drain(1_000)))
  await node.stop()
}

function call(path: string, request: Uint8Array): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const asBuffer = (bytes: Uint8Array) => Buffer.from(bytes)
    client.makeUnaryRequest(
      path,
      asBuffer,
      (bytes: Buffer) => bytes,
      request,
      {},
      (error, response) =>
        error === null && response !== undefined ? resolve(response) : reject(error ?? new Error('no response')),
    )
  })
}

/** As Envoy's filter for Mixer read a query: the first of each name, undecoded. */
function statedQuery(path: string): ReadonlyMap<string, string> {
  const query = new Map<string, string>()
  for (const part of path.split('?')[1]?.split('&') ?? []) {
    const at = part.indexOf('=')
    const name = at < 0 ? part : part.slice(0, at)
    if (!query.has(name)) query.set(name, at < 0 ? '' : part.slice(at + 1))
  }
  return query
}

type Door = (asked: Asked) => Promise<number>

const json =
  (host: number): Door =>
  async ({ path, host: name, headers = [] }) => {
    const attributes = {
      'request.path': path,
      'request.url_path': path.split('?', 1)[0],
      'request.host': name,
      'request.headers': { host: name, ...Object.fromEntries(headers) },
    }
    const answer = await inject(httpOn(host), { method: 'POST', url: '/v1/check', payload: { attributes } })
    if (answer.statusCode !== 200) return answer.statusCode
    return httpStatusOf(answer.json<{ status: { code: number } }>().status.code)
  }

const forwardAuth =
  (host: number): Door =>
  async ({ path, host: name }) => {
    const headers = { 'x-forwarded-uri': path, 'x-forwarded-host': name, 'x-forwarded-method': 'GET', host: name }
    return (await inject(httpOn(host), { method: 'GET', url: '/v1/authz', headers })).statusCode
  }

function httpOn(host: number): HttpServer {
  const server = http[host]
  if (server === undefined) throw new Error(`there is no host ${host}`)
  return server
}

/** What each door makes of a request, as an HTTP status; 200 lets it pass. */
const DOORS: Readonly<Record<string, Door>> = {
  ...Object.fromEntries(
    HOSTS.flatMap(([name], host) => [
      [`json on ${name}`, json(host)],
      [`forwardAuth on ${name}`, forwardAuth(host)],
    ]),
  ),
  async extAuthz({ path, host, headers = [] }) {
    const all = { ':path': path, ':authority': host, ...Object.fromEntries(headers) }
    const attributes = { request: { http: { path, host, method: 'GET', headers: all } } }
    const request = toBinary(EnvoyCheckRequest, create(EnvoyCheckRequest, { attributes }))
    const response = fromBinary(
      EnvoyCheckResponse,
      await call('/envoy.service.auth.v3.Authorization/Check', request),
    ).httpResponse
    return response.case === 'deniedResponse' ? (response.value.status?.code ?? 0) : 200
  },
  async mixer({ path, host, headers = [] }) {
    const attributes = compress({
      'request.path': path,
      'request.url_path': path.split('?', 1)[0] ?? '',
      'request.host': host,
      'request.headers': new Map([[':authority', host], ...headers]),
      ...(path.includes('?') && { 'request.query_params': statedQuery(path) }),
    })
    const request = toBinary(CheckRequestSchema, create(CheckRequestSchema, { attributes, globalWordCount: 222 }))
    const response = fromBinary(CheckResponseSchema, await call('/istio.mixer.v1.Mixer/Check', request))
    return httpStatusOf(response.precondition?.status?.code ?? 0)
  },
}

describe.each(Object.keys(DOORS))('through the door %s', (name) => {
  beforeAll(() => start())
  afterAll(stop)
  const ask = (asked: Partial<Asked>) => DOORS[name]?.({ path: '/open', host: 'open.example', ...asked })

  it.each(['/admin', '/closed/s.txt'])('every spelling of %s is denied', async (path) => {
    const passed: string[] = []
    for (const spelling of spellingsOf(path)) if ((await ask({ path: spelling })) !== 403) passed.push(spelling)
    expect(passed).toEqual([])
  })

  it.each(['/', '/open', '/open;admin', '/x/admin', '/open/../x?/admin', '/%252fadmin'])('%s passes', async (path) => {
    expect(await ask({ path })).toBe(200)
  })

  it.each(['/%2fadmin', '/x\\..\\admin', '/x/%5c', '/x/..;/admin', '/admin%00', '/x%', '/x#/admin', '/x//../admin'])(
    '%s is refused with 400',
    async (path) => {
      expect(await ask({ path })).toBe(400)
    },
  )

  it.each(['private.example', 'PRIVATE.example', 'private.example.', 'Private.Example:80', 'private.example.:443'])(
    'the host %s is denied',
    async (host) => {
      expect(await ask({ host })).toBe(403)
      expect(await ask({ host: host.replace(/private/i, 'ODD') })).toBe(403)
      expect(await ask({ host: `not-${host}` })).toBe(200)
    },
  )

  it.each(['user@private.example', 'a.example private.example', 'private..example'])(
    'the host %s is refused with 400',
    async (host) => {
      expect(await ask({ host })).toBe(400)
    },
  )

  // What stands in for HTTP there writes names in lower case itself.
  if (!name.startsWith('forwardAuth')) {
    it('a header is known by its name, whatever its case', async () => {
      expect(await ask({ headers: [['x-user', 'mallory']] })).toBe(403)
      expect(await ask({ headers: [['X-User', 'mallory']] })).toBe(403)
      expect(await ask({ headers: [['X-USER', 'alice']] })).toBe(200)
      const twice: Asked['headers'] = [
        ['authorization', 'Bearer a'],
        ['Authorization', 'Bearer b'],
      ]
      expect(await ask({ headers: twice })).toBe(400)
    })
  }

  it.each(['/admin/../open', '/admin/x/%2e%2e/../open', '/admin/..'])(
    '%s is denied too, since some servers do not resolve dots',
    async (path) => {
      expect(await ask({ path })).toBe(403)
    },
  )

  it.each([
    '/?debug=1',
    '/?%64ebug=%31',
    '/?debug=1&debug=1',
    '/?debug=0&debug=1',
    '/?debug=1&debug=0',
    '/?debug=0&%64ebug=1',
    '/?debug&debug=1',
    '/?a=1;debug=1',
    '/?debug=1;a',
    '/?a=1&amp;debug=1',
  ])('%s is denied, since some servers take it for ?debug=1', async (path) => {
    expect(await ask({ path })).toBe(403)
  })

  it.each(['/?debug=0', '/?debug=0&%64ebug=%30', '/?id=1&id=2', '/?id=1;2', '/?debug=0%3Bdebug=1', '/?x=%26debug=1'])(
    '%s passes',
    async (path) => {
      expect(await ask({ path })).toBe(200)
    },
  )

  it('the raw path is there for rules that want it', async () => {
    expect(await ask({ path: '/op%65n-raw' })).toBe(403)
    expect(await ask({ path: '/open-raw' })).toBe(200)
  })
})

describe('what is ambiguous', () => {
  beforeAll(() => start(['encoded-slash']))
  afterAll(stop)

  it('passes where a setting allows it, and is counted where it does not', async () => {
    for (const door of Object.values(DOORS)) {
      expect(await door({ path: '/group%2fproject', host: 'a' })).toBe(200)
      expect(await door({ path: '/%61dmin%2Fx', host: 'a' })).toBe(403)
      expect(await door({ path: '/a%5cb', host: 'a' })).toBe(400)
      expect(await door({ path: '/', host: 'u@b' })).toBe(400)
    }
    const doors = Object.keys(DOORS).length
    expect(given.meter.counts.get('ambiguous_requests_total{backslash}')).toBe(doors)
    expect(given.meter.counts.get('ambiguous_requests_total{host}')).toBe(doors)
  })

  it('is told to programs with what is wrong', async () => {
    const payload = { attributes: { 'request.path': '/a%5cb' } }
    const answer = await inject(httpOn(0), { method: 'POST', url: '/v1/check', payload })
    expect(answer.json()).toMatchObject({
      error: {
        code: 'INVALID_REQUEST',
        message: expect.stringContaining('request.path: the path is ambiguous') as string,
      },
    })
  })

  it('depends, for a caller that keeps answers, on what it sent', async () => {
    const attributes = { 'request.path': '/open', 'request.host': 'a', 'request.headers': { host: 'a' } }
    const answer = await inject(httpOn(0), { method: 'POST', url: '/v1/check', payload: { attributes } })
    const { referenced } = answer.json<{ referenced: { name: string; key?: string }[] }>()
    const names = referenced.map(({ name, key }) => (key === undefined ? name : `${name}[${key}]`))
    expect(names.sort()).toEqual([
      'request.headers[:authority]',
      'request.headers[host]',
      'request.headers[x-user]',
      'request.host',
      'request.path',
      'request.query_params',
      'request.url_path',
    ])
  })
})
