// The gRPC server by grpc-js: serves the services of the front doors, and ends in good order.

import { Server, ServerCredentials } from '@grpc/grpc-js'
import type { Clock, Logger } from '../kernel/ports.ts'
import type { Admission } from './admission.ts'
import { createFailureLog } from './failure-log.ts'
import { streamGate } from './grpc-admission.ts'
import { hookGrpcServer } from './grpc-host.ts'
import { jsService } from './grpc-js-service.ts'
import type { GrpcService } from './grpc-service.ts'

/** Where to listen; port 0 takes a free one. */
export interface ListenAddress {
  readonly host: string
  readonly port: number
}

export interface GrpcServerOptions {
  /** All that is served, health included (`grpcServices`). */
  readonly services: readonly GrpcService[]
  readonly clock: Clock
  readonly log: Logger
  /** Decides who is let in. */
  readonly admission: Admission
  readonly credentials?: ServerCredentials
  /** How long a check may take whose caller sets no deadline, in ms. */
  readonly defaultTimeoutMs: number
  /** Largest message taken; access logs with whole bodies of metadata can be large. Default 4 MiB. */
  readonly maxMessageBytes?: number
  /** Calls at once on one connection. Default 256: what a connection can have waiting must not take longer than callers. */
  readonly maxConcurrentStreams?: number
}

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

const MIB = 1024 * 1024
/** How long peers may take to send what they had begun with when they learn that the server goes. */
const LINGER_MS = 100
/** How often it is looked who could be closed after that. */
const SWEEP_MS = 25

/** All services on one port. */
export function createGrpcServer(options: GrpcServerOptions): GrpcServer {
  const { clock, admission, services, credentials = ServerCredentials.createInsecure() } = options
  const server = new Server({
    'grpc.max_receive_message_length': options.maxMessageBytes ?? 4 * MIB,
    'grpc.max_concurrent_streams': options.maxConcurrentStreams ?? 256,
    // Finds dead peers, whose streams would otherwise stay for ever.
    'grpc.keepalive_time_ms': 60_000,
    'grpc.keepalive_timeout_ms': 20_000,
    // Statistics that nobody reads, at a quarter of the cost of a call.
    'grpc.enable_channelz': 0,
  })
  const host = hookGrpcServer(server, streamGate(admission, services, options.defaultTimeoutMs))
  const onFault = createFailureLog(options)
  for (const service of services) {
    const { definition, implementation } = jsService(service, onFault)
    server.addService(definition, implementation)
  }
  let drained: Promise<void> | undefined

  const retire = () => {
    for (const service of services) service.retire?.()
  }
  const shutDown = async (deadlineMs: number): Promise<void> => {
    retire()
    await new Promise<void>((resolve) => {
      const end = () => {
        cancelDeadline()
        cancelSweep()
        resolve()
      }
      const sweep = () => {
        host.closeIdle()
        cancelSweep = clock.after(SWEEP_MS, sweep)
      }
      let cancelSweep = clock.after(Math.min(LINGER_MS, deadlineMs / 2), () => {
        for (const service of services) service.drain?.()
        sweep()
      })
      const cancelDeadline = clock.after(deadlineMs, () => {
        server.forceShutdown()
        host.closeAll()
        end()
      })
      server.tryShutdown(end)
    })
  }
  return {
    listen: ({ host, port }) =>
      new Promise((resolve, reject) => {
        const target = host.includes(':') && !host.startsWith('[') ? `[${host}]:${port}` : `${host}:${port}`
        server.bindAsync(target, credentials, (error, bound) => (error === null ? resolve(bound) : reject(error)))
      }),
    retire,
    drain(deadlineMs) {
      drained ??= shutDown(deadlineMs)
      return drained
    },
  }
}
