// How a client of these tests calls a method: codecs made from its schemas.
import { type DescMessage, fromBinary, type MessageShape, toBinary } from '@bufbuild/protobuf'
import {
  HealthCheckRequestSchema,
  HealthCheckResponseSchema,
} from '../../src/wire/generated/grpc/health/v1/health_pb.ts'

/** The arguments of `Client.make…Request` before the message. */
export function clientMethod<I extends DescMessage, O extends DescMessage>(path: string, input: I, output: O) {
  return {
    path,
    requestSerialize: (message: MessageShape<I>) => Buffer.from(toBinary(input, message)),
    responseDeserialize: (bytes: Buffer) => fromBinary(output, bytes),
  }
}

export const healthCheck = clientMethod(
  '/grpc.health.v1.Health/Check',
  HealthCheckRequestSchema,
  HealthCheckResponseSchema,
)

export const healthWatch = clientMethod(
  '/grpc.health.v1.Health/Watch',
  HealthCheckRequestSchema,
  HealthCheckResponseSchema,
)
