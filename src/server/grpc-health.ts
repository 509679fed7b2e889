// gRPC's health protocol: load balancers and proxies learn from it that a node drains before it is gone.

import { create } from '@bufbuild/protobuf'
import {
  type sendUnaryData,
  type ServerUnaryCall,
  type ServerWritableStream,
  status as grpcStatus,
} from '@grpc/grpc-js'
import {
  type HealthCheckRequest,
  HealthCheckRequestSchema,
  type HealthCheckResponse,
  HealthCheckResponse_ServingStatus as ServingStatus,
  HealthCheckResponseSchema,
} from '../wire/generated/grpc/health/v1/health_pb.ts'
import { type GrpcService, schemaMethod } from './grpc-service.ts'

const NAME = 'grpc.health.v1.Health'

type Watcher = ServerWritableStream<HealthCheckRequest, HealthCheckResponse>

/**
 * Answers for the server as a whole (the empty name) and for each of `services` by full name: SERVING until `retire`,
 * then NOT_SERVING, which watchers are told; their streams end with `drain`.
 */
export function healthService(services: readonly string[]): GrpcService {
  const known = new Set(['', NAME, ...services])
  const watchers = new Set<Watcher>()
  let status: ServingStatus = ServingStatus.SERVING
  const response = (of: ServingStatus) => create(HealthCheckResponseSchema, { status: of })

  const check = (
    call: ServerUnaryCall<HealthCheckRequest, HealthCheckResponse>,
    reply: sendUnaryData<HealthCheckResponse>,
  ): void => {
    if (known.has(call.request.service)) reply(null, response(status))
    else reply({ code: grpcStatus.NOT_FOUND, details: `no service ${JSON.stringify(call.request.service)} here` })
  }
  const watch = (call: Watcher): void => {
    const served = known.has(call.request.service)
    call.write(response(served ? status : ServingStatus.SERVICE_UNKNOWN))
    watchers.add(call)
    call.on('cancelled', () => watchers.delete(call))
    call.on('close', () => watchers.delete(call))
  }
  return {
    name: NAME,
    definition: {
      Check: schemaMethod(`/${NAME}/Check`, HealthCheckRequestSchema, HealthCheckResponseSchema),
      Watch: schemaMethod(`/${NAME}/Watch`, HealthCheckRequestSchema, HealthCheckResponseSchema, { response: true }),
    },
    implementation: { Check: check, Watch: watch },
    retire() {
      if (status === ServingStatus.NOT_SERVING) return
      status = ServingStatus.NOT_SERVING
      for (const watcher of watchers) if (known.has(watcher.request.service)) watcher.write(response(status))
    },
    drain() {
      for (const watcher of watchers) watcher.end()
      watchers.clear()
    },
  }
}
