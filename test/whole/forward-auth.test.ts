// The same policy through nginx (auth_request), Caddy (forward_auth), HAProxy (Lua) and Traefik (forwardAuth), with the recipes that the
// project ships.
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { startCaddy } from '../helpers/caddy.ts'
import type { ConfiguredServer } from '../helpers/configured-server.ts'
import { startHaproxy } from '../helpers/haproxy.ts'
import { startNginx } from '../helpers/nginx.ts'
import { freePort } from '../helpers/ports.ts'
import { toolOrSkip } from '../helpers/tools.ts'
import { startTraefik } from '../helpers/traefik.ts'
import { sendAll } from './load.ts'
import { type Mesh, startMesh } from './mesh.ts'
import { CALLS, mixedRequests } from './policy.ts'

const PROXIES = [
  {
    name: 'nginx',
    binary: toolOrSkip('nginx'),
    start: startNginx,
    passesBodies: false,
    withoutNode: 500,
    tellsWhatIsLeft: true,
  },
  {
    name: 'Caddy',
    binary: toolOrSkip('caddy'),
    start: startCaddy,
    passesBodies: true,
    withoutNode: 502,
    tellsWhatIsLeft: true,
  },
  {
    name: 'HAProxy',
    binary: toolOrSkip('haproxy'),
    start: startHaproxy,
    passesBodies: true,
    withoutNode: 503,
    tellsWhatIsLeft: true,
  },
  {
    name: 'Traefik',
    binary: toolOrSkip('traefik'),
    start: startTraefik,
    passesBodies: true,
    withoutNode: 500,
    tellsWhatIsLeft: false,
  },
] as const

let mesh: Mesh
beforeAll(async () => {
  mesh = await startMesh({
    nodes: 1,
    workers: 0,
    nodeFlags: ['--trust-forwarded', '127.0.0.1/32', '--check-timeout', '2s'],
  })
})
afterAll(async () => {
  await mesh.stop()
})

for (const { name, binary, start, passesBodies, withoutNode, tellsWhatIsLeft } of PROXIES) {
  describe.skipIf(binary === undefined)(`forward-auth through ${name}`, () => {
    let proxy: ConfiguredServer
    beforeAll(async () => {
      proxy = await start({
        binary: binary ?? '',
        nodePort: mesh.nodes[0]?.httpPort ?? 0,
        upstreamPort: mesh.upstream.port,
      })
    })
    afterEach(() => {
      mesh.upstream.answerWith(() => ({ status: 200, body: 'ok' }))
    })
    afterAll(async () => {
      await proxy.stop()
    })

    it('gives every request the status that the policy says, 401, 403 and 429 included', async () => {
      const outcome = await sendAll({ url: proxy.url, requests: mixedRequests(300) })
      expect(outcome.wrong).toEqual([])
    })

    it('says when to come back on 429', async () => {
      const answer = await fetch(`${proxy.url}/busy`)
      expect(answer.status).toBe(429)
      expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0)
      expect(await answer.text()).toContain(passesBodies ? 'busy to you' : '429')
    })

    it('ends what is beyond a quota of a rule, and says what is left and when there is more', async () => {
      const headers = { 'x-user': `limited by ${name}` }
      const before = mesh.upstream.count
      const answers: Response[] = []
      for (let each = 0; each < CALLS + 2; each++) answers.push(await fetch(`${proxy.url}/limited`, { headers }))
      expect(answers.map(({ status }) => status)).toEqual([...new Array(CALLS).fill(200), 429, 429])
      expect(mesh.upstream.count - before).toBe(CALLS)
      const refused = answers.at(-1)?.headers
      expect(Number(refused?.get('retry-after'))).toBeGreaterThan(0)
      expect(refused?.get('ratelimit-policy')).toBe(`"calls";q=${CALLS}`)
      expect(refused?.get('ratelimit')).toMatch(/^"calls";r=0;t=\d+$/)
      const other = await fetch(`${proxy.url}/limited`, { headers: { 'x-user': `free by ${name}` } })
      expect(other.status).toBe(200)
      if (tellsWhatIsLeft) expect(other.headers.get('ratelimit')).toMatch(/^"calls";r=2;/)
      else expect(other.headers.get('ratelimit')).toBeNull()
    })

    it('tells nothing of quotas where none is charged, whatever the client says', async () => {
      const headers = { ratelimit: '"mine";r=9;t=1', 'ratelimit-policy': '"mine";q=9' }
      const answer = await fetch(`${proxy.url}/open`, { headers })
      expect([answer.status, answer.headers.get('ratelimit'), answer.headers.get('ratelimit-policy')]).toEqual([
        200,
        null,
        null,
      ])
    })

    it('does not believe what a client says of the original request', async () => {
      const headers = { 'x-forwarded-uri': '/open', 'x-forwarded-method': 'GET', 'x-original-uri': '/open' }
      expect((await fetch(`${proxy.url}/closed`, { headers })).status).toBe(403)
      expect((await fetch(`${proxy.url}/closed?deny=200&attr.request.path=/open`)).status).toBeGreaterThanOrEqual(400)
    })

    it('lets nothing through where no node answers', async () => {
      const options = { binary: binary ?? '', nodePort: await freePort(), upstreamPort: mesh.upstream.port }
      const alone = await start(options)
      const before = mesh.upstream.count
      const answer = await fetch(`${alone.url}/open`)
      expect(answer.status).toBe(withoutNode)
      expect(mesh.upstream.count).toBe(before)
      await alone.stop()
    })

    it('hands an allowed request on whole, with its body', async () => {
      mesh.upstream.answerWith((request) => ({
        status: 201,
        body: `${request.method} ${request.path} ${request.body}`,
      }))
      const answer = await fetch(`${proxy.url}/open?a=1`, { method: 'POST', body: 'hello' })
      expect([answer.status, await answer.text()]).toEqual([201, 'POST /open?a=1 hello'])
    })
  })
}
