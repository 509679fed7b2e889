// Intermix processes for end-to-end tests: the real command with real flags, on free ports.
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Child, spawnChild } from '../helpers/process.ts'

const ANY_PORT = '127.0.0.1:0'
const PATIENCE_MS = 60_000

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
  readonly env?: Readonly<Record<string, string>>
}

/** Starts the command with these arguments. */
export function startCommand(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Child> {
  return spawnChild(process.execPath, ['src/main.ts', ...args], { cwd: ROOT, env })
}

/** Starts the command and waits until it says that it is ready. */
export async function startIntermix(options: IntermixOptions): Promise<Intermix> {
  const { role, config, nodeId, flags, env } = options
  // A port that was free a moment ago may be another's by now: the process takes what is free, and says what it took.
  const serving = ['--grpc-address', ANY_PORT, '--http-address', ANY_PORT]
  const draining = ['--prometheus-address', ANY_PORT]
  const child = await startCommand(
    [
      role,
      '--config',
      config,
      '--node-id',
      nodeId,
      '--admin-address',
      ANY_PORT,
      '--log-format',
      'json',
      ...(role === 'worker' ? [] : serving),
      ...(role === 'node' ? [] : draining),
      ...flags,
    ],
    env,
  )
  const addresses = await addressesOf(child)
  const portOf = (name: string) => Number(addresses[name]?.replace(/^.*:/, '') ?? 0)
  const adminUrl = `http://${addresses['admin']}`
  await waitUntilReady(child, `${adminUrl}/readyz`)
  const prometheusUrl = `http://${addresses['prometheus']}`
  return { child, grpcPort: portOf('grpc'), httpPort: portOf('http'), adminUrl, prometheusUrl }
}

export interface SidecarProcess {
  readonly child: Child
  /** Its Unix socket for gRPC. */
  readonly grpcPath: string
  readonly httpPort: number
  readonly adminUrl: string
  /** Sum over a metric's series; 0 where there is none. */
  count(metric: string): Promise<number>
}

export interface SidecarOptions {
  /** The gRPC ports of the nodes on 127.0.0.1. */
  readonly nodePorts: readonly number[]
  readonly nodeId: string
  /** Where its socket is to be. */
  readonly folder: string
  readonly flags?: readonly string[]
}

/** Starts a sidecar and waits until it is ready: a node has told its config. */
export async function startSidecar(options: SidecarOptions): Promise<SidecarProcess> {
  const { nodePorts, nodeId, folder, flags = [] } = options
  const grpcPath = join(folder, `${nodeId}.grpc`)
  const child = await startCommand([
    'sidecar',
    '--nodes',
    nodePorts.map((port) => `127.0.0.1:${port}`).join(','),
    '--node-id',
    nodeId,
    '--grpc-address',
    `unix:${grpcPath}`,
    '--http-address',
    ANY_PORT,
    '--admin-address',
    ANY_PORT,
    '--log-format',
    'json',
    ...flags,
  ])
  const addresses = await addressesOf(child)
  const adminUrl = `http://${addresses['admin']}`
  await waitUntilReady(child, `${adminUrl}/readyz`)
  const httpPort = Number(addresses['http']?.replace(/^.*:/, '') ?? 0)
  const count = async (metric: string) => sumOfSeries(await (await fetch(`${adminUrl}/metrics`)).text(), metric)
  return { child, grpcPath, httpPort, adminUrl, count }
}

/** Where a process says that it listens, by the name of the listener. */
async function addressesOf(child: Child): Promise<Readonly<Record<string, string>>> {
  const [, told = '{}'] = await child.waitForOutput(/"addresses":(\{[^}]*\})/, PATIENCE_MS)
  return JSON.parse(told)
}

async function waitUntilReady(child: Child, url: string): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS
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

/** Runs `intermix revoke` against a node: how it ended, and what it printed. */
export async function revoke(
  { adminUrl }: Pick<Intermix, 'adminUrl'>,
  ...target: readonly string[]
): Promise<{ readonly code: number | undefined; readonly output: string }> {
  const command = await startCommand(['revoke', ...target, '--admin', adminUrl])
  const { code } = await command.exited
  return { code, output: command.output() }
}
