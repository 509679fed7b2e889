// What the image holds: the compiled program, without TypeScript, tests and development packages, still starts.
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { spawnSync } from 'node:child_process'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { freePorts } from '../../helpers/ports.ts'
import { spawnChild } from '../../helpers/process.ts'

const root = fileURLToPath(new URL('../../../', import.meta.url))
const dockerfile = readFileSync(join(root, 'Dockerfile'), 'utf8')

let image: string
beforeAll(() => {
  // The sources are copied, so that the build leaves nothing in the checkout.
  const build = mkdtempSync(join(tmpdir(), 'intermix-build-'))
  image = mkdtempSync(join(tmpdir(), 'intermix-image-'))
  for (const name of ['src', 'workers', 'package.json', 'tsconfig.json', 'tsconfig.build.json']) {
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
})

describe('the image', () => {
  it('copies what the program needs, runs as another user than root, and pins its base', () => {
    for (const name of ['bin', 'dist', 'node_modules', 'examples'])
      expect(dockerfile).toContain(`/app/${name} ./${name}`)
    expect(dockerfile).toMatch(/^USER node$/m)
    const bases = [...dockerfile.matchAll(/^FROM (\S+)/gm)].map(([, base]) => base)
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
    await expect.poll(healthy, { timeout: 10_000, interval: 200 }).toBe(0)
    expect((await child.stop()).code).toBe(0)
  })
})
