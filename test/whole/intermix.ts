// Intermix processes for end-to-end tests: the real command with real flags, on free ports.
import { fileURLToPath } from 'node:url'
import { freePorts } from '../helpers/ports.ts'
import { type Child, spawnChild } from '../helpers/process.ts'

/** The checkout. */
export const ROOT = fileURLToPath(new URL('../../', import.meta.url))

export interface Intermix {
  readonly child: Child
  readonly grpcPort: number
  readonly httpPort: number
  readonly adminUrl: string
  readonly prometheusUrl: string
}

export interface IntermixOptions {
  readonly role: 'node' | 'worker' | 'all'
  readonly config: string
  readonly nodeId: string
  /** Further flags: at least where Redis is. */
  readonly flags: readonly string[]
}

/** Starts the command with these arguments. */
export function startCommand(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Child> {
  return spawnChild(process.execPath, ['src/main.ts', ...args], { cwd: ROOT, env })
}

/** Starts the command and waits until it says that it is ready. */
export async function startIntermix(options: IntermixOptions): Promise<Intermix> {
  const { role, config, nodeId, flags } = options
  const [grpc = 0, http = 0, admin = 0, prometheus = 0] = await freePorts(4)
  const serving = ['--grpc-address', `127.0.0.1:${grpc}`, '--http-address', `127.0.0.1:${http}`]
  const draining = ['--prometheus-address', `127.0.0.1:${prometheus}`]
  const child = await startCommand([
    role,
    '--config',
    config,
    '--node-id',
    nodeId,
    '--admin-address',
    `127.0.0.1:${admin}`,
    '--log-format',
    'json',
    ...(role === 'worker' ? [] : serving),
    ...(role === 'node' ? [] : draining),
    ...flags,
  ])
  const adminUrl = `http://127.0.0.1:${admin}`
  await child.waitForPort(admin)
  await waitUntilReady(child, `${adminUrl}/readyz`)
  return { child, grpcPort: grpc, httpPort: http, adminUrl, prometheusUrl: `http://127.0.0.1:${prometheus}` }
}

async function waitUntilReady(child: Child, url: string): Promise<void> {
  const deadline = performance.now() + 60_000
  let last = ''
  while (performance.now() < deadline && child.running()) {
    try {
      const answer = await fetch(url)
      last = await answer.text()
      if (answer.ok) return
    } catch (error) {
      // The process may be ending: its output says why, below.
      last = String(error)
    }
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error(`${url} never said ready; it said: ${last}\nthe process said:\n${child.output().slice(-4_000)}`)
}

/** Sum over a metric's series in Prometheus text form; 0 where there is none. */
export function sumOfSeries(text: string, metric: string): number {
  let sum = 0
  for (const line of text.split('\n')) {
    if (line.startsWith(`${metric}{`) || line.startsWith(`${metric} `))
      sum += Number(line.slice(line.lastIndexOf(' ') + 1))
  }
  return sum
}
