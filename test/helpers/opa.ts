// A real Open Policy Agent for tests: found on this machine, or built once from its Go module.

import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { goCommands } from './go.ts'
import { freePort } from './ports.ts'
import { spawnChild } from './process.ts'
import { toolCache } from './tools.ts'

const MODULE = 'github.com/open-policy-agent/opa@v1.10.0'
const CACHE = toolCache('opa-1.10.0')
/** Two cores need three minutes. */
const BUILD_LIMIT_MS = 1_200_000
const run = promisify(execFile)

/** The path of an `opa` binary (`OPA_BIN`, the path, the cache, a fresh build), or why there is none. */
export async function findOpa(): Promise<{ readonly binary: string } | { readonly missing: string }> {
  const given = process.env['OPA_BIN']
  if (given !== undefined && given !== '') return { binary: given }
  if (await answers('opa', ['version'])) return { binary: 'opa' }
  const cached = join(CACHE, 'opa')
  if (existsSync(cached)) return { binary: cached }
  await mkdir(CACHE, { recursive: true })
  let missing = 'there is no opa, and no go to build it with'
  for (const go of goCommands()) {
    if (!(await answers(go, ['version']))) continue
    const problem = await build(go)
    if (problem === undefined) return { binary: cached }
    missing = `opa could not be built: ${problem}`
  }
  return { missing }
}

/** Builds without C, so that no compiler is needed; says what is wrong where that fails. */
async function build(go: string): Promise<string | undefined> {
  try {
    const env = { ...process.env, GOBIN: CACHE, CGO_ENABLED: '0' }
    await run(go, ['install', MODULE], { env, timeout: BUILD_LIMIT_MS })
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}

/** A running OPA server without policies. */
export interface OpaServer {
  readonly url: string
  /** Loads or replaces a Rego module. */
  putPolicy(id: string, rego: string): Promise<void>
  stop(): Promise<void>
}

/** Starts a server on a free port of the loopback interface. */
export async function startOpa(binary: string): Promise<OpaServer> {
  const port = await freePort()
  const child = await spawnChild(binary, ['run', '--server', '--disable-telemetry', '--addr', `127.0.0.1:${port}`])
  await child.waitForPort(port)
  const url = `http://127.0.0.1:${port}`
  return {
    url,
    putPolicy: async (id, rego) => {
      const response = await fetch(`${url}/v1/policies/${id}`, { method: 'PUT', body: rego })
      if (!response.ok) throw new Error(`OPA refused the policy: ${await response.text()}`)
    },
    stop: async () => {
      await child.stop()
    },
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
