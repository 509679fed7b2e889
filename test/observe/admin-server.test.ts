import { afterEach, describe, expect, it } from 'vitest'
import { ACCESS_LOG_ENTRIES_TOTAL } from '../../src/kernel/metrics/doors.ts'
import type { AdminServer, CreateAdminServer } from '../../src/observe/admin-server.ts'
import { Health } from '../../src/observe/health.ts'
import { createLogger } from '../../src/observe/logger.ts'
import { createMeter } from '../../src/observe/meter.ts'
import { ADMIN_HOSTS } from './admin-hosts.ts'

const servers: AdminServer[] = []

afterEach(async () => {
  for (const server of servers.splice(0)) await server.close()
})

async function startOn(createAdmin: CreateAdminServer, debug: Map<string, () => unknown> = new Map()) {
  const lines: string[] = []
  const log = createLogger({ format: 'json', level: 'info', terminal: false, write: (line) => lines.push(line) })
  const health = new Health()
  const meter = createMeter({ processMetrics: false })
  const server = createAdmin({ meter, health, debug, log, version: { version: '1.2.3' } })
  servers.push(server)
  const base = `http://${await server.listen({ host: '127.0.0.1', port: 0 })}`
  const get = async (path: string, init?: RequestInit) => {
    const response = await fetch(base + path, init)
    const text = await response.text()
    const json = response.headers.get('content-type')?.includes('json') === true ? JSON.parse(text) : undefined
    return { status: response.status, text, json, type: response.headers.get('content-type') }
  }
  return { get, health, log, meter, debug, lines, base, server }
}

describe.each(ADMIN_HOSTS)('the admin server on %s', (_, createAdmin) => {
  const start = () => startOn(createAdmin)

  it('exposes the metrics in the Prometheus format', async () => {
    const { get, meter } = await start()
    meter.counter(ACCESS_LOG_ENTRIES_TOTAL)().add(4)
    const metrics = await get('/metrics')
    expect(metrics.type).toContain('text/plain')
    expect(metrics.text).toContain('intermix_access_log_entries_total 4')
  })

  it('is alive at once and ready only when every check is', async () => {
    const { get, health } = await start()
    expect((await get('/healthz')).status).toBe(200)
    expect((await get('/readyz')).status).toBe(503)
    health.set('config', true, 'snapshot 12ab')
    health.set('redis', false, 'no connection since 3 s')
    const broken = await get('/readyz')
    expect(broken.status).toBe(503)
    expect(broken.json.reasons).toEqual(['redis: no connection since 3 s'])
    health.set('redis', true, 'connected')
    const ready = await get('/readyz')
    expect(ready.status).toBe(200)
    expect(ready.json.checks).toHaveLength(2)
  })

  it('lists and shows debug views, those added later too, whatever they return', async () => {
    const { get, debug } = await start()
    debug.set('cache', async () => ({
      size: 10n,
      keys: new Map([['a', new Set([1])]]),
      ip: Uint8Array.of(10, 0, 0, 1),
    }))
    const cycle: Record<string, unknown> = { name: 'x' }
    cycle['self'] = cycle
    debug.set('cycle', () => cycle)
    expect((await get('/debug')).json.views).toEqual(['/debug/cache', '/debug/cycle'])
    expect((await get('/debug/cache')).json).toEqual({ size: '10', keys: { a: [1] }, ip: '0a000001' })
    expect((await get('/debug/cycle')).json).toEqual({ name: 'x', self: '(circular)' })
  })

  it('names the views when one is not known, and does not leak the stack when one fails', async () => {
    const { get, debug, lines } = await start()
    debug.set('cache', () => {
      throw new Error('no cache yet')
    })
    const unknown = await get('/debug/cash')
    expect(unknown.status).toBe(404)
    expect(unknown.json.message).toContain('there are: cache')
    const failed = await get('/debug/cache')
    expect(failed.status).toBe(500)
    expect(failed.json).toEqual({ code: 'INTERNAL', message: 'no cache yet' })
    expect(lines.join('')).toContain('no cache yet')
  })

  it('changes the log level while it runs', async () => {
    const { get, log, lines } = await start()
    const put = (body: string, type: string) =>
      get('/debug/log-level', { method: 'PUT', body, headers: { 'content-type': type } })
    log.debug({}, 'before')
    expect((await put('{"level":"debug"}', 'application/json')).json).toEqual({ level: 'debug' })
    log.debug({}, 'after')
    expect((await put('error', 'text/plain')).status).toBe(200)
    expect((await get('/debug/log-level')).json).toEqual({ level: 'error' })
    expect((await put('warn', 'application/x-www-form-urlencoded')).status).toBe(200)
    expect(log.level).toBe('warn')
    const messages = lines.map((line) => JSON.parse(line).msg)
    expect(messages).not.toContain('before')
    expect(messages).toContain('after')
  })

  it('refuses a level that does not exist, and a body that is no JSON, and keeps the level', async () => {
    const { get, log } = await start()
    const headers = { 'content-type': 'application/json' }
    const wrong = await get('/debug/log-level', { method: 'PUT', body: '{"level":"loud"}', headers })
    expect(wrong.status).toBe(400)
    expect(wrong.json.message).toContain('debug, info, warn, error')
    expect((await get('/debug/log-level', { method: 'PUT', body: '{', headers })).status).toBe(400)
    expect(log.level).toBe('info')
  })

  it('says that there is nothing to read by a name', async () => {
    const { get } = await start()
    const { status, json } = await get('/v1/x')
    expect([status, json]).toMatchObject([404, { message: expect.stringContaining('there is no GET /v1/x here') }])
  })

  it('answers /version and an unknown path', async () => {
    const { get } = await start()
    expect((await get('/version')).json).toEqual({ version: '1.2.3' })
    for (const [method, path] of [
      ['GET', '/nowhere'],
      ['GET', '/debug/%zz'],
      ['GET', '/debug/a/b'],
      ['GET', '/v1/x/y'],
      ['DELETE', '/debug'],
      ['POST', '/metrics'],
    ] as const) {
      const { status, json } = await get(path, { method })
      expect([status, json]).toEqual([404, { code: 'NOT_FOUND', message: `no ${method} ${path} here; see /debug` }])
    }
  })

  it('answers HEAD as GET, without the body', async () => {
    const { base, get } = await start()
    const head = await fetch(`${base}/version`, { method: 'HEAD' })
    const { text, type } = await get('/version')
    expect([head.status, head.headers.get('content-type'), head.headers.get('content-length')]).toEqual([
      200,
      type,
      String(text.length),
    ])
    expect(await head.text()).toBe('')
  })

  it('takes no longer a body than a level needs', async () => {
    const { get, log } = await start()
    const long = await get('/debug/log-level', { method: 'PUT', body: 'a'.repeat(1_025) })
    expect([long.status, long.json]).toEqual([413, { code: 'INVALID_ARGUMENT', message: 'the body is too large' }])
    expect(log.level).toBe('info')
  })

  it('rejects when the port is taken', async () => {
    const { base } = await start()
    const port = Number(new URL(base).port)
    const second = createAdmin({
      meter: createMeter({ processMetrics: false }),
      health: new Health(),
      debug: new Map(),
      log: createLogger({ format: 'json', level: 'info', terminal: false, write: () => {} }),
      version: {},
    })
    servers.push(second)
    await expect(second.listen({ host: '127.0.0.1', port })).rejects.toMatchObject({ code: 'EADDRINUSE' })
  })
})
