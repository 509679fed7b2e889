// Which transport carries gRPC. Only the one that is chosen is loaded: grpc-js alone takes some 20 MB.

import type { CreateGrpcServer } from './grpc-server.ts'

export type Transport = 'grpc-js'

export async function loadTransport(_transport: Transport): Promise<CreateGrpcServer> {
  return (await import('./grpc-js/server.ts')).createJsServer
}
