// What the settings say about the gRPC listener, in the words of its server.

import type { GrpcServerOptions } from '../server/grpc-server.ts'
import { tlsFilesOf } from '../settings/listener-tls-settings.ts'
import type { Settings } from '../settings/settings.ts'

type Choices = Pick<GrpcServerOptions, 'tls' | 'maxConnections' | 'maxConnectionAgeMs'>

export function grpcChoices(settings: Settings): Choices {
  const { grpcMaxConnectionAgeMs: ageMs } = settings
  return {
    tls: tlsFilesOf(settings, 'grpc'),
    maxConnections: settings.grpcMaxConnections,
    maxConnectionAgeMs: ageMs === 0 ? Number.POSITIVE_INFINITY : ageMs,
  }
}
