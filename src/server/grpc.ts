// The gRPC server: the services of the front doors, health, and an orderly end.

import { Server, ServerCredentials } from '@grpc/grpc-js'
import type { Clock, Logger, Meter, Random } from '../kernel/ports.ts'
import type { RequestLimits } from '../kernel/request-limits.ts'
import type { CheckService, ReportService } from '../kernel/services.ts'
import { accessLogService } from './access-log.ts'
import type { Admission } from './admission.ts'
import { extAuthzService } from './ext-authz.ts'
import { streamGate } from './grpc-admission.ts'
import { healthService } from './grpc-health.ts'
import { hookGrpcServer } from './grpc-host.ts'
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
  /** Decides who is let in. */
  readonly admission: Admission
  /** Name of this node, the first part of report batches' ids. */
  readonly nodeId: string
  readonly credentials?: ServerCredentials
  /** How long a check may take whose caller sets no deadline, in ms. */
  readonly defaultTimeoutMs: number
  /** Bounds of one request's attributes. */
  readonly limits?: RequestLimits
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

/** External authorization, access logs, health and the further services on one port. */
export function createGrpcServer(options: GrpcServerOptions): GrpcServer {
  const { clock, admission, services = [], credentials = ServerCredentials.createInsecure() } = options
  const doors = [extAuthzService(options), accessLogService(options), ...services]
  const all = [healthService(doors.map(({ name }) => name)), ...doors]
  const server = new Server({
    'grpc.max_receive_message_length': options.maxMessageBytes ?? 4 * MIB,
    'grpc.max_concurrent_streams': options.maxConcurrentStreams ?? 256,
    // Finds dead peers, whose streams would otherwise stay for ever.
    'grpc.keepalive_time_ms': 60_000,
    'grpc.keepalive_timeout_ms': 20_000,
    // Statistics that nobody reads, at a quarter of the cost of a call.
    'grpc.enable_channelz': 0,
  })
  const host = hookGrpcServer(server, streamGate(admission, all, options.defaultTimeoutMs))
  for (const { definition, implementation } of all) server.addService(definition, implementation)
  let drained: Promise<void> | undefined

  const retire = () => {
    for (const service of all) service.retire?.()
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
        for (const service of all) service.drain?.()
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
