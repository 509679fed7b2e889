// The filter in a host like Envoy before real nodes of this process, whose one handler says what a test wants.

import { readFileSync } from 'node:fs'
import { z } from 'zod'
import { type AnyAdapter, type CheckResult, defineAdapter } from '../../src/adapter-kit/define-adapter.ts'
import { compileSnapshot } from '../../src/config/compile-snapshot.ts'
import { parseConfigText } from '../../src/config/load.ts'
import type { Snapshot } from '../../src/config/snapshot.ts'
import type { RevocationTarget } from '../../src/kernel/revocation.ts'
import { FakeClock } from '../helpers/clock.ts'
import { type EnvoyRequest, filterRequest } from '../helpers/envoy-request.ts'
import { type ChangeSource, filterModule } from '../helpers/filter-module.ts'
import type { Cluster } from '../helpers/proxy-wasm/cluster.ts'
import { FilterHost } from '../helpers/proxy-wasm/filter-host.ts'
import type { FilteredRequest } from '../helpers/proxy-wasm/filtered-request.ts'
import type { HeaderLine } from '../helpers/proxy-wasm/header-lines.ts'
import { NodeCluster, type NodeClusterOptions } from '../helpers/proxy-wasm/node-cluster.ts'
import { checkModule, type CheckedModule } from '../helpers/proxy-wasm/vm.ts'
import { createSimulatedNode } from '../properties/simulated-node.ts'
import { type ServedNode, served } from '../properties/wire-stream.ts'

/** The module as Envoy would load it. @param change plants defects in its sources */
export async function compiledFilter(change?: ChangeSource): Promise<CheckedModule> {
  return checkModule(readFileSync(await filterModule(change)))
}

/** What the handler says of a value. */
export type Say = (value: string) => Partial<CheckResult> | Promise<Partial<CheckResult>>

export type RuleSpec = Readonly<Record<string, unknown>> & { readonly namespace?: string }

export interface BenchOptions {
  readonly module: CheckedModule
  /** Rules, as `spec` by name; `ask` is the handler's only instance, of `request.path` unless told. */
  readonly rules?: Readonly<Record<string, RuleSpec>>
  readonly value?: string
  readonly handler?: object
  readonly settings?: object
  readonly nodes?: number
  readonly normalizes?: boolean
  readonly cluster?: Partial<NodeClusterOptions>
  /** Puts something between the filter and the cluster. */
  readonly between?: (cluster: Cluster, clock: FakeClock) => Cluster
}

/** What configs here have for attributes. */
export const ATTRIBUTES = {
  'request.path': 'STRING',
  'request.host': 'STRING',
  'request.method': 'STRING',
  'request.size': 'INT64',
  'request.headers': 'STRING_MAP',
  'request.query_params': 'STRING_MAP',
  'request.time': 'TIMESTAMP',
  'source.ip': 'IP_ADDRESS',
  'source.principal': 'STRING',
  'destination.namespace': 'STRING',
  'source.port': 'INT64',
  'source.namespace': 'STRING',
  'destination.ip': 'IP_ADDRESS',
  'destination.port': 'INT64',
  'destination.principal': 'STRING',
  'destination.service.name': 'STRING',
  'connection.mtls': 'BOOL',
  'connection.requested_server_name': 'STRING',
  'context.protocol': 'STRING',
  'request.url_path': 'STRING',
  'request.scheme': 'STRING',
  'request.useragent': 'STRING',
  'request.referer': 'STRING',
  'request.raw_path': 'STRING',
} as const
/** Asks the handler about every request. */
export const ASK = { actions: [{ handler: 'says.handler.istio-system', instances: ['ask.instance.istio-system'] }] }

export class FilterBench {
  readonly clock = new FakeClock()
  /** What the handler was asked. */
  readonly asked: string[] = []
  say: Say = () => ({})
  readonly #options: BenchOptions
  readonly #adapters: ReadonlyMap<string, AnyAdapter>
  nodes: readonly ServedNode[] = []
  #cluster: NodeCluster | undefined
  #host: FilterHost | undefined

  private constructor(options: BenchOptions) {
    this.#options = options
    const adapter = defineAdapter({
      name: 'scripted',
      description: 'says what a test wants',
      templates: ['listentry'],
      config: z.strictObject({}),
      doesIo: true,
      create: () => ({
        check: {
          listentry: ({ fields }) => {
            const value = fields['value'] as string
            this.asked.push(value)
            const said = this.say(value)
            return said instanceof Promise ? said.then(resultOf) : resultOf(said)
          },
        },
      }),
    })
    this.#adapters = new Map<string, AnyAdapter>([['scripted', adapter]])
  }

  static async start(options: BenchOptions): Promise<FilterBench> {
    const bench = new FilterBench(options)
    const { clock } = bench
    const nodes: ServedNode[] = []
    for (let i = 0; i < (options.nodes ?? 1); i++) {
      const common = { clock, random: () => 0.5, link: undefined, prefix: 'bench', nodeId: `n${i}` }
      nodes.push(served(clock, await createSimulatedNode(common, bench.#snapshot(options.rules)), options.normalizes))
    }
    bench.nodes = nodes
    await bench.beginAnew()
    bench.#cluster = new NodeCluster({
      clock,
      nodes: nodes.map(({ door }) => () => [door]),
      ...options.cluster,
    })
    const settings = { ...SETTINGS, ...options.settings }
    bench.#host = new FilterHost({
      module: options.module,
      clock,
      clusters: new Map([[settings.cluster, options.between?.(bench.cluster, clock) ?? bench.cluster]]),
      configuration: JSON.stringify(settings),
    })
    await clock.advance(100)
    return bench
  }

  get cluster(): NodeCluster {
    if (this.#cluster === undefined) throw new Error('not started')
    return this.#cluster
  }

  get host(): FilterHost {
    if (this.#host === undefined) throw new Error('not started')
    return this.#host
  }

  /** A request that reaches the filter; pseudo headers are there unless told. */
  request(headers: readonly HeaderLine[] = [], about: Omit<EnvoyRequest, 'headers'> = {}): FilteredRequest {
    const missing = PSEUDO.filter(([name]) => !headers.some((line) => line[0] === name))
    return this.host.request(filterRequest({ headers: [...missing, ...headers], source: '10.0.0.1:5', ...about }))
  }

  /** The same, to its end. @returns the status that the client gets, and where the answer came from */
  async ask(headers: readonly HeaderLine[] = [], about: Omit<EnvoyRequest, 'headers'> = {}): Promise<Ended> {
    const request = this.request(headers, about)
    for (let i = 0; request.state === 'waiting' && i < 300; i++) await this.clock.advance(20)
    return ended(request)
  }

  /** A counter or gauge of the module, as it stands at the next tick. */
  async metric(name: string): Promise<number> {
    await this.clock.advance(20)
    return this.host.metrics.value(name)
  }

  /** Nodes apply a revocation, and tell of it. */
  async revoke(target: RevocationTarget): Promise<void> {
    for (const { node } of this.nodes) node.revocations.apply({ sequence: node.revocations.epoch.sequence + 1, target })
    await this.clock.advance(0)
  }

  #generation = 0

  /** Revocations are numbered anew. */
  async beginAnew(): Promise<void> {
    this.#generation++
    for (const { node } of this.nodes) node.revocations.restart(`bench/${this.#generation}@0`, 0)
    await this.clock.advance(0)
  }

  /** Nodes take other rules into use. */
  async configure(rules: NonNullable<BenchOptions['rules']>): Promise<void> {
    for (const { node, news } of this.nodes) {
      await node.apply(this.#snapshot(rules))
      news.changed()
    }
    await this.clock.advance(20)
  }

  #snapshot(rules: BenchOptions['rules'] = { all: ASK }): Snapshot {
    const { value = 'request.path', handler = {} } = this.#options
    const attributes = Object.fromEntries(Object.entries(ATTRIBUTES).map(([name, type]) => [name, { valueType: type }]))
    const objects = [
      object('attributemanifest', 'all', { attributes }),
      object('handler', 'says', { compiledAdapter: 'scripted', params: {}, ...handler }),
      object('instance', 'ask', { compiledTemplate: 'listentry', lang: 'CEL', params: { value } }),
      ...Object.entries(rules).map(([name, { namespace, ...spec }]) =>
        object('rule', name, { lang: 'CEL', ...spec }, namespace),
      ),
    ]
    const text = objects.map((each) => JSON.stringify(each)).join('\n---\n')
    const { snapshot, problems } = compileSnapshot(parseConfigText('bench.yaml', text), { adapters: this.#adapters })
    if (snapshot === undefined) throw new Error(JSON.stringify(problems))
    return snapshot
  }
}

export interface Ended {
  /** 0 where it goes on. */
  readonly status: number
  readonly tier: string | undefined
  readonly headers: readonly HeaderLine[]
  readonly body: string | undefined
}

/** Ends a request that something has come of. */
export function ended(request: FilteredRequest): Ended {
  if (request.state === 'continued') request.respond([[':status', '200']])
  const { localReply, filterState } = request
  const status = request.state === 'continued' ? 0 : (localReply?.status ?? -1)
  const told = {
    status,
    tier: filterState.get('intermix.tier')?.toString(),
    headers: localReply?.headers ?? request.headers,
    body: localReply?.body,
  }
  request.finish()
  return told
}

export const SETTINGS = { cluster: 'nodes', source_address: 'downstream', provenance: 'all' }

const PSEUDO: readonly HeaderLine[] = [
  [':method', 'GET'],
  [':path', '/a'],
  [':authority', 'a.example'],
  [':scheme', 'http'],
]

function object(kind: string, name: string, spec: object, namespace = 'istio-system'): object {
  const apiVersion = kind === 'attributemanifest' ? 'config.istio.io/v1alpha2' : 'intermix.dev/v1'
  return { apiVersion, kind, metadata: { name, namespace }, spec }
}

function resultOf(said: Partial<CheckResult>): CheckResult {
  return { status: { code: 0, message: '' }, validForMs: 60_000, validUses: 10_000, ...said }
}
