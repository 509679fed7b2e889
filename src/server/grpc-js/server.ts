// The gRPC server by grpc-js, the reference beside the native one: serves the services of the front doors, and ends in good order.

import { Server, ServerCredentials } from '@grpc/grpc-js'
import { createFailureLog } from '../failure-log.ts'
import {
  type GrpcServer,
  type GrpcServerOptions,
  LINGER_MS,
  MAX_CONCURRENT_STREAMS,
  MAX_MESSAGE_BYTES,
} from '../grpc-server.ts'
import { streamGate } from './admission.ts'
import { hookGrpcServer } from './host.ts'
import { jsService } from './service.ts'

/** How often it is looked who could be closed after that. */
const SWEEP_MS = 25

/** All services on one port. */
export function createJsServer(options: GrpcServerOptions): GrpcServer {
  const { clock, admission, services } = options
  const server = new Server({
    'grpc.max_receive_message_length': options.maxMessageBytes ?? MAX_MESSAGE_BYTES,
    'grpc.max_concurrent_streams': options.maxConcurrentStreams ?? MAX_CONCURRENT_STREAMS,
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
        server.bindAsync(target, ServerCredentials.createInsecure(), (error, bound) =>
          error === null ? resolve(bound) : reject(error),
        )
      }),
    retire,
    drain(deadlineMs) {
      drained ??= shutDown(deadlineMs)
      return drained
    },
  }
}
