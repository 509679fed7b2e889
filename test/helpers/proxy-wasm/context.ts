// What Envoy knows of one context: a plugin in a VM (its root), or one request of it.

import type { GrpcClient } from './grpc-client.ts'
import type { HeaderLine, HeaderLines } from './header-lines.ts'
import { BufferType, MapType } from './abi.ts'
import type { PropertyValue } from './property-value.ts'

/** A reply that the proxy makes itself. */
export interface LocalReply {
  readonly status: number
  readonly details: string
  readonly body: Buffer
  readonly headers: readonly HeaderLine[]
  /** Below 0 where there is none. */
  readonly grpcStatus: number
}

/** The request of a context, as a filter may act on it. What is done is done once the module has returned. */
export interface FilteredStream {
  continueRequest(): void
  continueResponse(): void
  reply(reply: LocalReply): void
  reset(): void
  property(name: string): PropertyValue | undefined
  /** By name, without the prefix `wasm.`. */
  readonly filterState: Map<string, Buffer>
}

export class Context {
  readonly id: number
  readonly root: Context
  readonly stream: FilteredStream | undefined
  /** Of a root: the calls of all its contexts are its own. */
  grpc: GrpcClient | undefined
  /** Whether the module knows of it. */
  isCreated = false
  requestHeaders: HeaderLines | undefined
  responseHeaders: HeaderLines | undefined
  /** While the module is told that the request is over. */
  isLogging = false
  loggedRequest: HeaderLines | undefined
  loggedResponse: HeaderLines | undefined
  /** While the module is configured. */
  pluginConfiguration: Buffer | undefined
  grpcReceived: Buffer | undefined
  grpcInitialMetadata: HeaderLines | undefined
  grpcTrailingMetadata: HeaderLines | undefined
  status = { code: 0, message: '' }

  constructor(id: number, root?: Context, stream?: FilteredStream) {
    this.id = id
    this.root = root ?? this
    this.stream = stream
  }

  /** The headers that may be changed. */
  mutableMap(type: number): HeaderLines | undefined {
    if (type === MapType.REQUEST_HEADERS) return this.requestHeaders
    return type === MapType.RESPONSE_HEADERS ? this.responseHeaders : undefined
  }

  /** The headers that may be read. */
  map(type: number): HeaderLines | undefined {
    if (type === MapType.GRPC_INITIAL_METADATA) return this.root.grpcInitialMetadata
    if (type === MapType.GRPC_TRAILING_METADATA) return this.root.grpcTrailingMetadata
    if (!this.isLogging) return this.mutableMap(type)
    if (type === MapType.REQUEST_HEADERS) return this.loggedRequest
    return type === MapType.RESPONSE_HEADERS ? this.loggedResponse : undefined
  }

  buffer(type: number, vmConfiguration: Buffer): Buffer | undefined {
    if (type === BufferType.CALL_DATA) return Buffer.alloc(0)
    if (type === BufferType.VM_CONFIGURATION) return vmConfiguration
    if (type === BufferType.PLUGIN_CONFIGURATION) return this.pluginConfiguration
    if (type === BufferType.GRPC_RECEIVED) return this.root.grpcReceived ?? Buffer.alloc(0)
    return undefined
  }
}
