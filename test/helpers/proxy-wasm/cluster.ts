// What a host double asks by gRPC: a cluster of Envoy's config, as the async client sees it.

interface Events {
  /** Does something in the caller's thread, once that does nothing else: all that follows is called there. */
  later(work: () => void): void
}

/** What a stream tells its caller, in the order in which it happens; nothing follows `closed`. */
export interface StreamEvents extends Events {
  /** Response headers have come. */
  headers(): void
  message(bytes: Uint8Array): void
  closed(status: number, message: string): void
}

/** The caller's side of a stream. */
export interface UpstreamStream {
  send(message: Uint8Array, isLast: boolean): void
  /** The caller wants no more of it, and is told nothing further. */
  reset(): void
}

export interface CallEvents extends Events {
  answered(message: Uint8Array): void
  failed(status: number, message: string): void
}

export interface Cluster {
  /** `undefined` where no host is healthy. */
  open(path: string, events: StreamEvents): UpstreamStream | undefined
  /** @param timeoutMs 0 for none */
  call(path: string, request: Uint8Array, timeoutMs: number, events: CallEvents): (() => void) | undefined
}

/** The clusters of a host, by name. */
export type Clusters = ReadonlyMap<string, Cluster>
