// The gRPC calls and streams of one root context, as Envoy's async client has them.

import type { Clusters, StreamEvents, UpstreamStream } from './cluster.ts'
import { HostViolation, Result } from './abi.ts'
import { clusterOf } from './grpc-service-target.ts'

const UNAVAILABLE = 14

export interface GrpcCallbacks {
  initialMetadata(token: number): void
  receive(token: number, message: Uint8Array): void
  trailingMetadata(token: number): void
  close(token: number, status: number, message: string): void
}

interface Call {
  cancel(): void
}

interface Stream {
  upstream: UpstreamStream | undefined
  hasHeaders: boolean
  isClosedHere: boolean
  /** Envoy has freed what its token still leads to. */
  isClosedThere: boolean
}

export class GrpcClient {
  readonly #clusters: Clusters
  readonly #callbacks: GrpcCallbacks
  /** Later in the thread, whoever calls now. */
  readonly #post: (work: () => void) => void
  readonly #calls = new Map<number, Call>()
  readonly #streams = new Map<number, Stream>()
  #lastToken = 0

  constructor(clusters: Clusters, callbacks: GrpcCallbacks, post: (work: () => void) => void) {
    this.#clusters = clusters
    this.#callbacks = callbacks
    this.#post = post
  }

  /** Streams that are open here, and calls that wait. */
  get open(): number {
    return this.#calls.size + [...this.#streams.values()].filter(({ isClosedThere }) => !isClosedThere).length
  }

  /** @param deferred does something once the module has returned */
  call(
    service: Uint8Array,
    path: string,
    { request, timeoutMs }: { readonly request: Uint8Array; readonly timeoutMs: number },
    deferred: (action: () => void) => void,
  ): { readonly token: number } | Result {
    const target = clusterOf(service, this.#clusters)
    if (typeof target === 'number') return target
    const token = this.#nextToken(1)
    const fail = (status: number, message: string) => {
      this.#calls.delete(token)
      this.#callbacks.close(token, status, message)
    }
    const isWaiting = () => this.#calls.has(token)
    const cancel = target.cluster?.call(path, request, timeoutMs, {
      later: this.#post,
      answered: (message) => {
        if (!isWaiting()) return
        this.#callbacks.receive(token, message)
        this.#calls.delete(token)
      },
      failed: (status, message) => isWaiting() && fail(status, message),
    })
    if (cancel === undefined) {
      deferred(() => fail(UNAVAILABLE, target.cluster === undefined ? 'Cluster not available' : ''))
      return Result.INTERNAL_FAILURE
    }
    this.#calls.set(token, { cancel })
    return { token }
  }

  /** @param deferred does something once the module has returned */
  stream(
    service: Uint8Array,
    path: string,
    deferred: (action: () => void) => void,
  ): { readonly token: number } | Result {
    const target = clusterOf(service, this.#clusters)
    if (typeof target === 'number') return target
    const token = this.#nextToken(2)
    const stream: Stream = { upstream: undefined, hasHeaders: false, isClosedHere: false, isClosedThere: false }
    stream.upstream = target.cluster?.open(path, this.#events(token, stream))
    if (stream.upstream === undefined) {
      // The module hears of the end of a stream whose token it never got.
      deferred(() =>
        this.#callbacks.close(token, UNAVAILABLE, target.cluster === undefined ? 'Cluster not available' : ''),
      )
      return Result.INTERNAL_FAILURE
    }
    this.#streams.set(token, stream)
    return { token }
  }

  send(token: number, message: Uint8Array, isLast: boolean): Result {
    if (token % 2 !== 0) return Result.BAD_ARGUMENT
    const stream = this.#streams.get(token)
    if (stream === undefined) return Result.NOT_FOUND
    this.#expectAlive(token, stream)
    if (stream.isClosedHere) throw new HostViolation(`a message over the stream ${token}, which was closed here`)
    stream.isClosedHere = isLast
    stream.upstream?.send(message, isLast)
    return Result.OK
  }

  close(token: number): Result {
    if (token % 2 !== 0) return this.#cancelCall(token)
    const stream = this.#streams.get(token)
    if (stream === undefined) return Result.NOT_FOUND
    this.#expectAlive(token, stream)
    stream.isClosedHere = true
    stream.upstream?.send(new Uint8Array(), true)
    return Result.OK
  }

  cancel(token: number): Result {
    if (token % 2 !== 0) return this.#cancelCall(token)
    const stream = this.#streams.get(token)
    if (stream === undefined) return Result.NOT_FOUND
    this.#expectAlive(token, stream)
    this.#streams.delete(token)
    stream.upstream?.reset()
    return Result.OK
  }

  /** The context is gone, and with it all that it had open. */
  destroy(): void {
    for (const { upstream, isClosedThere } of this.#streams.values()) if (!isClosedThere) upstream?.reset()
    for (const call of this.#calls.values()) call.cancel()
    this.#streams.clear()
    this.#calls.clear()
  }

  #events(token: number, stream: Stream): StreamEvents {
    const isOpen = () => this.#streams.get(token) === stream && !stream.isClosedThere
    const headers = () => {
      if (stream.hasHeaders) return
      stream.hasHeaders = true
      this.#callbacks.initialMetadata(token)
    }
    return {
      later: this.#post,
      headers: () => isOpen() && headers(),
      message: (bytes) => {
        if (isOpen()) headers()
        if (isOpen()) this.#callbacks.receive(token, bytes)
      },
      closed: (status, message) => {
        if (isOpen()) headers()
        if (isOpen()) this.#callbacks.trailingMetadata(token)
        if (!isOpen()) return
        stream.isClosedThere = true
        this.#callbacks.close(token, status, message)
        if (stream.isClosedHere) this.#streams.delete(token)
      },
    }
  }

  #cancelCall(token: number): Result {
    const call = this.#calls.get(token)
    if (call === undefined) return Result.NOT_FOUND
    this.#calls.delete(token)
    call.cancel()
    return Result.OK
  }

  #expectAlive(token: number, { isClosedThere }: Stream): void {
    if (isClosedThere) throw new HostViolation(`the stream ${token} is used after its end, when Envoy has freed it`)
  }

  /** Calls are odd, streams even. */
  #nextToken(kind: 1 | 2): number {
    this.#lastToken += 2
    return this.#lastToken + kind
  }
}
