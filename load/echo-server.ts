// The least that a server of each kind can do, as a process of its own: `node load/echo-server.ts fastify|http|grpc-js`.
// What Intermix costs is told beside it.

import { createServer } from 'node:http'
import { parseArgs } from 'node:util'
import { Server, ServerCredentials } from '@grpc/grpc-js'
import { fastify } from 'fastify'
import { DOOR_NAMES, DOORS } from './kit/doors.ts'

const HOST = '127.0.0.1'

/** Reads JSON and gives it back. */
async function listenFastify(): Promise<number> {
  const app = fastify()
  app.post('/v1/check', (request, reply) => reply.send(request.body))
  return Number(new URL(await app.listen({ host: HOST, port: 0 })).port)
}

/** Gives the bytes back, whatever they are. */
async function listenHttp(): Promise<number> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const body = Buffer.concat(chunks)
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length }).end(body)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, HOST, resolve))
  const address = server.address()
  return typeof address === 'object' ? (address?.port ?? 0) : 0
}

/** Gives each message back undecoded, at every method that the driver calls. */
async function listenGrpc(): Promise<number> {
  const same = (message: Buffer) => message
  const server = new Server()
  const methods = DOOR_NAMES.map((name) => DOORS[name]).filter(({ protocol }) => protocol === 'grpc')
  const codecs = {
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  }
  const handle = (call: { request: Buffer }, reply: (error: null, value: Buffer) => void) => reply(null, call.request)
  server.addService(
    Object.fromEntries(
      methods.map(({ path }) => [path, { path, requestStream: false, responseStream: false, ...codecs }]),
    ),
    Object.fromEntries(methods.map(({ path }) => [path, handle])),
  )
  return await new Promise((resolve, reject) => {
    server.bindAsync(`${HOST}:0`, ServerCredentials.createInsecure(), (error, port) =>
      error === null ? resolve(port) : reject(error),
    )
  })
}

const SERVERS: Readonly<Record<string, () => Promise<number>>> = {
  fastify: listenFastify,
  http: listenHttp,
  'grpc-js': listenGrpc,
}

const { positionals } = parseArgs({ allowPositionals: true })
const listen = SERVERS[positionals[0] ?? '']
if (listen === undefined) throw new Error(`which echo? One of ${Object.keys(SERVERS).join(', ')}`)
process.stdout.write(`echo on ${await listen()}\n`)
