import { mkdtempSync } from 'node:fs'
import { readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { adapterConformance } from '../../src/adapter-kit/index.ts'
import { builtInAdapters } from '../../src/adapters/index.ts'
import { type RedisServer, startRedis } from '../helpers/redis.ts'
import { conformanceOptions } from './backends.ts'
import { redisRunner } from './redis-runner.ts'

let server: RedisServer
let redis: ReturnType<typeof redisRunner>

beforeAll(async () => {
  server = await startRedis()
  redis = redisRunner(server.url)
})

afterAll(async () => {
  redis?.client.disconnect()
  await server?.stop()
  await rm(OWN_FOLDER, { recursive: true, force: true })
})

const OWN_FOLDER = mkdtempSync(join(tmpdir(), 'intermix-catalogue-'))
const OPTIONS = conformanceOptions(() => redis.runner, OWN_FOLDER)
const FOLDER = resolve(import.meta.dirname, '../../src/adapters')

describe('the catalogue', () => {
  it('holds every adapter folder under its own name, with a README beside it', async () => {
    const entries = await readdir(FOLDER, { withFileTypes: true })
    const folders = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name)
    expect([...builtInAdapters().keys()].sort()).toEqual(folders.sort())
    for (const folder of folders) expect(await readdir(resolve(FOLDER, folder))).toContain('README.md')
  })
})

// Where a built-in adapter still falls short. An entry that holds no longer fails, so that it is taken out.
const KNOWN_GAPS: Readonly<Record<string, readonly string[]>> = {}

for (const [name, adapter] of builtInAdapters()) {
  const cases = adapterConformance(adapter, OPTIONS[name])
  const gaps = cases.filter((one) => KNOWN_GAPS[name]?.includes(one.name))
  describe(`conformance of ${name}`, () => {
    it.each(cases.filter((one) => !gaps.includes(one)))('$name', ({ run }) => run())
    it.fails.each(gaps)('$name', ({ run }) => run())
  })
}
