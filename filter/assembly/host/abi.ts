// What the host lets a module do: Proxy-Wasm ABI 0.2.1, as far as the filter needs it.

export const enum Status {
  OK = 0,
  NOT_FOUND = 1,
  BAD_ARGUMENT = 2,
}

export const enum LogLevel {
  DEBUG = 1,
  INFO = 2,
  WARN = 3,
  ERROR = 4,
}

export const enum Stream {
  REQUEST = 0,
  RESPONSE = 1,
}

export const enum HeaderMap {
  REQUEST = 0,
  RESPONSE = 2,
  RESPONSE_TRAILERS = 3,
}

export const enum Buffer {
  GRPC_RECEIVE = 5,
  PLUGIN_CONFIGURATION = 7,
}

/** What becomes of a stream after its headers. */
export const enum Action {
  CONTINUE = 0,
  /** Nothing of it goes on, its body neither (StopAllIterationAndWatermark), however the host reads "stop" alone. */
  PAUSE = 4,
}

export const enum MetricType {
  COUNTER = 0,
  GAUGE = 1,
}

@external('env', 'proxy_log')
export declare function log(level: i32, text: usize, size: usize): i32

@external('env', 'proxy_get_property')
export declare function getProperty(path: usize, pathSize: usize, value: usize, valueSize: usize): i32

@external('env', 'proxy_set_property')
export declare function setProperty(path: usize, pathSize: usize, value: usize, valueSize: usize): i32

@external('env', 'proxy_get_header_map_pairs')
export declare function getHeaderMapPairs(map: i32, pairs: usize, pairsSize: usize): i32

@external('env', 'proxy_add_header_map_value')
export declare function addHeader(map: i32, name: usize, nameSize: usize, value: usize, valueSize: usize): i32

@external('env', 'proxy_replace_header_map_value')
export declare function replaceHeader(map: i32, name: usize, nameSize: usize, value: usize, valueSize: usize): i32

@external('env', 'proxy_remove_header_map_value')
export declare function removeHeader(map: i32, name: usize, nameSize: usize): i32

@external('env', 'proxy_get_buffer_bytes')
export declare function getBuffer(buffer: i32, start: usize, length: usize, bytes: usize, size: usize): i32

@external('env', 'proxy_continue_stream')
export declare function continueStream(stream: i32): i32

@external('env', 'proxy_send_local_response')
export declare function sendLocalResponse(
  status: i32,
  details: usize,
  detailsSize: usize,
  body: usize,
  bodySize: usize,
  headers: usize,
  headersSize: usize,
  grpcStatus: i32,
): i32

@external('env', 'proxy_set_effective_context')
export declare function setEffectiveContext(context: u32): i32

@external('env', 'proxy_set_tick_period_milliseconds')
export declare function setTickPeriod(ms: u32): i32

@external('env', 'proxy_grpc_stream')
export declare function grpcStream(
  target: usize,
  targetSize: usize,
  service: usize,
  serviceSize: usize,
  method: usize,
  methodSize: usize,
  metadata: usize,
  metadataSize: usize,
  token: usize,
): i32

@external('env', 'proxy_grpc_call')
export declare function grpcCall(
  target: usize,
  targetSize: usize,
  service: usize,
  serviceSize: usize,
  method: usize,
  methodSize: usize,
  metadata: usize,
  metadataSize: usize,
  message: usize,
  messageSize: usize,
  timeoutMs: u32,
  token: usize,
): i32

@external('env', 'proxy_get_status')
export declare function getStatus(code: usize, message: usize, messageSize: usize): i32

@external('env', 'proxy_done')
export declare function done(): i32

@external('env', 'proxy_grpc_send')
export declare function grpcSend(token: u32, message: usize, messageSize: usize, isEnd: i32): i32

@external('env', 'proxy_grpc_cancel')
export declare function grpcCancel(token: u32): i32

@external('env', 'proxy_define_metric')
export declare function defineMetric(type: i32, name: usize, nameSize: usize, id: usize): i32

@external('env', 'proxy_increment_metric')
export declare function incrementMetric(id: u32, by: i64): i32

@external('env', 'proxy_record_metric')
export declare function recordMetric(id: u32, value: u64): i32

@external('wasi_snapshot_preview1', 'clock_time_get')
export declare function clockTime(clock: i32, precision: i64, time: usize): i32

@external('wasi_snapshot_preview1', 'random_get')
export declare function randomBytes(at: usize, size: usize): i32

@external('env', 'proxy_grpc_close')
export declare function grpcClose(token: u32): i32

@external('env', 'proxy_call_foreign_function')
export declare function callForeignFunction(
  name: usize,
  nameSize: usize,
  argument: usize,
  argumentSize: usize,
  result: usize,
  resultSize: usize,
): i32
