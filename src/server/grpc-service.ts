// What a gRPC front door hands to the server, and how its methods get their codecs.

import type { MethodDefinition, ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js'
import { type DescMessage, fromBinary, type MessageShape, toBinary } from '@bufbuild/protobuf'
import type { Priority } from './admission.ts'

/** One gRPC service: its methods with codecs, and what they do. */
export interface GrpcService {
  /** Full name, such as `envoy.service.auth.v3.Authorization`; health checks may ask for it. */
  readonly name: string
  readonly definition: ServiceDefinition
  readonly implementation: UntypedServiceImplementation
  /** Methods that are shed in an overload, by path, with the name of their door. Others always come in. */
  readonly doors?: ReadonlyMap<string, { readonly name: string; readonly priority: Priority }>
  /** Tells callers that the server will end, while it serves on. */
  retire?(): void
  /** Ends what would otherwise go on for ever (streams), once peers know that the server takes no more calls. */
  drain?(): void
}

/** Unknown fields are neither needed nor sent on, so they are not kept. */
const READ_OPTIONS = { readUnknownFields: false } as const

/** Reads a message, leaving out the fields that the schema does not name. Throws where the bytes are not one. */
export function readMessage<S extends DescMessage>(schema: S, bytes: Uint8Array): MessageShape<S> {
  return fromBinary(schema, bytes, READ_OPTIONS)
}

/** A method of which both messages are encoded by their schemas. `path` is `/<service>/<method>`. */
export function schemaMethod<I extends DescMessage, O extends DescMessage>(
  path: string,
  input: I,
  output: O,
  streams: { readonly request?: boolean; readonly response?: boolean } = {},
): MethodDefinition<MessageShape<I>, MessageShape<O>> {
  const write = <S extends DescMessage>(schema: S) => {
    return (message: MessageShape<S>) => {
      const bytes = toBinary(schema, message)
      return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    }
  }
  return {
    path,
    requestStream: streams.request ?? false,
    responseStream: streams.response ?? false,
    requestSerialize: write(input),
    requestDeserialize: (bytes) => readMessage(input, bytes),
    responseSerialize: write(output),
    responseDeserialize: (bytes) => readMessage(output, bytes),
  }
}

/**
 * As `schemaMethod`, but the server's handler gets the request's bytes: it reads them itself, so that it can bound them
 * first and say in its own words what is wrong with them.
 */
export function undecodedMethod<I extends DescMessage, O extends DescMessage>(
  path: string,
  input: I,
  output: O,
): MethodDefinition<MessageShape<I>, MessageShape<O>> {
  // The type has one request for both ends of a call.
  const keep = (bytes: Buffer): unknown => bytes
  return { ...schemaMethod(path, input, output), requestDeserialize: keep as (bytes: Buffer) => MessageShape<I> }
}
