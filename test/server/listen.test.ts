// Servers at Unix sockets: whose file it is, who may connect, and what is left behind.
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { fastifyHost } from '../../src/server/fastify-host.ts'
import { createHttpServer, type HttpServer } from '../../src/server/http.ts'
import { createNativeServer } from '../../src/server/http2/server.ts'
import { dependencies, served } from './fixtures.ts'

const servers = [
  ['HTTP', () => createHttpServer(dependencies(), fastifyHost)],
  ['gRPC', () => createNativeServer(served(dependencies()))],
] as const

describe.each(servers)('%s at a Unix socket', (_name, create) => {
  let folder: string
  let path: string
  const started: Pick<HttpServer, 'drain'>[] = []

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'intermix-listen-'))
    path = join(folder, 'door')
  })
  afterEach(async () => {
    for (const server of started.splice(0)) await server.drain(1_000)
    await rm(folder, { recursive: true, force: true })
  })

  const listen = async (mode?: number) => {
    const server = create()
    started.push(server)
    return await server.listen({ host: '', port: 0, path, mode })
  }

  it('is there with the mode that was asked for, and gone at the end', async () => {
    expect(await listen(0o622)).toBe(0)
    expect((await stat(path)).mode & 0o777).toBe(0o622)
    for (const server of started.splice(0)) await server.drain(1_000)
    expect(await readdir(folder)).toEqual([])
  })

  it('takes the place of a process that was killed, but of none that lives', async () => {
    const script = `require('node:net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`
    spawnSync(process.execPath, ['-e', script])
    await listen()
    await expect(listen()).rejects.toThrow(/EADDRINUSE/)
    expect((await stat(path)).isSocket()).toBe(true)
  })

  it('removes no file that is no socket', async () => {
    await writeFile(path, 'data')
    await expect(listen()).rejects.toThrow(/EADDRINUSE/)
    expect(await readFile(path, 'utf8')).toBe('data')
  })
})

describe('the HTTP API at a Unix socket', () => {
  it('answers, and believes who can reach the socket', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'intermix-listen-'))
    const socketPath = join(folder, 'http')
    const given = dependencies()
    const server = createHttpServer(given, fastifyHost)
    await server.listen({ host: '', port: 0, path: socketPath })
    const headers = { 'x-forwarded-uri': '/a', 'x-forwarded-host': 'h', 'x-forwarded-method': 'GET' }
    const asked = request({ socketPath, path: '/v1/authz', headers }).end()
    const [response] = await once(asked, 'response')
    expect(response.statusCode).toBe(200)
    expect(given.check.lastBag.get('request.path')).toBe('/a')
    response.resume()
    await server.drain(1_000)
    await rm(folder, { recursive: true, force: true })
  })
})
