// What POST /v1/check costs beside a bare Fastify that gives the body back, without a network: requests come through pairs of
// streams, so that neither system calls nor a driver count. `node test/bench/http-door.ts [rounds]`

import type { Server } from 'node:http'
import { type Duplex, duplexPair } from 'node:stream'
import { fastify } from 'fastify'
import { fastifyHost } from '../../src/server/fastify-host.ts'
import { createHttpServer } from '../../src/server/http.ts'
import { benchNode } from './bench-node.ts'

const BATCH = 4_000
const CONNECTIONS = 32
const rounds = Number(process.argv[2] ?? 10)

const bare = { 'request.path': '/books/17', 'destination.service.name': 'reviews' }
const body = JSON.stringify({ attributes: bare })
const request = Buffer.from(
  `POST /v1/check HTTP/1.1\r\nhost: node\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
)

class Connection {
  readonly #stream: Duplex
  #answered: () => void = () => {}

  constructor(server: Server) {
    const [ours, theirs] = duplexPair()
    this.#stream = ours
    ours.on('data', (bytes: Buffer) => {
      // An answer comes in one piece.
      if (!bytes.includes('HTTP/1.1 200')) throw new Error(bytes.toString())
      this.#answered()
    })
    server.emit('connection', theirs)
  }

  async ask(times: number): Promise<void> {
    for (let i = 0; i < times; i++) {
      await new Promise<void>((resolve) => {
        this.#answered = resolve
        this.#stream.write(request)
      })
    }
  }
}

const node = await benchNode()
const ours = createHttpServer(node.given, fastifyHost)
const echo = fastify()
echo.post('/v1/check', (asked, reply) => reply.send(asked.body))
await Promise.all([echo.ready(), ours.listen({ host: '127.0.0.1', port: 0 })])
const servers = Object.entries({ 'Fastify echo': echo.server, 'POST /v1/check': ours.server }).map(
  ([name, server]) => ({
    name,
    connections: Array.from({ length: CONNECTIONS }, () => new Connection(server)),
    micros: [] as number[],
  }),
)
for (let round = -3; round < rounds; round++) {
  for (const { connections, micros } of servers) {
    const before = process.cpuUsage()
    await Promise.all(connections.map((connection) => connection.ask(BATCH / CONNECTIONS)))
    const { user, system } = process.cpuUsage(before)
    if (round >= 0) micros.push((user + system) / BATCH)
  }
}
for (const { name, micros } of servers) {
  const sorted = micros.toSorted((a, b) => a - b)
  const at = (share: number) => (sorted[Math.floor(share * (sorted.length - 1))] ?? 0).toFixed(1)
  console.log(`${name}: ${at(0.5)} µs of processor time a request (fastest round ${at(0)}, slowest ${at(1)})`)
}
await node.stop()
process.exit(0)
