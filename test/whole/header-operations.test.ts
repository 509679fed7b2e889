// Headers that policy sets, through real proxies with the configs that the project ships: the upstream gets what policy
// says, and never what the client says in its place.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startCaddy } from '../helpers/caddy.ts'
import { ENVOY_WASM, startEnvoy } from '../helpers/envoy.ts'
import { startHaproxy } from '../helpers/haproxy.ts'
import { type HttpBackend, startHttpBackend } from '../helpers/http-backend.ts'
import { startNginx } from '../helpers/nginx.ts'
import { toolOrSkip } from '../helpers/tools.ts'
import { startTraefik } from '../helpers/traefik.ts'
import { askOverHttp } from './doors/envoys.ts'
import { send } from './doors/raw-client.ts'
import { type Intermix, startIntermix } from './intermix.ts'

/** Who a caller is, policy takes from its token; without one it is nobody. */
const CONFIG = `
apiVersion: config.istio.io/v1alpha2
kind: attributemanifest
metadata: {name: words, namespace: istio-system}
spec: {attributes: {request.headers: {valueType: STRING_MAP}, request.path: {valueType: STRING}}}
---
apiVersion: config.istio.io/v1alpha2
kind: rule
metadata: {name: who, namespace: istio-system}
spec:
  requestHeaderOperations:
    - {name: X-Verified-User, operation: REPLACE, values: ['request.headers["x-token"]']}
    - {name: x-role, operation: APPEND, values: ['"reader"', 'request.headers["x-none"]', '"writer"']}
    - {name: x-both, operation: REPLACE, values: ['"one"', '"two"']}
  responseHeaderOperations:
    - {name: x-seen, operation: REPLACE, values: ['"yes"']}
    - {name: x-trail, operation: APPEND, values: ['"a"', '"b"']}
`

let directory: string
let node: Intermix
let upstream: HttpBackend

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'intermix-headers-'))
  await writeFile(join(directory, 'config.yaml'), CONFIG)
  upstream = await startHttpBackend()
  const flags = ['--trust-forwarded', '127.0.0.1/32', '--check-timeout', '2s', '--redis', 'none']
  node = await startIntermix({ role: 'node', config: directory, nodeId: 'headers', flags })
})

afterAll(async () => {
  await node.child.stop()
  await upstream.close()
  await rm(directory, { recursive: true, force: true })
})

/** What the upstream got of a request with these headers. */
async function passed(url: string, headers: Readonly<Record<string, string>>) {
  const before = upstream.count
  expect((await fetch(`${url}/a`, { headers })).status).toBe(200)
  expect(upstream.count).toBe(before + 1)
  return upstream.requests.at(-1)?.headers ?? {}
}

/** A list in one header, or in several that Node joins, with one kind of comma. */
function listed(value: string | readonly string[] | undefined): string {
  return String(value).replaceAll(/\s*,\s*/g, ', ')
}

const PROXIES = [
  { name: 'nginx', binary: toolOrSkip('nginx'), start: startNginx },
  { name: 'Caddy', binary: toolOrSkip('caddy'), start: startCaddy },
  { name: 'HAProxy', binary: toolOrSkip('haproxy'), start: startHaproxy },
  { name: 'Traefik', binary: toolOrSkip('traefik'), start: startTraefik },
  {
    name: 'Envoy',
    binary: toolOrSkip('envoy'),
    start: ({ binary }: { binary: string }) =>
      startEnvoy({ binary, nodePorts: [node.grpcPort], upstreamPort: upstream.port }),
  },
  {
    name: 'Envoy with the filter in it',
    binary: toolOrSkip('envoy'),
    start: ({ binary }: { binary: string }) =>
      startEnvoy({ binary, path: ENVOY_WASM, nodePorts: [node.grpcPort], upstreamPort: upstream.port }),
  },
  {
    name: 'Envoy over HTTP',
    binary: toolOrSkip('envoy'),
    start: ({ binary }: { binary: string }) =>
      startEnvoy({ binary, nodePorts: [node.httpPort], upstreamPort: upstream.port, adapt: askOverHttp }),
  },
] as const

for (const { name, binary, start } of PROXIES) {
  describe.skipIf(binary === undefined)(`through ${name}`, () => {
    let url: string
    let stop: () => Promise<void>
    beforeAll(async () => {
      const proxy = await start({ binary: binary ?? '', nodePort: node.httpPort, upstreamPort: upstream.port })
      url = proxy.url
      stop = () => proxy.stop()
    })
    afterAll(async () => {
      await stop()
    })

    it('a header that policy sets is the policy’s', async () => {
      const headers = await passed(url, { 'x-token': 'amy', 'x-verified-user': 'forged' })
      expect(headers['x-verified-user']).toBe('amy')
    })

    it('a header that policy sets and has no value for is not the client’s', async () => {
      const headers = await passed(url, { 'x-verified-user': 'forged', 'X-VERIFIED-USER': 'again' })
      expect(headers['x-verified-user']).toBeUndefined()
    })

    it('a header that policy sets is not taken away by a client that calls it one of the connection', async () => {
      const headers = [
        ['Host', 'a.test'],
        ['x-token', 'amy'],
        ['Connection', 'X-Verified-User, close'],
      ] as const
      expect(await send(Number(new URL(url).port), { method: 'GET', target: '/b', version: 'HTTP/1.1', headers })).toBe(
        200,
      )
      const got = upstream.requests.at(-1)?.headers ?? {}
      expect([got['x-verified-user'], got['connection'] ?? '']).toEqual(['amy', expect.not.stringMatching(/verified/i)])
    })

    it('nor is one that some services take for it', async () => {
      const headers = await passed(url, { X_Verified_User: 'forged', 'x-verified_user': 'forged', 'x-token': 'amy' })
      expect(Object.entries(headers).filter(([header]) => /^x.verified.user$/.test(header))).toEqual([
        ['x-verified-user', 'amy'],
      ])
    })

    // Proxies that copy headers from the answer know one value of each.
    if (!['Envoy', 'Envoy with the filter in it'].includes(name)) return
    it('several values are several operations', async () => {
      const added = await passed(url, {})
      expect([listed(added['x-role']), added['x-both']]).toEqual(['reader, writer', 'two'])
      const beside = await passed(url, { 'x-role': 'guest', 'x-both': 'three' })
      expect([listed(beside['x-role']), beside['x-both']]).toEqual(['guest, reader, writer', 'two'])
      const headers = { 'x-seen': 'no', 'x-trail': 'upstream' }
      upstream.answerWith(() => ({ status: 200, headers }))
      const answer = await fetch(`${url}/a`)
      expect([answer.headers.get('x-seen'), listed(answer.headers.get('x-trail') ?? '')]).toEqual([
        'yes',
        'upstream, a, b',
      ])
    })
  })
}
