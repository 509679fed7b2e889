// An Envoy with one worker, for tests of a Proxy-Wasm filter: it starts the module, gives it requests, ticks and what
// clusters answer, and starts it anew after a trap (FAIL_RELOAD). It does what Envoy 1.3x to 1.40 does, and throws
// `HostViolation` where the module does what Envoy does not survive.

import type { FakeClock } from '../clock.ts'
import type { LogLevel } from './abi.ts'
import type { Clusters } from './cluster.ts'
import { Context } from './context.ts'
import { EventLoop } from './event-loop.ts'
import { FilteredRequest, type RequestOptions } from './filtered-request.ts'
import { GrpcClient } from './grpc-client.ts'
import { HeaderLines } from './header-lines.ts'
import { hostFunctions } from './host-functions.ts'
import { MetricValues } from './host-metrics.ts'
import { type CheckedModule, ProxyWasmVm } from './vm.ts'

/** Envoy's `reload_config.backoff`: a VM that failed is started again for a request that comes so long after the last start. */
const RELOAD_AFTER_MS = 1_000
const KEPT_LOGS = 1_000

export interface FilterHostOptions {
  readonly module: CheckedModule
  readonly clock: FakeClock
  readonly clusters: Clusters
  /** The plugin's configuration. */
  readonly configuration: string | Uint8Array
  /** Numbers in [0, 1). */
  readonly random?: () => number
}

export interface HostLog {
  readonly level: LogLevel
  readonly message: string
}

/** A module that does not start, with what it logged. */
export class StartFailure extends Error {
  readonly logs: readonly HostLog[]

  constructor(step: string, logs: readonly HostLog[]) {
    super(`${step}: ${logs.map(({ level, message }) => `${level} ${message}`).join('; ')}`)
    this.logs = logs
  }
}

interface Started {
  readonly vm: ProxyWasmVm
  readonly root: Context
  readonly at: number
}

export class FilterHost {
  readonly metrics = new MetricValues()
  readonly logs: HostLog[] = []
  readonly #options: FilterHostOptions
  readonly #loop = new EventLoop()
  #configuration: Buffer
  #started: Started | undefined
  #stopTicks: (() => void) | undefined
  /** VMs that trapped. */
  failures = 0

  /** Starts the module as Envoy does: in a VM that only shows that it would start, and then in that of the worker. @throws StartFailure */
  constructor(options: FilterHostOptions) {
    this.#options = options
    this.#configuration = Buffer.from(options.configuration)
    this.#loop.enter(() => this.#stop(this.#start()))
    this.#started = this.#loop.enter(() => this.#start())
  }

  /** A request reaches the filter. What came of it, and comes of it later, is to be read there. */
  request(options: RequestOptions, onState: (request: FilteredRequest) => void = () => undefined): FilteredRequest {
    const { clock } = this.#options
    this.#reload()
    const given = { ...options, startedAtMs: clock.now() }
    const request = new FilteredRequest(this.#loop, this.#started ?? {}, given, onState)
    this.#loop.enter(() => request.start())
    return request
  }

  /** Bytes of the module's memory. */
  get memorySize(): number {
    return this.#started?.vm.memory.size ?? 0
  }

  /** Requests that the module knows of. */
  get openContexts(): number {
    return Math.max(0, (this.#started?.vm.contexts.size ?? 0) - 1)
  }

  get hasFailed(): boolean {
    return this.#started?.vm.isFailed !== false
  }

  /** The listener is drained, or gets another config. */
  stop(): void {
    const started = this.#started
    this.#started = undefined
    if (started !== undefined) this.#loop.enter(() => this.#stop(started))
  }

  #start(): Started {
    const { module, clock, clusters, random = () => 0.5 } = this.#options
    const vmConfiguration = Buffer.alloc(0)
    const log = (level: LogLevel, message: string) => this.#log(level, message)
    const environment = {
      clock,
      random,
      vmConfiguration,
      log,
      logLevel: 'info',
      tickEvery: (root: Context, periodMs: number) => this.#tickEvery(vm, root, periodMs),
    } as const
    const vm: ProxyWasmVm = new ProxyWasmVm(
      module,
      this.metrics,
      (of) => hostFunctions(of, environment),
      (reason) => {
        this.failures++
        log('critical', reason)
      },
    )
    vm.initialize()
    const root = new Context(vm.nextContextId())
    vm.contexts.set(root.id, root)
    root.grpc = new GrpcClient(clusters, this.#grpcCallbacks(vm, root), (work) => this.#loop.post(work))
    const startedAt = this.logs.length
    const fail = (step: string) => {
      this.#stopTicks?.()
      root.grpc?.destroy()
      throw new StartFailure(step, this.logs.slice(startedAt))
    }
    root.pluginConfiguration = this.#configuration
    const isUp = vm.enter(() => {
      vm.call(root, 'proxy_on_context_create', root.id, 0)
      root.isCreated = true
      root.pluginConfiguration = undefined
      return !vm.has('proxy_on_vm_start') || vm.call(root, 'proxy_on_vm_start', root.id, vmConfiguration.length) !== 0
    })
    if (!isUp || vm.isFailed) fail('proxy_on_vm_start')
    root.pluginConfiguration = this.#configuration
    const isConfigured = vm.enter(
      () =>
        !vm.has('proxy_on_configure') || vm.call(root, 'proxy_on_configure', root.id, this.#configuration.length) !== 0,
    )
    root.pluginConfiguration = undefined
    if (!isConfigured || vm.isFailed) fail('proxy_on_configure')
    return { vm, root, at: clock.monotonic() }
  }

  #stop({ vm, root }: Started): void {
    this.#stopTicks?.()
    vm.enter(() => vm.call(root, 'proxy_on_done', root.id))
    vm.enter(() => vm.call(root, 'proxy_on_delete', root.id))
    root.grpc?.destroy()
    vm.isFailed = true
  }

  /** Puts a new VM in the place of one that has failed. */
  #reload(): void {
    const started = this.#started
    if (started === undefined || !started.vm.isFailed) return
    if (this.#options.clock.monotonic() < started.at + RELOAD_AFTER_MS) return
    this.#stopTicks?.()
    started.root.grpc?.destroy()
    this.#started = this.#loop.enter(() => this.#start())
  }

  #tickEvery(vm: ProxyWasmVm, root: Context, periodMs: number): void {
    this.#stopTicks?.()
    if (periodMs === 0) return
    const { clock } = this.#options
    const next = () => {
      this.#stopTicks = clock.after(periodMs, () => {
        const stop = this.#stopTicks
        this.#loop.enter(() => vm.enter(() => vm.call(root, 'proxy_on_tick', root.id)))
        // The module may have asked for another period.
        if (this.#stopTicks === stop && !vm.isFailed) next()
      })
    }
    next()
  }

  #grpcCallbacks(vm: ProxyWasmVm, root: Context) {
    const call = (name: string, ...given: readonly number[]) => vm.enter(() => vm.call(root, name, root.id, ...given))
    return {
      initialMetadata(token: number) {
        root.grpcInitialMetadata = new HeaderLines([[':status', '200']])
        call('proxy_on_grpc_receive_initial_metadata', token, 1)
        root.grpcInitialMetadata = undefined
      },
      receive(token: number, message: Uint8Array) {
        root.grpcReceived = Buffer.from(message)
        call('proxy_on_grpc_receive', token, message.length)
        root.grpcReceived = undefined
      },
      trailingMetadata(token: number) {
        root.grpcTrailingMetadata = new HeaderLines([])
        call('proxy_on_grpc_receive_trailing_metadata', token, 0)
        root.grpcTrailingMetadata = undefined
      },
      close(token: number, status: number, message: string) {
        root.status = { code: status, message }
        call('proxy_on_grpc_close', token, status)
        root.status = { ...root.status, message: '' }
      },
    }
  }

  #log(level: LogLevel, message: string): void {
    this.logs.push({ level, message })
    if (this.logs.length > KEPT_LOGS) this.logs.shift()
  }
}
