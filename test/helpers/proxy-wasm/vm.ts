// One VM: a module that was instantiated, and how the host enters it (proxy-wasm-cpp-host, src/wasm.cc and src/context.cc).

import { ABI_MARKER, HOST_FUNCTIONS, HostViolation, MODULE_FUNCTIONS, UNUSED_CALLBACKS } from './abi.ts'
import type { Context } from './context.ts'
import { HostMetrics, type MetricValues } from './host-metrics.ts'
import { moduleSignatures } from './module-signatures.ts'
import { VmMemory } from './vm-memory.ts'

type Exported = (...given: readonly number[]) => unknown
/** The functions that a module may import, by module and name. */
export type HostFunctions = Readonly<Record<string, Readonly<Record<string, WebAssembly.Import>>>>

/** A module that Envoy would take, compiled. */
export interface CheckedModule {
  readonly module: WebAssembly.Module
}

/** @throws Error that names all that Envoy refuses of the module */
export function checkModule(bytes: Uint8Array): CheckedModule {
  const { imports, exports } = moduleSignatures(bytes)
  const problems: string[] = []
  const expect = (what: string, signature: string, expected: string | undefined) => {
    if (expected === undefined) problems.push(`${what} is not known here`)
    else if (signature !== expected) problems.push(`${what} is ${signature} and has to be ${expected}`)
  }
  for (const [name, signature] of imports) expect(`the import ${name}`, signature, HOST_FUNCTIONS.get(name))
  for (const [name, signature] of exports) {
    const expected = MODULE_FUNCTIONS.get(name)
    const isCallback = /^(proxy|envoy)_on_/.test(name) && !UNUSED_CALLBACKS.has(name)
    if (expected !== undefined || isCallback) expect(`the export ${name}`, signature, expected)
  }
  if (!exports.has(ABI_MARKER)) problems.push(`${ABI_MARKER} is not exported`)
  if (!exports.has('malloc') && !exports.has('proxy_on_memory_allocate')) problems.push('malloc is not exported')
  if (problems.length > 0) throw new Error(`Envoy would not load the module: ${problems.join('; ')}`)
  return { module: new WebAssembly.Module(bytes) }
}

export class ProxyWasmVm {
  readonly memory: VmMemory
  readonly metrics: HostMetrics
  readonly contexts = new Map<number, Context>()
  readonly #exports: Readonly<Record<string, unknown>>
  readonly #onFailed: (reason: string) => void
  /** The context that the module was entered for last. */
  #current: Context | undefined
  /** In whose name the module acts instead; 0 for none. */
  #effective = 0
  #afterCall: (() => void)[] = []
  /** Whether a reply was made in this call: whatever the module returns, the request goes no further. */
  stopsIteration = false
  isFailed = false
  /** Until it runs the module may do next to nothing, and nothing at all while it is instantiated. */
  phase: 'instantiated' | 'initialised' | 'running' = 'instantiated'
  #lastContext = 0

  /**
   * @param functions what the module may import
   * @param onFailed the module has trapped; it is not entered again
   */
  constructor(
    { module }: CheckedModule,
    metrics: MetricValues,
    functions: (vm: ProxyWasmVm) => HostFunctions,
    onFailed: (reason: string) => void,
  ) {
    this.#onFailed = onFailed
    this.metrics = new HostMetrics(metrics)
    this.#exports = new WebAssembly.Instance(module, functions(this)).exports
    const { memory } = this.#exports
    const allocator = this.has('malloc') ? 'malloc' : 'proxy_on_memory_allocate'
    // The module may not see whose memory it is: Envoy enters it for the VM's own context.
    this.memory = new VmMemory(memory as WebAssembly.Memory, (size) => this.call(undefined, allocator, size))
  }

  /** Runs what the module does before everything else. */
  initialize(): void {
    this.phase = 'initialised'
    if (this.has('_initialize')) this.call(undefined, '_initialize')
    else this.call(undefined, '_start')
    this.phase = 'running'
  }

  has(name: string): boolean {
    return typeof this.#exports[name] === 'function'
  }

  nextContextId(): number {
    return ++this.#lastContext
  }

  /** Calls the module, where it has the function and has not failed. @returns 0 where it does not, or returns nothing */
  call(context: Context | undefined, name: string, ...given: readonly number[]): number {
    const exported = this.#exports[name] as Exported | undefined
    if (exported === undefined || this.isFailed) return 0
    const [current, effective] = [this.#current, this.#effective]
    this.#current = context
    this.#effective = 0
    try {
      return Number(exported(...given) ?? 0) >>> 0
    } catch (caught) {
      if (!(caught instanceof WebAssembly.RuntimeError) && !(caught instanceof RangeError)) throw caught
      this.isFailed = true
      this.#onFailed(`${name}: ${caught.stack ?? caught.message}`)
      return 0
    } finally {
      this.#current = current
      this.#effective = effective
    }
  }

  /** A callback as Envoy makes it: what the module wanted to happen afterwards happens then. */
  enter<T>(work: () => T): T {
    const result = work()
    this.stopsIteration = false
    for (let next = this.#afterCall.shift(); next !== undefined; next = this.#afterCall.shift()) next()
    return result
  }

  /** Does something when the module has returned. */
  after(action: () => void): void {
    this.#afterCall.push(action)
  }

  /** In whose name the module calls. */
  calling(): Context {
    const context = this.contexts.get(this.#effective) ?? this.#current
    if (context === undefined) throw new HostViolation('the module calls the host where there is no context')
    return context
  }

  /** @returns whether there is such a context */
  actAs(id: number): boolean {
    if (!this.contexts.has(id)) return false
    this.#effective = id
    return true
  }
}
