// The least that a server of each transport can do, as a process of its own: what the machine and the driver allow.

import { createServer } from 'node:http'
import { Server, ServerCredentials } from '@grpc/grpc-js'
import { EXT_AUTHZ_PATH } from './ext-authz-path.ts'

/** As long as an answer of Intermix to the same question. */
const BODY = JSON.stringify({ echo: 'x'.repeat(400) })
const GRPC_REPLY = Buffer.alloc(40)

const http = createServer((request, response) => {
  request.resume()
  request.on('end', () => response.writeHead(200, { 'content-type': 'application/json' }).end(BODY))
})
const bytes = (message: Buffer) => message
const grpc = new Server()
grpc.addService(
  {
    Check: {
      path: EXT_AUTHZ_PATH,
      requestStream: false,
      responseStream: false,
      requestSerialize: bytes,
      requestDeserialize: bytes,
      responseSerialize: bytes,
      responseDeserialize: bytes,
    },
  },
  // An empty reply of a fixed size: nothing is decoded.
  { Check: (_call: unknown, reply: (error: null, value: Buffer) => void) => reply(null, GRPC_REPLY) },
)
grpc.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, grpcPort) => {
  if (error !== null) throw error
  http.listen(0, '127.0.0.1', () => {
    const address = http.address()
    if (address === null || typeof address === 'string') throw new Error('a server without a port')
    process.stdout.write(`echo http ${address.port} grpc ${grpcPort}\n`)
  })
})
