// What the image holds: the compiled program, without TypeScript, tests and development packages, still starts.
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { spawnSync } from 'node:child_process'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { freePorts } from '../../helpers/ports.ts'
import { startHttpBackend } from '../../helpers/http-backend.ts'
import { startRedis } from '../../helpers/redis.ts'
import { type Child, spawnChild } from '../../helpers/process.ts'

const root = fileURLToPath(new URL('../../../', import.meta.url))
const dockerfile = readFileSync(join(root, 'Dockerfile'), 'utf8')

let image: string
beforeAll(() => {
  // The sources are copied, so that the build leaves nothing in the checkout.
  const build = mkdtempSync(join(tmpdir(), 'intermix-build-'))
  image = mkdtempSync(join(tmpdir(), 'intermix-image-'))
  for (const name of ['src', 'workers', 'filter', 'package.json', 'tsconfig.json', 'tsconfig.build.json']) {
    if (existsSync(join(root, name))) cpSync(join(root, name), join(build, name), { recursive: true })
  }
  symlinkSync(join(root, 'node_modules'), join(build, 'node_modules'))
  const path = [dirname(process.execPath), process.env['PATH']].join(delimiter)
  const result = spawnSync('npm', ['run', '--silent', 'build'], {
    cwd: build,
    encoding: 'utf8',
    env: { ...process.env, PATH: path },
  })
  if (result.status !== 0) throw new Error(`npm run build fails:\n${result.stdout}${result.stderr}`)
  for (const name of ['bin', 'examples', 'package.json', 'LICENSE']) {
    cpSync(join(root, name), join(image, name), { recursive: true })
  }
  cpSync(join(build, 'dist'), join(image, 'dist'), { recursive: true })
  symlinkSync(join(root, 'node_modules'), join(image, 'node_modules'))
  rmSync(build, { recursive: true })
})
afterAll(() => {
  rmSync(image, { recursive: true, force: true })
})

/** The array of an instruction in JSON form; `  CMD` is the health check's. */
function instruction(name: 'ENTRYPOINT' | 'CMD' | '  CMD'): string[] {
  const match = dockerfile.match(new RegExp(`^${name} (\\[.*\\])$`, 'm'))
  return JSON.parse(match?.[1] ?? '[]') as string[]
}

describe('the package', () => {
  it('gives another project the command, and its adapters the kit, on plain Node', () => {
    const project = mkdtempSync(join(tmpdir(), 'intermix-project-'))
    mkdirSync(join(project, 'node_modules'))
    symlinkSync(image, join(project, 'node_modules/intermix'))
    cpSync(join(root, 'examples/adapters/office-hours.ts'), join(project, 'hours.mts'))
    writeFileSync(
      join(project, 'conformance.mjs'),
      `import { adapterConformance } from 'intermix/adapter-kit'
       import hours from './hours.mts'
       for (const { run } of adapterConformance(hours)) await run()
       console.log('passed')`,
    )
    const run = (...args: string[]) => {
      const env = { ...process.env, INTERMIX_ADAPTERS: './hours.mts' }
      const { stdout, stderr } = spawnSync(process.execPath, args, { cwd: project, encoding: 'utf8', env })
      return stdout + stderr
    }
    expect(run('conformance.mjs')).toBe('passed\n')
    const { bin } = JSON.parse(readFileSync(join(image, 'package.json'), 'utf8')) as { bin: { intermix: string } }
    const command = join('node_modules/intermix', bin.intermix)
    expect(run(command, 'validate', 'node_modules/intermix/examples/quickstart')).toContain('0 errors')
    rmSync(project, { recursive: true })
  })

  it('has the module that runs inside Envoy', () => {
    const [magic] = readFileSync(join(image, 'dist/filter/intermix.wasm')).toString('latin1').split('\x01')
    expect(magic).toBe('\0asm')
  })
})

/** A config whose records go to a file of ours and, by the module of a team, to one of theirs. */
const PLUG_IN = (folder: string) => `
apiVersion: intermix.dev/v1
kind: attributemanifest
metadata: {name: words}
spec: {attributes: {request.path: {valueType: STRING}}}
---
apiVersion: intermix.dev/v1
kind: handler
metadata: {name: ours}
spec: {adapter: stdio, params: {logStream: FILE, outputPath: ${JSON.stringify(join(folder, 'ours'))}}}
---
apiVersion: intermix.dev/v1
kind: handler
metadata: {name: audit}
spec: {adapter: audit, params: {url: 'URL'}}
---
apiVersion: intermix.dev/v1
kind: rule
metadata: {name: all}
spec:
  actions:
    - handler: ours
      instances: [{template: logentry, params: {severity: '"info"', variables: {path: request.path}}}]
    - handler: audit
      instances: [{template: logentry, params: {severity: '"info"', variables: {path: request.path}}}]
`

describe('a worker of a team, in a folder of its own', () => {
  it('delivers by its own module what other workers have evaluated', async () => {
    const project = mkdtempSync(join(tmpdir(), 'intermix-team-'))
    const redis = await startRedis()
    const backend = await startHttpBackend(() => ({ status: 202 }))
    const children: Child[] = []
    try {
      mkdirSync(join(project, 'node_modules'))
      symlinkSync(image, join(project, 'node_modules/intermix'))
      cpSync(join(root, 'examples/adapters/audit.ts'), join(project, 'audit.mts'))
      mkdirSync(join(project, 'policy'))
      writeFileSync(join(project, 'policy/all.yaml'), PLUG_IN(project).replace('URL', backend.url))
      const command = join('node_modules/intermix', 'bin/intermix.js')
      const start = async (role: string, ...flags: string[]) => {
        const [grpc, http, admin, prometheus] = await freePorts(4)
        const ports = { admin, ...(role === 'node' ? { grpc, http } : { prometheus }) }
        const addresses = Object.entries(ports).map(([name, port]) => `--${name}-address=127.0.0.1:${port}`)
        const common = ['--config', 'policy', '--redis', redis.url, '--adapters', './audit.mts']
        const args = [command, role, ...common, ...addresses, ...flags]
        const child = await spawnChild(process.execPath, args, { cwd: project })
        children.push(child)
        return { child, http: http ?? 0 }
      }
      const node = await start('node')
      await start('worker', '--handlers', 'ours', '--fan-out')
      await node.child.waitForPort(node.http)
      const answer = await fetch(`http://127.0.0.1:${node.http}/v1/report`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ records: [{ 'request.path': '/a' }] }),
      })
      expect(answer.status).toBe(202)
      const ours = () => (existsSync(join(project, 'ours')) ? readFileSync(join(project, 'ours'), 'utf8') : '')
      await expect.poll(ours).toContain('/a')
      expect(backend.count).toBe(0)
      const wrong = await start('worker', '--handlers', 'audti')
      expect((await wrong.child.exited).code).toBe(2)
      expect(wrong.child.output()).toContain('Did you mean "audit"?')
      await start('worker', '--handlers', 'audit')
      await expect.poll(() => backend.requests[0]?.body).toBe('{"path":"/a"}\n')
    } finally {
      await Promise.all(children.map((child) => child.stop()))
      await backend.close()
      await redis.stop()
      rmSync(project, { recursive: true })
    }
  })
})

describe('the image', () => {
  it('copies what the program needs, runs as another user than root, and pins its base', () => {
    for (const name of ['bin', 'dist', 'node_modules', 'examples'])
      expect(dockerfile).toContain(`/app/${name} ./${name}`)
    expect(dockerfile).toMatch(/^USER node$/m)
    const bases = [...dockerfile.matchAll(/^FROM (?!scratch )(\S+)/gm)].map(([, base]) => base)
    expect(new Set(bases)).toEqual(new Set([`node:${process.versions.node}-bookworm-slim`]))
  })

  it('starts by its entry point and default command, and its health check can tell', async () => {
    const [grpc, http, admin, prometheus] = await freePorts(4)
    const flags = Object.entries({ grpc, http, admin, prometheus }).map(
      ([name, port]) => `--${name}-address=127.0.0.1:${port}`,
    )
    const [, ...entry] = instruction('ENTRYPOINT')
    const args = [...entry, ...instruction('CMD'), '--redis', 'none', ...flags]
    const [, ...checkArgs] = instruction('  CMD').map((part) => part.replace('15014', String(admin)))
    const healthy = () => spawnSync(process.execPath, checkArgs).status
    expect(healthy()).toBe(1)
    const child = await spawnChild(process.execPath, args, { cwd: image })
    await child.waitForPort(admin ?? 0)
    await expect.poll(healthy, { interval: 200 }).toBe(0)
    expect((await child.stop()).code).toBe(0)
  })
})
