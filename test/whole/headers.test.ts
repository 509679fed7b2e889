// Headers of which programs take one or the other, through the shipped configs of real proxies.
import { once } from 'node:events'
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startCaddy } from '../helpers/caddy.ts'
import { startEnvoy } from '../helpers/envoy.ts'
import { startHaproxy } from '../helpers/haproxy.ts'
import { startNginx } from '../helpers/nginx.ts'
import { toolOrSkip } from '../helpers/tools.ts'
import { startTraefik } from '../helpers/traefik.ts'
import { type Mesh, startMesh } from './mesh.ts'

interface Ports {
  readonly binary: string
  readonly mesh: Mesh
}

const forwardAuth = ({ binary, mesh }: Ports) => ({
  binary,
  nodePort: mesh.nodes[0]?.httpPort ?? 0,
  upstreamPort: mesh.upstream.port,
})

/** `passes` is the size of headers that the proxy's own limits let through. */
const PROXIES = [
  {
    name: 'nginx',
    passes: 21_000,
    binary: toolOrSkip('nginx'),
    start: (given: Ports) => startNginx(forwardAuth(given)),
  },
  {
    name: 'Caddy',
    passes: 60_000,
    binary: toolOrSkip('caddy'),
    start: (given: Ports) => startCaddy(forwardAuth(given)),
  },
  {
    name: 'HAProxy',
    passes: 9_000,
    binary: toolOrSkip('haproxy'),
    start: (given: Ports) => startHaproxy(forwardAuth(given)),
  },
  {
    name: 'Traefik',
    passes: 60_000,
    binary: toolOrSkip('traefik'),
    start: (given: Ports) => startTraefik(forwardAuth(given)),
  },
  {
    name: 'Envoy',
    passes: 50_000,
    binary: toolOrSkip('envoy'),
    start: ({ binary, mesh }: Ports) =>
      startEnvoy({ binary, nodePorts: mesh.nodes.map(({ grpcPort }) => grpcPort), upstreamPort: mesh.upstream.port }),
  },
]

let mesh: Mesh
beforeAll(async () => {
  mesh = await startMesh({ nodes: 1, workers: 0, nodeFlags: ['--check-timeout', '2s'] })
})
afterAll(() => mesh.stop())

for (const { name, passes, binary, start } of PROXIES) {
  describe.skipIf(binary === undefined)(`a request through ${name}`, () => {
    let proxy: Awaited<ReturnType<typeof start>>
    beforeAll(async () => {
      proxy = await start({ binary: binary ?? '', mesh })
    })
    afterAll(() => proxy.stop())

    const send = async (...lines: readonly string[]): Promise<number> => {
      const { hostname, port } = new URL(proxy.url)
      const socket = connect(Number(port), hostname)
      const head = ['GET /open HTTP/1.1', `host: ${hostname}:${port}`, 'connection: close', ...lines]
      socket.write(Buffer.from(`${head.join('\r\n')}\r\n\r\n`, 'latin1'))
      let text = ''
      socket.on('data', (part: Buffer) => {
        text += part.toString('latin1')
      })
      await once(socket, 'close')
      return Number(text.split(' ')[1])
    }

    it('passes with one line of each header, in UTF-8', async () => {
      expect(await send('authorization: a', `x-name: ${Buffer.from('zoë').toString('latin1')}`)).toBe(200)
    })

    it('passes with two lines of a list, and of cookies', async () => {
      expect(await send('x-tag: a', 'x-tag: b', 'accept: a/b', 'accept: c/d', 'cookie: a=1', 'cookie: b=2')).toBe(200)
    })

    it.each([
      ['two lines of From', ['From: a', 'from: b']],
      ['two lines of Range', ['Range: bytes=0-1', 'range: bytes=2-3']],
      ['bytes that are not UTF-8', ['X-Name: zo\xeb']],
    ])('never reaches the service with %s', async (_, lines) => {
      const before = mesh.upstream.count
      expect(await send(...lines)).toBeGreaterThanOrEqual(400)
      expect(mesh.upstream.count).toBe(before)
    })

    it.each(['authorization', 'content-type', 'user-agent', 'referer', 'origin', 'host'])(
      'never reaches the service with two lines of %s: where the proxy makes one of them, it sends that one',
      async (header) => {
        const before = mesh.upstream.count
        const status = await send(`${header}: a`, `${header}: b`)
        if (status >= 400) return expect(mesh.upstream.count).toBe(before)
        const names = mesh.upstream.requests.at(-1)?.rawHeaders.filter((_, at) => at % 2 === 0) ?? []
        expect(names.filter((name) => name.toLowerCase() === header)).toHaveLength(1)
        expect(mesh.upstream.requests.at(-1)?.headers[header]).toMatch(/^a(,b)?$/)
      },
    )

    it('passes with headers as large as the proxy lets them be', async () => {
      const line = (n: number) => `x-big-${n}: ${'a'.repeat(2_980)}`
      expect(await send(...Array.from({ length: passes / 3_000 }, (_, n) => line(n)))).toBe(200)
    })
  })
}
