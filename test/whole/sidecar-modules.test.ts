// What a sidecar loads: hardly anything of a node, so that it stays small, and nothing that could reach a Redis.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { spawnChild } from '../helpers/process.ts'
import { ROOT } from './intermix.ts'

/** Writes what was loaded when the process ends. */
const HOOK = `
import { registerHooks } from 'node:module'
import { writeFileSync } from 'node:fs'
const loaded = []
registerHooks({ load(url, context, next) { loaded.push(url); return next(url, context) } })
process.on('exit', () => writeFileSync(process.env.LOADED, [...loaded, ...process.moduleLoadList].join('\\n')))
`

describe('a sidecar', () => {
  let folder: string
  let loaded: readonly string[]

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'intermix-modules-'))
    const [hook, list] = [join(folder, 'hook.mjs'), join(folder, 'loaded')]
    await writeFile(hook, HOOK)
    const addresses = ['--grpc-address', `unix:${folder}/grpc`, '--http-address', `unix:${folder}/http`]
    const flags = ['--nodes', '127.0.0.1:1', ...addresses, '--admin-address', '127.0.0.1:0', '--log-format', 'json']
    const args = ['--import', hook, 'src/main.ts', 'sidecar', ...flags]
    const child = await spawnChild(process.execPath, args, { cwd: ROOT, env: { LOADED: list } })
    await child.waitForOutput(/"msg":"started"/)
    await child.stop()
    loaded = (await readFile(list, 'utf8')).split('\n')
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  const foldersOf = (urls: readonly string[]) =>
    new Set(urls.flatMap((url) => /\/(?:src\/([^/]+)\/|(workers)\/)/.exec(url)?.slice(1).filter(Boolean) ?? []))

  it('loads nothing that knows rules, handlers or Redis', () => {
    const folders = foldersOf(loaded.filter((url) => !url.includes('/node_modules/')))
    expect([...folders]).toEqual(expect.arrayContaining(['client', 'compose', 'server', 'sidecar']))
    for (const folder of ['adapters', 'config', 'policy', 'quota', 'redis', 'telemetry', 'workers'])
      expect([folder, folders.has(folder)]).toEqual([folder, false])
    expect(loaded.some((url) => url.endsWith('/src/compose/compose.ts'))).toBe(false)
  })

  it('loads no module of Node that takes much, and is for what it may never do', () => {
    expect(loaded).toContain('NativeModule net')
    // Listening loads cluster and child_process.
    const dear = ['http2', 'tls', 'crypto', 'https', 'zlib', 'worker_threads', 'inspector']
    for (const name of dear) expect([name, loaded.includes(`NativeModule ${name}`)]).toEqual([name, false])
    expect(loaded.some((line) => line.includes('undici'))).toBe(false)
  })

  it('loads no package that it has no use for', () => {
    const names = loaded.flatMap((url) => /\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1] ?? [])
    const packages = new Set(names)
    expect(packages).toContain('lru-cache')
    for (const name of [
      'fastify',
      'pino',
      '@opentelemetry/api',
      '@bufbuild/protobuf',
      'ioredis',
      'bullmq',
      '@grpc/grpc-js',
      'zod',
      'yaml',
      'ajv',
      'pino-pretty',
      '@marcbachmann/cel-js',
    ])
      expect([name, packages.has(name)]).toEqual([name, false])
  })
})
