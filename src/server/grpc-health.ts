// gRPC's health protocol: load balancers and proxies learn from it that a node drains before it is gone.

import { messageOf } from '../kernel/errors.ts'
import { Code } from '../kernel/status.ts'
import { ServingStatus } from '../wire/protocol-enums.ts'
import { WireReader } from '../wire/wire-reader.ts'
import { WireWriter } from '../wire/wire-writer.ts'
import { afterOneRequest, GrpcFailure, type GrpcService, type GrpcStream } from './grpc-service.ts'

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

const writer = new WireWriter()

function response(status: ServingStatus): Uint8Array {
  writer.uint(1, status)
  return writer.take()
}

function serviceOf(request: Uint8Array): string | GrpcFailure {
  try {
    const reader = new WireReader(request)
    let service = 0
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
      if (tag >>> 3 === 1) service = reader.text(tag)
      else reader.skip(tag)
    }
    return reader.textAt(service)
  } catch (caught) {
    const reason = messageOf(caught)
    return new GrpcFailure(Code.INTERNAL, `not a HealthCheckRequest: ${reason}`)
  }
}
