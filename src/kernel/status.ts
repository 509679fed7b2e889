// RPC status codes (google.rpc.Code) and what they become over HTTP.

/** google.rpc.Code by name. */
export const Code = {
  OK: 0,
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
  UNAUTHENTICATED: 16,
} as const

export type CodeName = keyof typeof Code

const HTTP: readonly number[] = [200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401]
const NAMES = Object.keys(Code) as readonly CodeName[]

/** A status as in google.rpc.Status, without details. */
export interface Status {
  readonly code: number
  readonly message: string
}

export const OK_STATUS: Status = Object.freeze({ code: Code.OK, message: '' })

/** The HTTP status for a code by the canonical mapping; unknown codes are 500. */
export function httpStatusOf(code: number): number {
  return HTTP[code] ?? 500
}

/** The name of a code, such as `PERMISSION_DENIED`; unknown codes are `UNKNOWN`. */
export function codeName(code: number): CodeName {
  return NAMES[code] ?? 'UNKNOWN'
}
