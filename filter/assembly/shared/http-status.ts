// RPC status codes (google.rpc.Code), and what they become over HTTP.

import { Bytes, bytesOf } from '../bytes/bytes'

export const enum Code {
  OK = 0,
  UNKNOWN = 2,
  INVALID_ARGUMENT = 3,
  DEADLINE_EXCEEDED = 4,
  RESOURCE_EXHAUSTED = 8,
  UNAVAILABLE = 14,
}

const HTTP: StaticArray<i32> = [200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401]

const NAMES: StaticArray<Bytes> = [
  bytesOf('OK'),
  bytesOf('CANCELLED'),
  bytesOf('UNKNOWN'),
  bytesOf('INVALID_ARGUMENT'),
  bytesOf('DEADLINE_EXCEEDED'),
  bytesOf('NOT_FOUND'),
  bytesOf('ALREADY_EXISTS'),
  bytesOf('PERMISSION_DENIED'),
  bytesOf('RESOURCE_EXHAUSTED'),
  bytesOf('FAILED_PRECONDITION'),
  bytesOf('ABORTED'),
  bytesOf('OUT_OF_RANGE'),
  bytesOf('UNIMPLEMENTED'),
  bytesOf('INTERNAL'),
  bytesOf('UNAVAILABLE'),
  bytesOf('DATA_LOSS'),
  bytesOf('UNAUTHENTICATED'),
]

/** The HTTP status of a denial; unknown codes are 500. */
export function httpStatusOf(code: i32): i32 {
  return code >= 0 && code < HTTP.length ? HTTP[code === Code.OK ? Code.UNKNOWN : code] : 500
}

export function codeName(code: i32): Bytes {
  return NAMES[code >= 0 && code < NAMES.length ? code : Code.UNKNOWN]
}
