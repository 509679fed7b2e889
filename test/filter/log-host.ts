// The part of a host that a module meets when requests are over: it logs them, and calls nodes. Small and quick, so that it can be
// measured with; what the filter does before is for `helpers/proxy-wasm`.

import { readFileSync } from 'node:fs'
import { type Evaluate, parseExpression } from './log-expressions.ts'

/** What Envoy knows of a request that is over. */
export interface LoggedRequest {
  /** By path, its parts apart by a dot; integers, times and durations as bigints. */
  readonly properties: Readonly<Record<string, string | bigint>>
  readonly requestHeaders: readonly HeaderLine[]
  readonly responseHeaders: readonly HeaderLine[]
  readonly responseTrailers: readonly HeaderLine[]
}

export type HeaderLine = readonly [name: string, value: string]

/** A request that is over as the module gets it: each answer in the form that it has in memory. */
export interface PreparedRequest {
  readonly properties: ReadonlyMap<string, Buffer>
  /** By number of the map. */
  readonly maps: readonly (Buffer | undefined)[]
}

export interface LogHostOptions {
  /** Whether this Envoy evaluates expressions. */
  readonly evaluates?: boolean
}

export interface MadeCall {
  readonly token: number
  readonly cluster: string
  readonly path: string
  readonly message: Buffer
}

interface Wasm {
  readonly Module: new (bytes: Uint8Array) => object
  readonly Instance: new (module: object, imports: object) => { readonly exports: Readonly<Record<string, unknown>> }
}
type Exported = (...given: readonly number[]) => number

const { Module, Instance } = (globalThis as unknown as { WebAssembly: Wasm }).WebAssembly
const OK = 0
const NOT_FOUND = 1
const BAD_ARGUMENT = 2
const CALL_FAILED = 10
const INTERNAL_FAILURE = 10
const EMPTY = Buffer.of()
const PLUGIN_CONFIGURATION = 7
const ROOT = 1
/** 2026-01-01T00:00:00Z, in ms. */
const EPOCH = 1_767_225_600_000

export function prepared(logged: LoggedRequest): PreparedRequest {
  const entries = Object.entries(logged.properties).map(
    ([path, value]) => [path.replaceAll('.', '\0'), bytesOf(value)] as const,
  )
  const { requestHeaders, responseHeaders, responseTrailers } = logged
  const maps = [pairsOf(requestHeaders), undefined, pairsOf(responseHeaders), pairsOf(responseTrailers)]
  return { properties: new Map(entries), maps }
}

export class LogHost {
  /** Monotonic, in ms. */
  now = 1_000
  readonly calls: MadeCall[] = []
  readonly logs: string[] = []
  readonly counters = new Map<string, number>()
  /** Calls cannot be made at all. */
  isCut = false
  isDone = false
  /** So often values were evaluated. */
  evaluated = 0
  readonly #exports: Readonly<Record<string, Exported>>
  readonly #memory: { readonly buffer: ArrayBuffer }
  readonly #configuration: Buffer
  #bytes: Buffer
  #words: Uint32Array
  /** Paths of properties, by where they lie in the module. */
  readonly #paths = new Map<number, string>()
  #logged: PreparedRequest | undefined
  #status: readonly [code: number, message: string] = [0, '']
  #lastContext = ROOT
  #lastToken = 0
  readonly #metrics: string[] = []
  readonly #evaluates: boolean
  readonly #expressions: Evaluate[] = []

  constructor(path: string, settings: object, { evaluates = true }: LogHostOptions = {}) {
    this.#evaluates = evaluates
    this.#configuration = Buffer.from(JSON.stringify({ cluster: 'nodes', source_address: 'downstream', ...settings }))
    const known = this.#functions()
    const others = new Proxy(known, { get: (_, name: string) => known[name] ?? (() => OK), has: () => true })
    const imports = { env: others, wasi_snapshot_preview1: others }
    const { exports } = new Instance(new Module(readFileSync(path)), imports)
    this.#exports = exports as Readonly<Record<string, Exported>>
    this.#memory = exports['memory'] as { readonly buffer: ArrayBuffer }
    this.#bytes = Buffer.from(this.#memory.buffer)
    this.#words = new Uint32Array(this.#memory.buffer)
    this.#enter('_start')
    this.#enter('proxy_on_context_create', ROOT, 0)
    if (this.#enter('proxy_on_configure', ROOT, this.#configuration.length) !== 1) throw new Error(this.logs.join('\n'))
  }

  /** A request is over that the filter has not judged. */
  log(request: PreparedRequest): void {
    const context = ++this.#lastContext
    this.#enter('proxy_on_context_create', context, ROOT)
    this.#logged = request
    this.#enter('proxy_on_log', context)
    this.#logged = undefined
    this.#enter('proxy_on_done', context)
    this.#enter('proxy_on_delete', context)
  }

  tick(passedMs = 20): void {
    this.now += passedMs
    this.#enter('proxy_on_tick', ROOT)
  }

  /** The node has taken the call that was made last. */
  taken(): void {
    this.#enter('proxy_on_grpc_receive', ROOT, this.#lastToken, 0)
  }

  failed(code: number, message = ''): void {
    this.#status = [code, message]
    this.#enter('proxy_on_grpc_close', ROOT, this.#lastToken, code)
  }

  /** The plugin is to go. @returns whether it is done at once */
  end(): boolean {
    return this.#enter('proxy_on_done', ROOT) === 1
  }

  get memoryBytes(): number {
    return this.#memory.buffer.byteLength
  }

  counter(name: string): number {
    return this.counters.get(`intermix.reports.${name}`) ?? 0
  }

  #enter(name: string, ...given: readonly number[]): number {
    const result = this.#exports[name]?.(...given) ?? 0
    return result
  }

  /** The module's memory, which moves when it grows. */
  get #view(): Buffer {
    const { buffer } = this.#memory
    if (this.#bytes.buffer !== buffer) {
      this.#bytes = Buffer.from(buffer)
      this.#words = new Uint32Array(buffer)
    }
    return this.#bytes
  }

  #text(at: number, size: number): string {
    return this.#view.toString('latin1', at, at + size)
  }

  #path(at: number, size: number): string {
    const known = this.#paths.get(at)
    if (known !== undefined) return known
    const path = this.#text(at, size)
    this.#paths.set(at, path)
    return path
  }

  #give(value: Buffer | undefined, at: number, sizeAt: number): number {
    if (value === undefined) return NOT_FOUND
    const place = this.#exports['malloc']?.(value.length) ?? 0
    this.#view.set(value, place)
    this.#words[at >>> 2] = place
    this.#words[sizeAt >>> 2] = value.length
    return OK
  }

  #functions(): Record<string, (...given: number[]) => number> {
    return {
      proxy_log: (_level = 0, at = 0, size = 0) => {
        this.logs.push(this.#text(at, size))
        return OK
      },
      proxy_get_buffer_bytes: (type = 0, _start = 0, _length = 0, at = 0, sizeAt = 0) =>
        this.#give(type === PLUGIN_CONFIGURATION ? this.#configuration : undefined, at, sizeAt),
      proxy_get_property: (path = 0, size = 0, at = 0, sizeAt = 0) =>
        this.#give(this.#logged?.properties.get(this.#path(path, size)), at, sizeAt),
      proxy_call_foreign_function: (name = 0, size = 0, argument = 0, argumentSize = 0, at = 0, sizeAt = 0) =>
        this.#callForeign(this.#text(name, size), Buffer.from(this.#text(argument, argumentSize), 'latin1'), [
          at,
          sizeAt,
        ]),
      proxy_get_header_map_pairs: (map = 0, at = 0, sizeAt = 0) => this.#give(this.#logged?.maps[map], at, sizeAt),
      clock_time_get: (clock = 0, _low: unknown = 0, at = 0) => {
        this.#view.writeBigUInt64LE(BigInt(clock === 0 ? EPOCH + this.now : this.now) * 1_000_000n, at)
        return OK
      },
      proxy_get_status: (code = 0, at = 0, sizeAt = 0) => {
        const [status, message] = this.#status
        this.#give(Buffer.from(message), at, sizeAt)
        this.#view.writeUInt32LE(status, code)
        return OK
      },
      proxy_grpc_call: (...given) => this.#call(given),
      proxy_grpc_stream: () => CALL_FAILED,
      proxy_define_metric: (_type = 0, name = 0, size = 0, id = 0) => {
        this.#view.writeUInt32LE(this.#metrics.push(this.#text(name, size)) - 1, id)
        return OK
      },
      proxy_increment_metric: (id = 0, by: unknown = 0n) => {
        const name = this.#metrics[id] ?? ''
        this.counters.set(name, (this.counters.get(name) ?? 0) + Number(by))
        return OK
      },
      proxy_done: () => {
        this.isDone = true
        return OK
      },
    }
  }

  #callForeign(name: string, argument: Buffer, [at, sizeAt]: readonly [number, number]): number {
    if (!this.#evaluates) return NOT_FOUND
    if (name === 'expr_create') {
      const token = this.#expressions.push(parseExpression(argument.toString())) - 1
      return this.#give(Buffer.from(Uint32Array.of(token).buffer), at, sizeAt)
    }
    const evaluate = this.#expressions[argument.readUInt32LE()]
    if (name !== 'expr_evaluate' || evaluate === undefined) return BAD_ARGUMENT
    const value = evaluate((attribute) => this.#attribute(attribute))
    if (value === undefined) return INTERNAL_FAILURE
    this.evaluated++
    const bytes = Buffer.isBuffer(value) ? value : pairsOf(value.map((each) => [each, EMPTY]))
    return this.#give(bytes, at, sizeAt)
  }

  #attribute(name: string): Buffer | undefined {
    const value = this.#logged?.properties.get(name.replaceAll('.', '\0'))
    // Envoy has always one, which may be empty.
    return name === 'connection.requested_server_name' ? (value ?? EMPTY) : value
  }

  #call(given: readonly number[]): number {
    if (this.isCut) return CALL_FAILED
    const text = (place: number) => this.#text(given[place] ?? 0, given[place + 1] ?? 0)
    const [at = 0, size = 0] = given.slice(8)
    const token = (this.#lastToken += 2) - 1
    this.#lastToken = token
    const message = Buffer.from(this.#view.subarray(at, at + size))
    this.calls.push({ token, cluster: text(0), path: `/${text(2)}/${text(4)}`, message })
    this.#view.writeUInt32LE(token, given[11] ?? 0)
    return OK
  }
}

function bytesOf(value: string | bigint): Buffer {
  if (typeof value === 'string') return Buffer.from(value)
  const bytes = Buffer.alloc(8)
  bytes.writeBigInt64LE(value)
  return bytes
}

/** As the host hands header lines over: sizes, then names and values, each with a NUL behind it. */
function pairsOf(lines: readonly (readonly [string | Buffer, string | Buffer])[]): Buffer {
  const texts = lines.flatMap((line) => line.map((text) => (typeof text === 'string' ? Buffer.from(text) : text)))
  const sizes = Buffer.alloc(4 + texts.length * 4)
  sizes.writeUInt32LE(lines.length)
  texts.forEach((text, at) => sizes.writeUInt32LE(text.length, 4 + at * 4))
  return Buffer.concat([sizes, ...texts.flatMap((text) => [text, Buffer.of(0)])])
}
