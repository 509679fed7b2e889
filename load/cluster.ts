// A mesh of Intermix nodes as a black box: the real command, a real Redis, a config made for the backends at hand.

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { configObject, documents } from './config-text.ts'
import { type Running, start } from './processes.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))

export interface ClusterOptions {
  readonly nodes: number
  /** More than one puts so many nodes into each process; then only the composed nodes are real, not the command. */
  readonly nodesPerProcess?: number
  /** Policy backends by URL; the one of a request is chosen by its `destination.service.name`, `service-<index>`. */
  readonly backends: readonly string[]
  /** The URL, or `none`. */
  readonly redis: string
  /** Names this cluster towards the backends and in Redis. */
  readonly name: string
  /** Settings of the handlers, such as `staleIfError: '60s'`. */
  readonly handler?: Readonly<Record<string, string>>
  /** Further flags of the command. */
  readonly flags?: readonly string[]
  /** Where nodes with a process each listen for gRPC; free ports unless given. */
  readonly grpcPorts?: readonly number[]
  /** Flags of Node itself. */
  readonly nodeFlags?: readonly string[]
  /** Hears of all that the nodes write. */
  readonly onOutput?: ((text: string) => void) | undefined
  /** The config; one rule for each backend unless given. */
  readonly config?: string
  /** The folder of the program, where it is not this one. */
  readonly root?: string
}

export interface ClusterNode {
  readonly httpUrl: string
  readonly grpcAddress: string
  readonly adminUrl: string
  readonly child: Running
}

export interface Cluster {
  readonly nodes: readonly ClusterNode[]
  readonly urls: readonly string[]
  /** Processor seconds that all nodes have used so far. */
  cpuSeconds(): Promise<number>
  /** Sum of a counter over all nodes and series whose labels contain `labels`. */
  counter(name: string, labels?: string): Promise<number>
  stop(): Promise<void>
}

/** Starts all nodes and waits until each is ready. */
export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  const directory = await mkdtemp(join(tmpdir(), 'intermix-load-'))
  const config = join(directory, 'config')
  await mkdir(config)
  await writeFile(join(config, 'policy.yaml'), options.config ?? configText(options))
  const { nodesPerProcess = 1 } = options
  const started = await Promise.allSettled(
    Array.from({ length: Math.ceil(options.nodes / nodesPerProcess) }, (_, index) =>
      startProcess(options, config, index),
    ),
  )
  const processes = started.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
  const nodes = processes.flat()
  const stop = async () => {
    await Promise.all(processes.map(async (group) => group[0]?.child.stop()))
    await rm(directory, { recursive: true, force: true })
  }
  const failed = started.find((result) => result.status === 'rejected')
  if (failed !== undefined) {
    await stop()
    throw failed.reason
  }
  const counter = async (name: string, labels = '') => {
    const urls = new Set(nodes.map((node) => `${node.adminUrl}/metrics`))
    const texts = await Promise.all([...urls].map(async (url) => (await fetch(url)).text()))
    return texts.reduce((sum, text) => sum + sumOfSeries(text, name, labels), 0)
  }
  return {
    nodes,
    urls: nodes.map((node) => node.httpUrl),
    counter,
    cpuSeconds: () => counter('process_cpu_seconds_total'),
    stop,
  }
}

async function startProcess(options: ClusterOptions, config: string, index: number): Promise<readonly ClusterNode[]> {
  const { name, redis, flags = [], nodeFlags = [], nodesPerProcess = 1, root = ROOT } = options
  const nodeId = `${name}-${index}`
  const shared = {
    '--config': config,
    '--grpc-address': `127.0.0.1:${options.grpcPorts?.[index] ?? 0}`,
    '--http-address': '127.0.0.1:0',
    '--redis': redis,
    '--redis-prefix': `load-${name}`,
  }
  const alone = { '--admin-address': '127.0.0.1:0', '--log-format': 'json', '--shutdown-timeout': '1s' }
  const given = [...Object.entries(shared).flat(), ...flags]
  const single = nodesPerProcess === 1
  const child = await start({
    command: process.execPath,
    args: single
      ? [...nodeFlags, 'bin/intermix.js', 'node', '--node-id', nodeId, ...Object.entries(alone).flat(), ...given]
      : ['load/node-host.ts', String(nodesPerProcess), nodeId, ...given],
    cwd: root,
    env: { NODE_COMPILE_CACHE: join(tmpdir(), 'intermix-load-compile-cache') },
    onOutput: options.onOutput,
    ready: single ? /"addresses":(\{[^}]*\})/ : /"hosted":(\[.*\])/,
  })
  const found = JSON.parse(child.match[1] ?? '') as Addresses | readonly Addresses[]
  return [found].flat().map(({ grpc, http, admin }) => ({
    httpUrl: `http://${http}`,
    grpcAddress: grpc,
    adminUrl: `http://${admin}`,
    child,
  }))
}

type Addresses = Readonly<Record<'grpc' | 'http' | 'admin', string>>

function configText({ backends, name, handler = {} }: ClusterOptions): string {
  const text = { valueType: 'STRING' }
  return documents(
    configObject('attributemanifest', 'mesh', {
      attributes: { 'request.path': text, 'destination.service.name': text },
    }),
    configObject('instance', 'path', { compiledTemplate: 'listentry', params: { value: 'request.path' } }),
    ...backends.flatMap((url, index) => [
      configObject('handler', `policy-${index}`, {
        compiledAdapter: 'http',
        params: { url: `${url}/${name}` },
        timeout: '500ms',
        ...handler,
      }),
      configObject('rule', `ask-${index}`, {
        match: `destination.service.name == "service-${index}"`,
        actions: [{ handler: `policy-${index}`, instances: ['path'] }],
      }),
    ]),
  )
}

function sumOfSeries(text: string, name: string, labels: string): number {
  let sum = 0
  for (const line of text.split('\n')) {
    const isSeries = line.startsWith(`${name}{`) || line.startsWith(`${name} `)
    if (isSeries && line.includes(labels)) sum += Number(line.slice(line.lastIndexOf(' ') + 1))
  }
  return sum
}
