// The gRPC server: the services of the front doors, health, and an orderly end.

import { Server, ServerCredentials } from '@grpc/grpc-js'
import type { Clock, Logger, Meter, Random } from '../kernel/ports.ts'
import type { RequestLimits } from '../kernel/request-limits.ts'
import type { CheckService, ReportService } from '../kernel/services.ts'
import { accessLogService } from './access-log.ts'
import { extAuthzService } from './ext-authz.ts'
import { healthService } from './grpc-health.ts'
import type { GrpcService } from './grpc-service.ts'

/** Where to listen; port 0 takes a free one. */
export interface ListenAddress {
  readonly host: string
  readonly port: number
}

export interface GrpcServerOptions {
  readonly check: CheckService
  readonly report: ReportService
  /** Further services, such as Mixer's. */
  readonly services?: readonly GrpcService[]
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  readonly meter: Meter
  /** Name of this node, the first part of report batches' ids. */
  readonly nodeId: string
  readonly credentials?: ServerCredentials
  /** How long a check may take whose caller sets no deadline, in ms. */
  readonly defaultTimeoutMs: number
  /** Bounds of one request's attributes. */
  readonly limits?: RequestLimits
  /** Largest message taken; access logs with whole bodies of metadata can be large. Default 4 MiB. */
  readonly maxMessageBytes?: number
  /** Calls at once on one connection. Default 1024, as Mixer's. */
  readonly maxConcurrentStreams?: number
}

export interface GrpcServer {
  /** Listens. @returns the port. Rejects where the address is taken. */
  listen(address: ListenAddress): Promise<number>
  /**
   * Says NOT_SERVING, ends streams, takes no more calls and waits for those under way; what is left after `deadlineMs`
   * is cut off. Safe without `listen` and safe twice.
   */
  drain(deadlineMs: number): Promise<void>
}

const MIB = 1024 * 1024

/** External authorization, access logs, health and the further services on one port. */
export function createGrpcServer(options: GrpcServerOptions): GrpcServer {
  const { clock, services = [], credentials = ServerCredentials.createInsecure() } = options
  const doors = [extAuthzService(options), accessLogService(options), ...services]
  const all = [healthService(doors.map(({ name }) => name)), ...doors]
  const server = new Server({
    'grpc.max_receive_message_length': options.maxMessageBytes ?? 4 * MIB,
    'grpc.max_concurrent_streams': options.maxConcurrentStreams ?? 1024,
    // Finds dead peers, whose streams would otherwise stay for ever.
    'grpc.keepalive_time_ms': 60_000,
    'grpc.keepalive_timeout_ms': 20_000,
  })
  for (const { definition, implementation } of all) server.addService(definition, implementation)
  let drained: Promise<void> | undefined

  const shutDown = async (deadlineMs: number): Promise<void> => {
    for (const service of all) service.drain?.()
    await new Promise<void>((resolve) => {
      const cancel = clock.after(deadlineMs, () => {
        server.forceShutdown()
        resolve()
      })
      server.tryShutdown(() => {
        cancel()
        resolve()
      })
    })
  }
  return {
    listen: ({ host, port }) =>
      new Promise((resolve, reject) => {
        const target = host.includes(':') && !host.startsWith('[') ? `[${host}]:${port}` : `${host}:${port}`
        server.bindAsync(target, credentials, (error, bound) => (error === null ? resolve(bound) : reject(error)))
      }),
    drain(deadlineMs) {
      drained ??= shutDown(deadlineMs)
      return drained
    },
  }
}
