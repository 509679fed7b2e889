// What the settings say about the gRPC listener, in the words of its server.

import type { GrpcServerOptions } from '../server/grpc-server.ts'
import type { Settings } from '../settings/settings.ts'

type Choices = Pick<GrpcServerOptions, 'tls' | 'maxConnections' | 'maxConnectionAgeMs'>

export function grpcChoices(settings: Settings): Choices {
  const { grpcTlsCert: cert, grpcTlsKey: key, grpcTlsClientCa: clientCa, grpcMaxConnectionAgeMs: ageMs } = settings
  return {
    tls: cert === undefined || key === undefined ? undefined : { cert, key, clientCa },
    maxConnections: settings.grpcMaxConnections,
    maxConnectionAgeMs: ageMs === 0 ? Number.POSITIVE_INFINITY : ageMs,
  }
}
