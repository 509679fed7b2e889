// What a gRPC server is to the rest of the program, whatever transport carries it.

import type { Clock, Logger, Meter, Random } from '../kernel/ports.ts'
import type { TlsFiles } from '../tls/tls-files.ts'
import type { Admission } from './admission.ts'
import type { GrpcService } from './grpc-service.ts'

/** Where to listen; port 0 takes a free one. With a `path`, at a Unix socket, whatever host and port say. */
export interface ListenAddress {
  readonly host: string
  readonly port: number
  readonly path?: string
  /** Who may connect to the socket, as the mode of its file. Default: by the umask of the process. */
  readonly mode?: number | undefined
}

export interface GrpcServerOptions {
  /** All that is served, health included (`grpcServices`). */
  readonly services: readonly GrpcService[]
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  readonly meter: Meter
  /** Decides who is let in. */
  readonly admission: Admission
  /** How long a check may take whose caller sets no deadline, in ms. */
  readonly defaultTimeoutMs: number
  /** Largest message taken; access logs with whole bodies of metadata can be large. Default 4 MiB. */
  readonly maxMessageBytes?: number
  /** Calls at once on one connection. Default 256: what a connection can have waiting must not take longer than callers. */
  readonly maxConcurrentStreams?: number
  /** Connections at once; more are closed as they come. Default 20,000. Native only. */
  readonly maxConnections?: number
  /** Age at which peers are asked to connect anew, so that new nodes get their share. Default: none. Native only. */
  readonly maxConnectionAgeMs?: number
  /** Default: plain TCP. Native only. */
  readonly tls?: TlsFiles | undefined
}

export const MAX_MESSAGE_BYTES = 4 * 1024 * 1024
export const MAX_CONCURRENT_STREAMS = 256

export interface GrpcServer {
  /** Listens. @returns the port. Rejects where the address is taken. */
  listen(address: ListenAddress): Promise<number>
  /** Says NOT_SERVING from now on, and serves on until `drain`. */
  retire(): void
  /**
   * Says NOT_SERVING, takes no more calls, ends streams once peers had a moment to learn of it, and waits for calls under
   * way; what is left after `deadlineMs` is cut off. Connections without a whole call are closed after that moment.
   * Safe without `listen` and safe twice.
   */
  drain(deadlineMs: number): Promise<void>
}

export type CreateGrpcServer = (options: GrpcServerOptions) => GrpcServer

/** How long peers may take to send what they had begun with when they learn that the server goes. */
export const LINGER_MS = 100
