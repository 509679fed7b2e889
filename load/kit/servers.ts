// The servers that a load can be put on, as they are written on a command line.

import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { startBackend } from '../backend-control.ts'
import { startCluster } from '../cluster.ts'
import { say } from '../output.ts'
import { start } from '../processes.ts'
import { type Address, addressOf } from './connection.ts'
import { type DoorName, DOORS } from './doors.ts'
import { type PolicyOptions, policyText } from './policy.ts'
import { processTree } from './process-usage.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const ECHOES = ['fastify', 'http', 'grpc-js']

export interface Server {
  readonly name: string
  readonly pids: readonly number[]
  /** Whether its answers say allow and deny. */
  readonly decides: boolean
  address(door: DoorName): Address
  stop(): Promise<unknown>
}

export interface ServerOptions {
  readonly rules?: PolicyOptions['rules'] | undefined
  /** How long verdicts are valid. Default an hour. */
  readonly validitySeconds?: number
  /** Of a node's process: flags of Node, and who hears of all that it writes. */
  readonly nodeFlags?: readonly string[]
  readonly onOutput?: (text: string) => void
}

/** A node, whose counters can be read. */
export interface NodeServer extends Server {
  /** Sum of a counter over all series whose labels contain `labels`. */
  counter(name: string, labels?: string): Promise<number>
}

/** How servers are written, for help texts. */
export const SERVER_FORMS = `  node [FLAGS]            a node of this working tree, with flags of the command
  rev:REVISION [FLAGS]    a node of a git revision
  echo:${ECHOES.join('|')}   the least that a server of that kind does
  HOST:PORT[#PID]         whatever listens there; with a PID, what the process uses is told`

/** Starts the server that `text` names. What it needs besides (backend, checkout) ends with it. */
export async function startServer(text: string, options: ServerOptions = {}): Promise<Server> {
  if (/^(node|rev:\S*)(\s|$)/.test(text)) return await startNode(text, options)
  if (text.startsWith('echo:')) return await startEcho(text.slice(5))
  const found = /^(?<host>[^#\s]+):(?<port>\d{1,5})(#(?<pid>\d+))?$/.exec(text)?.groups
  if (found === undefined) throw new Error(`${text}: there is no such server. One of:\n${SERVER_FORMS}`)
  const address = { host: found['host'] ?? '', port: Number(found['port']) }
  const pids = found['pid'] === undefined ? [] : processTree(Number(found['pid']))
  return { name: text, pids, decides: false, address: () => address, stop: async () => {} }
}

/** Starts a node, written in one of the first two forms, without Redis unless its flags name one, and its policy's backend. */
export async function startNode(text: string, options: ServerOptions = {}): Promise<NodeServer> {
  const [what = '', ...flags] = text.trim().split(/\s+/)
  if (what === 'node') return await launchNode(text, options, { flags })
  if (!what.startsWith('rev:')) throw new Error(`${text}: must be a node, as "node [FLAGS]" or "rev:REVISION [FLAGS]"`)
  const checkout = await checkOut(what.slice(4))
  const node = await launchNode(text, options, { flags, root: checkout.folder }).catch(async (error: unknown) => {
    await checkout.remove()
    throw error
  })
  return { ...node, stop: async () => [await node.stop(), await checkout.remove()] }
}

async function launchNode(
  name: string,
  { rules, validitySeconds = 3_600, nodeFlags = [], onOutput }: ServerOptions,
  { flags, root }: { readonly flags: readonly string[]; readonly root?: string },
): Promise<NodeServer> {
  const backend = await startBackend({ validitySeconds })
  const cluster = await startCluster({
    nodes: 1,
    backends: [backend.url],
    redis: 'none',
    name: 'load',
    flags,
    nodeFlags,
    onOutput,
    config: policyText({ backend: backend.url, ...(rules === undefined ? {} : { rules }) }),
    ...(root === undefined ? {} : { root }),
  }).catch(async (error: unknown) => {
    await backend.stop()
    throw error
  })
  const [node] = cluster.nodes
  if (node === undefined) throw new Error('the cluster has no node')
  return {
    name,
    pids: processTree(node.child.pid),
    decides: true,
    counter: (metric, labels) => cluster.counter(metric, labels),
    address: (door) => addressOf(DOORS[door].protocol === 'http' ? new URL(node.httpUrl).host : node.grpcAddress),
    stop: async () => [await cluster.stop(), await backend.stop()],
  }
}

async function startEcho(kind: string): Promise<Server> {
  if (!ECHOES.includes(kind)) throw new Error(`echo:${kind}: there are echoes of ${ECHOES.join(', ')}`)
  const child = await start({
    command: process.execPath,
    args: [fileURLToPath(new URL('../echo-server.ts', import.meta.url)), kind],
    ready: /echo on (\d+)/,
  })
  const address = { host: '127.0.0.1', port: Number(child.match[1]) }
  return { name: `${kind} echo`, pids: [child.pid], decides: false, address: () => address, stop: () => child.stop() }
}

/** The files of a revision in a folder of their own, with the packages of this working tree. */
async function checkOut(revision: string): Promise<{ readonly folder: string; remove(): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'intermix-revision-'))
  const remove = () => rm(folder, { recursive: true, force: true })
  try {
    const tar = execFileSync('git', ['-C', ROOT, 'archive', revision], { maxBuffer: 1 << 30 })
    await mkdir(folder, { recursive: true })
    execFileSync('tar', ['-x', '-C', folder], { input: tar })
    await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
    const [theirs, ours] = await Promise.all(
      [folder, ROOT].map((root) => readFile(join(root, 'package-lock.json'), 'utf8')),
    )
    if (theirs !== ours) say(`${revision} has other packages: it runs with those of this working tree`)
    return { folder, remove }
  } catch (error) {
    await remove()
    throw error
  }
}
