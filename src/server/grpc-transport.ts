// Which transport carries gRPC. Only the one that is chosen is loaded: grpc-js alone takes some 20 MB.

import type { CreateGrpcServer } from './grpc-server.ts'

/** `native` is HTTP/2 of our own; grpc-js is what it is compared with, and the way back. */
export type Transport = 'native' | 'grpc-js'

export async function loadTransport(transport: Transport): Promise<CreateGrpcServer> {
  return transport === 'native'
    ? (await import('./http2/server.ts')).createNativeServer
    : (await import('./grpc-js/server.ts')).createJsServer
}
