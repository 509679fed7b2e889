// gRPC's health protocol: load balancers and proxies learn from it that a node drains before it is gone.

import { create, toBinary } from '@bufbuild/protobuf'
import { Code } from '../kernel/status.ts'
import {
  HealthCheckRequestSchema,
  HealthCheckResponse_ServingStatus as ServingStatus,
  HealthCheckResponseSchema,
} from '../wire/generated/grpc/health/v1/health_pb.ts'
import { afterOneRequest, GrpcFailure, type GrpcService, type GrpcStream, readMessage } from './grpc-service.ts'

const NAME = 'grpc.health.v1.Health'

/**
 * Answers for the server as a whole (the empty name) and for each of `services` by full name: SERVING until `retire`,
 * then NOT_SERVING, which watchers are told; their streams end with `drain`.
 */
export function healthService(services: readonly string[]): GrpcService {
  const known = new Set(['', NAME, ...services])
  /** Each watching stream and whether the service it watches is one of ours. */
  const watchers = new Map<GrpcStream, boolean>()
  let status: ServingStatus = ServingStatus.SERVING
  const response = (of: ServingStatus) =>
    toBinary(HealthCheckResponseSchema, create(HealthCheckResponseSchema, { status: of }))

  return {
    name: NAME,
    methods: [
      {
        kind: 'unary',
        path: `/${NAME}/Check`,
        answer(request) {
          const service = serviceOf(request)
          if (service instanceof GrpcFailure) return service
          if (known.has(service)) return response(status)
          return new GrpcFailure(Code.NOT_FOUND, `no service ${JSON.stringify(service)} here`)
        },
      },
      {
        kind: 'stream',
        path: `/${NAME}/Watch`,
        open(stream) {
          const watch = (request: Uint8Array) => {
            const service = serviceOf(request)
            if (service instanceof GrpcFailure) return stream.end(service)
            const served = known.has(service)
            stream.write(response(served ? status : ServingStatus.SERVICE_UNKNOWN))
            watchers.set(stream, served)
          }
          return afterOneRequest(stream, watch, () => watchers.delete(stream))
        },
      },
    ],
    retire() {
      if (status === ServingStatus.NOT_SERVING) return
      status = ServingStatus.NOT_SERVING
      for (const [watcher, served] of watchers) if (served) watcher.write(response(status))
    },
    drain() {
      for (const watcher of watchers.keys()) watcher.end()
      watchers.clear()
    },
  }
}

function serviceOf(request: Uint8Array): string | GrpcFailure {
  try {
    return readMessage(HealthCheckRequestSchema, request).service
  } catch (caught) {
    const reason = caught instanceof Error ? caught.message : String(caught)
    return new GrpcFailure(Code.INTERNAL, `not a HealthCheckRequest: ${reason}`)
  }
}
