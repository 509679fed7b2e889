// How large one described request may be: what a caller sends costs time before any rule looks at it.

/** Bounds of one request's attributes, at every door; beyond, it is refused. */
export interface RequestLimits {
  /** Entries of all its maps together, headers among them. */
  readonly maxMapEntries: number
  /** Bytes of the attributes as they come, encoded; the body of a request, which some proxies send along, not counted. */
  readonly maxAttributeBytes: number
}

/** More than the headers that proxies pass by default: Envoy 100 of 60 KiB, nginx 32 KiB. */
export const DEFAULT_LIMITS: RequestLimits = { maxMapEntries: 1_000, maxAttributeBytes: 256 * 1024 }
