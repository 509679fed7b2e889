// A gRPC server on the transport under test, and a client of grpc-js for it.
import { Client, credentials } from '@grpc/grpc-js'
import { afterEach } from 'vitest'
import type { GrpcServer, GrpcServerOptions } from '../../src/server/grpc-server.ts'
import { createGrpcServer } from './transport.ts'

const ends: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const end of ends.splice(0)) await end()
})

/** Both end after the test. */
export async function serveGrpc(options: GrpcServerOptions): Promise<{ server: GrpcServer; client: Client }> {
  const server = createGrpcServer(options)
  const port = await server.listen({ host: '127.0.0.1', port: 0 })
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure())
  ends.push(async () => {
    client.close()
    await server.drain(1_000)
  })
  return { server, client }
}
