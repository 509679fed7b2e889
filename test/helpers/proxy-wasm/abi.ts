// Proxy-Wasm ABI 0.2.1 as Envoy has it: numbers, and the signatures that it demands of what a module imports and exports.

/** What host functions return. */
export const Result = {
  OK: 0,
  NOT_FOUND: 1,
  BAD_ARGUMENT: 2,
  SERIALIZATION_FAILURE: 3,
  PARSE_FAILURE: 4,
  INVALID_MEMORY_ACCESS: 6,
  INTERNAL_FAILURE: 10,
  UNIMPLEMENTED: 12,
} as const

export type Result = (typeof Result)[keyof typeof Result]

export const MapType = {
  REQUEST_HEADERS: 0,
  RESPONSE_HEADERS: 2,
  GRPC_INITIAL_METADATA: 4,
  GRPC_TRAILING_METADATA: 5,
  LAST: 7,
} as const

export const BufferType = {
  GRPC_RECEIVED: 5,
  VM_CONFIGURATION: 6,
  PLUGIN_CONFIGURATION: 7,
  CALL_DATA: 8,
} as const

export const StreamType = { REQUEST: 0, RESPONSE: 1, LAST: 3 } as const

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'critical'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

export const WASI_OK = 0
export const WASI_FAULT = 21
export const WASI_INVALID = 28
export const WASI_UNSUPPORTED = 58

/** Parameters and result: `i` for i32, `I` for i64. */
export type Signature = string

const words = (count: number): Signature => `${'i'.repeat(count)}:i`

/** What the double has of the host's functions, by module and name. */
export const HOST_FUNCTIONS: ReadonlyMap<string, Signature> = new Map([
  ['env.proxy_log', words(3)],
  ['env.proxy_get_log_level', words(1)],
  ['env.proxy_get_property', words(4)],
  ['env.proxy_call_foreign_function', words(6)],
  ['env.proxy_set_property', words(4)],
  ['env.proxy_get_status', words(3)],
  ['env.proxy_continue_stream', words(1)],
  ['env.proxy_close_stream', words(1)],
  ['env.proxy_send_local_response', words(8)],
  ['env.proxy_set_effective_context', words(1)],
  ['env.proxy_done', words(0)],
  ['env.proxy_add_header_map_value', words(5)],
  ['env.proxy_get_header_map_value', words(5)],
  ['env.proxy_replace_header_map_value', words(5)],
  ['env.proxy_remove_header_map_value', words(3)],
  ['env.proxy_get_header_map_pairs', words(3)],
  ['env.proxy_set_header_map_pairs', words(3)],
  ['env.proxy_get_header_map_size', words(2)],
  ['env.proxy_get_buffer_bytes', words(5)],
  ['env.proxy_get_buffer_status', words(3)],
  ['env.proxy_grpc_call', words(12)],
  ['env.proxy_grpc_stream', words(9)],
  ['env.proxy_grpc_send', words(4)],
  ['env.proxy_grpc_close', words(1)],
  ['env.proxy_grpc_cancel', words(1)],
  ['env.proxy_set_tick_period_milliseconds', words(1)],
  ['env.proxy_get_current_time_nanoseconds', words(1)],
  ['env.proxy_define_metric', words(4)],
  ['env.proxy_increment_metric', 'iI:i'],
  ['env.proxy_record_metric', 'iI:i'],
  ['env.proxy_get_metric', words(2)],
  ['wasi_snapshot_preview1.clock_time_get', 'iIi:i'],
  ['wasi_snapshot_preview1.random_get', words(2)],
])

/** The marker by which a module says which ABI it speaks. */
export const ABI_MARKER = 'proxy_abi_version_0_2_1'

/** What Envoy calls of a module, where it is there. */
export const MODULE_FUNCTIONS: ReadonlyMap<string, Signature> = new Map([
  ['_initialize', ':'],
  ['_start', ':'],
  ['malloc', 'i:i'],
  ['proxy_on_memory_allocate', 'i:i'],
  ['proxy_on_vm_start', 'ii:i'],
  ['proxy_on_configure', 'ii:i'],
  ['proxy_on_context_create', 'ii:'],
  ['proxy_on_tick', 'i:'],
  ['proxy_on_request_headers', 'iii:i'],
  ['proxy_on_response_headers', 'iii:i'],
  ['proxy_on_grpc_receive_initial_metadata', 'iii:'],
  ['proxy_on_grpc_receive', 'iii:'],
  ['proxy_on_grpc_receive_trailing_metadata', 'iii:'],
  ['proxy_on_grpc_close', 'iii:'],
  ['proxy_on_done', 'i:i'],
  ['proxy_on_log', 'i:'],
  ['proxy_on_delete', 'i:'],
])

/** Callbacks that Envoy knows and the double never makes. */
export const UNUSED_CALLBACKS: ReadonlySet<string> = new Set([
  'proxy_validate_configuration',
  'proxy_on_request_body',
  'proxy_on_request_trailers',
  'proxy_on_request_metadata',
  'proxy_on_response_body',
  'proxy_on_response_trailers',
  'proxy_on_response_metadata',
  'proxy_on_http_call_response',
  'proxy_on_queue_ready',
  'proxy_on_foreign_function',
])

/** What Envoy does not survive, or has no defined behaviour for: never to be done, whatever comes of it. */
export class HostViolation extends Error {}
