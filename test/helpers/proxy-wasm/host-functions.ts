// The functions that a module imports, apart from those for headers and for gRPC (proxy-wasm-cpp-host, src/exports.cc).

import type { Clock } from '../../../src/kernel/ports.ts'
import {
  BufferType,
  HostViolation,
  LOG_LEVELS,
  type LogLevel,
  Result,
  StreamType,
  WASI_FAULT,
  WASI_INVALID,
  WASI_OK,
  WASI_UNSUPPORTED,
} from './abi.ts'
import type { Context } from './context.ts'
import { grpcFunctions } from './grpc-functions.ts'
import { headerFunctions, linesOf } from './header-functions.ts'
import { serialized, valueAt } from './property-value.ts'
import type { HostFunctions, ProxyWasmVm } from './vm.ts'

/** What a machine's monotonic clock says at first: so that what counts its ms in 32 bits fails within ten seconds. */
const MONOTONIC_START_MS = 2 ** 32 - 10_000
const MAX_RANDOM_BYTES = 64 * 1_024
const LAST_BUFFER = BufferType.CALL_DATA
/** While a module is initialised. */
const ALLOWED_EARLY = new Set([
  'env.proxy_log',
  'wasi_snapshot_preview1.clock_time_get',
  'wasi_snapshot_preview1.random_get',
])

export interface HostEnvironment {
  readonly clock: Clock
  /** Numbers in [0, 1). */
  readonly random: () => number
  readonly vmConfiguration: Buffer
  readonly log: (level: LogLevel, message: string) => void
  readonly logLevel: LogLevel
  /** Ticks of a root from now on come in these intervals; 0 for none. */
  readonly tickEvery: (root: Context, periodMs: number) => void
}

export function hostFunctions(vm: ProxyWasmVm, environment: HostEnvironment): HostFunctions {
  const env = { ...generalFunctions(vm, environment), ...headerFunctions(vm), ...grpcFunctions(vm) }
  return restricted(vm, { env, wasi_snapshot_preview1: wasiFunctions(vm, environment) })
}

/** Refuses, while the module is initialised, what Envoy refuses then. */
function restricted(vm: ProxyWasmVm, functions: HostFunctions): HostFunctions {
  const guarded = Object.entries(functions).map(([module, named]) => {
    const entries = Object.entries(named).map(([name, call]) => {
      const guard = (...given: readonly never[]) => {
        const isAllowed =
          vm.phase === 'running' || (vm.phase === 'initialised' && ALLOWED_EARLY.has(`${module}.${name}`))
        if (!isAllowed) throw new HostViolation(`${name} is called while the module is ${vm.phase}`)
        return call(...given)
      }
      return [name, guard] as const
    })
    return [module, Object.fromEntries(entries)] as const
  })
  return Object.fromEntries(guarded)
}

function generalFunctions(vm: ProxyWasmVm, environment: HostEnvironment) {
  const { clock, vmConfiguration } = environment
  const given = (isGiven: boolean) => (isGiven ? Result.OK : Result.INVALID_MEMORY_ACCESS)
  return {
    proxy_log(level: number, pointer: number, size: number) {
      const name = LOG_LEVELS[level]
      if (name === undefined) return Result.BAD_ARGUMENT
      const message = vm.memory.read(pointer, size)
      if (message === undefined) return Result.INVALID_MEMORY_ACCESS
      environment.log(name, message.toString('utf8'))
      return Result.OK
    },
    proxy_get_log_level: (at: number) => given(vm.memory.word(at, LOG_LEVELS.indexOf(environment.logLevel))),
    proxy_get_property(pointer: number, size: number, valueAtPointer: number, valueAtSize: number) {
      const path = vm.memory.read(pointer, size)?.toString('utf8')
      if (path === undefined) return Result.INVALID_MEMORY_ACCESS
      const [name = '', ...rest] = (path.endsWith('\0') ? path.slice(0, -1) : path).split('\0')
      if (path === '') return Result.SERIALIZATION_FAILURE
      const found = vm.calling().stream?.property(name)
      const value = found === undefined ? undefined : valueAt(found, rest)
      if (value === undefined) return Result.NOT_FOUND
      const bytes = serialized(value)
      return bytes instanceof Uint8Array ? given(vm.memory.give(bytes, valueAtPointer, valueAtSize)) : bytes
    },
    /** This Envoy was built without the parser of expressions, and the filter uses no other function beyond the ABI. */
    proxy_call_foreign_function: () => Result.NOT_FOUND,
    proxy_set_property(pointer: number, size: number, valuePointer: number, valueSize: number) {
      const path = vm.memory.read(pointer, size)
      const value = vm.memory.read(valuePointer, valueSize)
      if (path === undefined || value === undefined) return Result.INVALID_MEMORY_ACCESS
      const { stream } = vm.calling()
      if (stream === undefined) return Result.NOT_FOUND
      stream.filterState.set(path.toString('utf8'), value)
      return Result.OK
    },
    proxy_get_status(codeAt: number, pointerAt: number, sizeAt: number) {
      const { code, message } = vm.calling().status
      return given(vm.memory.word(codeAt, code) && vm.memory.give(Buffer.from(message), pointerAt, sizeAt))
    },
    proxy_continue_stream(type: number) {
      const context = vm.calling()
      const { stream } = context
      if (type >>> 0 > StreamType.LAST) return Result.BAD_ARGUMENT
      if (type > StreamType.RESPONSE) throw new HostViolation('an HTTP filter continues what is no HTTP stream')
      if (stream === undefined) throw new HostViolation('a root context continues a stream: Envoy does nothing then')
      vm.after(() => (type === StreamType.REQUEST ? stream.continueRequest() : stream.continueResponse()))
      // From now on the module cannot change the request any more.
      context.requestHeaders = undefined
      return Result.OK
    },
    proxy_close_stream(type: number) {
      const { stream } = vm.calling()
      if (type >>> 0 > StreamType.LAST) return Result.BAD_ARGUMENT
      if (stream === undefined) throw new HostViolation('a root context closes a stream: Envoy does nothing then')
      vm.after(() => stream.reset())
      return Result.OK
    },
    proxy_send_local_response(
      status: number,
      detailsAt: number,
      detailsSize: number,
      bodyAt: number,
      bodySize: number,
      headersAt: number,
      headersSize: number,
      grpcStatus: number,
    ) {
      const details = vm.memory.text(detailsAt, detailsSize)
      const body = vm.memory.read(bodyAt, bodySize)
      const pairs = vm.memory.read(headersAt, headersSize)
      if (details === undefined || body === undefined || pairs === undefined) return Result.INVALID_MEMORY_ACCESS
      const { stream } = vm.calling()
      if (stream === undefined) throw new HostViolation('a root context replies: Envoy does nothing then')
      if (status < 200 || status > 599) throw new HostViolation(`a reply with the status ${status}`)
      const headers = linesOf(pairs)
      // Access logs split at blanks.
      vm.after(() => stream.reply({ status, details: details.replaceAll(/\s/g, '_'), body, headers, grpcStatus }))
      vm.stopsIteration = true
      return Result.OK
    },
    proxy_set_effective_context: (id: number) => (vm.actAs(id >>> 0) ? Result.OK : Result.BAD_ARGUMENT),
    // Nothing was put off with proxy_on_done.
    proxy_done: () => Result.NOT_FOUND,
    proxy_get_buffer_bytes(type: number, start: number, length: number, pointerAt: number, sizeAt: number) {
      if (type >>> 0 > LAST_BUFFER) return Result.BAD_ARGUMENT
      const buffer = vm.calling().buffer(type, vmConfiguration)
      if (buffer === undefined) return Result.NOT_FOUND
      const [from, size] = [start >>> 0, length >>> 0]
      if (from > (from + size) >>> 0) return Result.BAD_ARGUMENT
      if (from > buffer.length) throw new HostViolation('a buffer is read from behind its end')
      const bytes = buffer.subarray(from, from + size)
      // Where there is nothing, nothing is written either.
      return bytes.length === 0 ? Result.OK : given(vm.memory.give(bytes, pointerAt, sizeAt))
    },
    proxy_get_buffer_status(type: number, lengthAt: number, flagsAt: number) {
      if (type >>> 0 > LAST_BUFFER) return Result.BAD_ARGUMENT
      const buffer = vm.calling().buffer(type, vmConfiguration)
      if (buffer === undefined) return Result.NOT_FOUND
      return given(vm.memory.word(lengthAt, buffer.length) && vm.memory.word(flagsAt, 0))
    },
    proxy_set_tick_period_milliseconds(periodMs: number) {
      environment.tickEvery(vm.calling().root, periodMs >>> 0)
      return Result.OK
    },
    proxy_get_current_time_nanoseconds: (at: number) => given(vm.memory.long(at, nanoseconds(clock.now()))),
    proxy_define_metric(type: number, pointer: number, size: number, idAt: number) {
      const name = vm.memory.read(pointer, size)?.toString('utf8')
      if (name === undefined) return Result.INVALID_MEMORY_ACCESS
      const defined = vm.metrics.define(type >>> 0, name)
      return typeof defined === 'number' ? defined : given(vm.memory.word(idAt, defined.id))
    },
    proxy_increment_metric: (id: number, offset: bigint) => vm.metrics.increment(id, offset),
    proxy_record_metric: (id: number, value: bigint) => vm.metrics.record(id, value),
    proxy_get_metric(id: number, at: number) {
      const value = vm.metrics.get(id)
      return typeof value === 'bigint' ? given(vm.memory.long(at, value)) : value
    },
  }
}

function wasiFunctions(vm: ProxyWasmVm, { clock, random }: HostEnvironment) {
  return {
    clock_time_get(id: number, _precision: bigint, at: number) {
      if (id !== 0 && id !== 1) return WASI_UNSUPPORTED
      const ms = id === 0 ? clock.now() : clock.monotonic() + MONOTONIC_START_MS
      return vm.memory.long(at, nanoseconds(ms)) ? WASI_OK : WASI_FAULT
    },
    random_get(pointer: number, size: number) {
      if (size >>> 0 > MAX_RANDOM_BYTES) return WASI_INVALID
      const bytes = Buffer.from(Array.from({ length: size }, () => Math.floor(random() * 256)))
      return vm.memory.write(pointer, bytes) ? WASI_OK : WASI_FAULT
    },
  }
}

function nanoseconds(ms: number): bigint {
  return BigInt(Math.round(ms * 1_000)) * 1_000n
}
