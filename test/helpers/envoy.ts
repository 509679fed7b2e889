// A real Envoy for tests, from the bootstrap that the project ships, with the addresses of the test put in.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Document, parseDocument } from 'yaml'
import { filterModule } from './filter-module.ts'
import { freePorts } from './ports.ts'
import { type Child, spawnChild } from './process.ts'

/** The bootstrap that docker-compose.yml uses. */
export const ENVOY_BOOTSTRAP = fileURLToPath(new URL('../../deploy/envoy/envoy.yaml', import.meta.url))
/** The one that asks a sidecar at a socket, and the one that hashes to nodes. */
export const ENVOY_SIDECAR = fileURLToPath(new URL('../../deploy/envoy-sidecar/envoy.yaml', import.meta.url))
export const ENVOY_SHARDED = fileURLToPath(new URL('../../deploy/envoy-sharded/envoy.yaml', import.meta.url))
/** The one with the filter in it; it is given the module of this checkout. */
export const ENVOY_WASM = fileURLToPath(new URL('../../deploy/envoy-wasm/envoy.yaml', import.meta.url))

/** The deadline that Envoy has for a check in tests; a try has half of it. */
export const CHECK_DEADLINE_MS = 5_000

export interface Envoy {
  /** Where it takes requests. */
  readonly url: string
  readonly adminUrl: string
  readonly child: Child
  /** Value of a counter or gauge; 0 while it does not exist. */
  stat(name: string): Promise<number>
  stop(): Promise<void>
}

export interface EnvoyOptions {
  readonly binary: string
  /** Another bootstrap that is built alike. */
  readonly path?: string
  /** gRPC ports of the nodes on 127.0.0.1, or the path of a sidecar's socket. */
  readonly nodePorts: readonly (number | string)[]
  /** HTTP port of the upstream on 127.0.0.1. */
  readonly upstreamPort: number
  /** Threads that serve requests; 1 unless told. */
  readonly workers?: number
  /** Another module than that of this checkout, where the filter is in the bootstrap. */
  readonly module?: string
  /** Changes the bootstrap in further ways. */
  readonly adapt?: (bootstrap: Document) => void
}

/** Starts Envoy with the shipped bootstrap and waits until it takes requests. */
export async function startEnvoy(options: EnvoyOptions): Promise<Envoy> {
  const [listenPort, adminPort] = await freePorts(2)
  if (listenPort === undefined || adminPort === undefined) throw new Error('the kernel gave no free ports')
  const directory = await mkdtemp(join(tmpdir(), 'intermix-envoy-'))
  const path = join(directory, 'envoy.yaml')
  await writeFile(path, await bootstrap(options, listenPort, adminPort))
  const workers = ['--concurrency', String(options.workers ?? 1)]
  const args = ['-c', path, '--use-dynamic-base-id', ...workers, '-l', 'warning', '--drain-time-s', '1']
  const child = await spawnChild(options.binary, args)
  await child.waitForPort(listenPort)
  const adminUrl = `http://127.0.0.1:${adminPort}`
  return {
    url: `http://127.0.0.1:${listenPort}`,
    adminUrl,
    child,
    async stat(name) {
      const text = await (await fetch(`${adminUrl}/stats?usedonly&filter=^${name.replaceAll('.', '\\.')}$`)).text()
      return Number(text.match(/: (\d+)/)?.[1] ?? 0)
    },
    async stop() {
      await child.stop()
      await rm(directory, { recursive: true, force: true })
    },
  }
}

/** Where the bootstrap configures its HTTP connection manager. */
export const ENVOY_MANAGER = [
  'static_resources',
  'listeners',
  0,
  'filter_chains',
  0,
  'filters',
  0,
  'typed_config',
] as const

/** Behind the filter that tells it the source, and where its module is named. */
const FILTER = [...ENVOY_MANAGER, 'http_filters', 1, 'typed_config', 'config']
const MODULE = ['vm_config', 'code', 'local', 'filename']

/** Changes settings of the filter in a bootstrap. */
export function setFilter(bootstrap: Document, settings: object): void {
  const path = [...FILTER, 'configuration', 'value']
  const before = JSON.parse(String(bootstrap.getIn(path))) as object
  bootstrap.setIn(path, JSON.stringify({ ...before, ...settings }))
}

async function bootstrap(options: EnvoyOptions, listenPort: number, adminPort: number): Promise<string> {
  const { path: shipped = ENVOY_BOOTSTRAP } = options
  const document = parseDocument(await readFile(shipped, 'utf8'))
  const local = (port: number) => ({ socket_address: { address: '127.0.0.1', port_value: port } })
  const endpoint = (at: number | string) => ({
    endpoint: { address: typeof at === 'string' ? { pipe: { path: at } } : local(at) },
  })
  const listener = ['static_resources', 'listeners', 0]
  const endpointsOf = (cluster: number) => {
    const path = ['static_resources', 'clusters', cluster, 'load_assignment', 'endpoints', 0, 'lb_endpoints']
    if (!document.hasIn(path)) throw new Error(`${shipped} has no ${path.join('.')}`)
    return path
  }
  // The shipped deadline of a second is for machines that do nothing else; a test machine does everything at once.
  const filters = [...ENVOY_MANAGER, 'http_filters']
  const check = [...filters, 0, 'typed_config', 'grpc_service']
  if (document.hasIn([...FILTER, 'configuration'])) {
    document.setIn([...FILTER, ...MODULE], options.module ?? (await filterModule()))
    setFilter(document, { timeout_ms: CHECK_DEADLINE_MS })
  } else if (document.hasIn([...check, 'timeout'])) {
    document.setIn([...check, 'timeout'], `${CHECK_DEADLINE_MS / 1000}s`)
    const longestTry = [...check, 'retry_policy', 'retry_back_off', 'max_interval']
    if (document.hasIn(longestTry)) document.setIn(longestTry, `${CHECK_DEADLINE_MS / 2000}s`)
  } else throw new Error(`${shipped} begins neither with ext_authz nor with the filter`)
  document.setIn(['admin', 'address'], local(adminPort))
  document.setIn([...listener, 'address'], local(listenPort))
  document.setIn(
    endpointsOf(0),
    options.nodePorts.map((port) => endpoint(port)),
  )
  document.setIn(endpointsOf(1), [endpoint(options.upstreamPort)])
  // A path is no name to look up.
  if (options.nodePorts.some((at) => typeof at === 'string')) {
    document.setIn(['static_resources', 'clusters', 0, 'type'], 'STATIC')
  }
  options.adapt?.(document)
  return document.toString()
}
