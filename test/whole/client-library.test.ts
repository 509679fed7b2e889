// A program with the library, before a real node.

import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Client, createClient } from '../../src/client/library/index.ts'
import { type Intermix, ROOT, startIntermix } from './intermix.ts'

const LIBRARY = pathToFileURL(join(ROOT, 'src/client/library/index.ts')).href
const REQUEST = {
  'source.ip': '10.0.0.1',
  'destination.service.name': 'books',
  'request.method': 'GET',
  'request.path': '/books?sort=title',
  'request.headers': { 'user-agent': 'test' },
}

describe('the library before a real node', () => {
  let folder: string
  let node: Intermix
  let client: Client
  const warnings: string[] = []

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'intermix-library-'))
    cpSync(join(ROOT, 'examples/quickstart'), folder, { recursive: true })
    node = await startIntermix({ role: 'all', config: folder, nodeId: 'n1', flags: [] })
    client = createClient({
      nodes: [`127.0.0.1:${node.grpcPort}`],
      timeoutMs: 20_000,
      onWarning: (message) => void warnings.push(message),
    })
    await client.ready()
  })
  afterAll(async () => {
    await client.close()
    await node.child.stop()
    rmSync(folder, { recursive: true })
  })

  it('gives the answer of the node again, without a promise', async () => {
    const first = client.check(REQUEST)
    expect(first).toBeInstanceOf(Promise)
    expect((await first).allowed).toBe(true)
    const second = client.check({ ...REQUEST, 'request.path': '/books/17' })
    expect(second).toMatchObject({ allowed: true, tier: 'local' })
    expect(client.stats()['first_level_checks_total{answer="kept"}']).toBe(1)
  })

  it('denies what the rules deny, however it is spelled', async () => {
    for (const path of ['/admin', '/%61dmin/x', '/books/../admin']) {
      const result = await client.check({ ...REQUEST, 'request.path': path })
      expect(result.denial(), path).toMatchObject({ httpStatus: 403, body: expect.stringContaining('closed') })
    }
    const allowed = await client.check({
      ...REQUEST,
      'request.path': '/admin',
      'request.headers': { 'X-Admin': 'yes' },
    })
    expect(allowed.allowed).toBe(true)
    const ambiguous = await client.check({ ...REQUEST, 'request.path': '/a%2fadmin' })
    expect(ambiguous.status).toMatchObject({ code: 3, message: expect.stringContaining('encoded-slash') })
  })

  it('charges quotas', async () => {
    const request = { ...REQUEST, 'request.headers': { 'x-api-key': 'k' } }
    expect(await client.quota('per-key', 60, request)).toMatchObject({ granted: 60, status: { code: 0 } })
    expect(await client.quota('per-key', 60, request, { bestEffort: true })).toMatchObject({ granted: 40 })
    const denied = await client.check(request)
    expect(denied.denial()).toMatchObject({ httpStatus: 429 })
  })

  it('brings records to the adapters of the node', async () => {
    for (let i = 0; i < 3; i++) client.report({ ...REQUEST, 'response.code': 200, 'response.duration': '5ms' })
    const metrics = async () => await (await fetch(`${node.prometheusUrl}/metrics`)).text()
    await expect.poll(metrics).toMatch(/istio_requests_total\{destination="books".*\} 3/)
  })

  it('forgets what is revoked before the operator is told that it is', async () => {
    await client.check(REQUEST)
    expect(client.check(REQUEST)).not.toBeInstanceOf(Promise)
    const headers = { 'content-type': 'application/json' }
    const answer = await fetch(`${node.adminUrl}/v1/revocations`, { method: 'POST', headers, body: '{"kind":"all"}' })
    expect(answer.ok).toBe(true)
    expect(client.check(REQUEST)).toBeInstanceOf(Promise)
  })

  it('keeps a program alive that waits for an answer, and no other one', () => {
    const file = join(folder, 'program.mjs')
    writeFileSync(
      file,
      `import { createClient } from '${LIBRARY}'
       const client = createClient({ nodes: ['127.0.0.1:${node.grpcPort}'], timeoutMs: 20_000 })
       console.log((await client.check(${JSON.stringify(REQUEST)})).allowed)`,
    )
    const { stdout, stderr, status } = spawnSync(process.execPath, [file], { encoding: 'utf8', timeout: 60_000 })
    expect([stdout, stderr, status]).toEqual(['true\n', '', 0])
  })

  it('goes on with what it knows when the node is gone, and says of the rest that nobody answers', async () => {
    await client.check(REQUEST)
    await node.child.stop()
    const warm = client.check(REQUEST)
    expect(warm).toMatchObject({ allowed: true })
    const cold = client.check({ ...REQUEST, 'request.path': '/admin/cold' }, { timeoutMs: 500 })
    await expect(cold).rejects.toMatchObject({ retryable: true })
    client.report({ ...REQUEST, 'response.code': 200 })
    await client.close({ timeoutMs: 200 })
    expect(client.stats()['report_buffer_dropped_total{reason="shutdown"}']).toBe(1)
    expect(warnings).toContain('reports were lost at the end: no node has taken them')
  })
})

describe('what the library loads', () => {
  it('is nothing of the server, nor of what others bring', () => {
    const program = `
      import { registerHooks } from 'node:module'
      const urls = []
      registerHooks({ load: (url, context, next) => (urls.push(url), next(url, context)) })
      await import('${LIBRARY}')
      console.log(JSON.stringify(urls))`
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' })
    expect(stderr).toBe('')
    const root = pathToFileURL(ROOT).href
    const own = (JSON.parse(stdout) as string[])
      .filter((url) => url.startsWith(root))
      .map((url) => url.slice(root.length))
    const folders = new Set(
      own.map((path) =>
        path
          .split('/')
          .slice(0, path.startsWith('node_modules/@') ? 3 : 2)
          .join('/'),
      ),
    )
    expect([...folders].toSorted()).toEqual([
      'node_modules/lru-cache',
      'node_modules/re2js',
      'src/adapter-kit',
      'src/cache',
      'src/client',
      'src/expression',
      'src/kernel',
      'src/wire',
    ])
    expect(own.filter((path) => path.startsWith('src/adapter-kit/'))).toEqual(['src/adapter-kit/value-text.ts'])
    expect(own.filter((path) => path.includes('/generated/'))).toEqual([])
  })
})
