// A server to be killed, as a process of its own: it says back what it hears, and says where it listens.
import { createNativeServer } from '../../../src/server/http2/server.ts'
import { dependencies } from '../fixtures.ts'

const server = createNativeServer({
  ...dependencies(),
  services: [{ name: 'test.Echo', methods: [{ kind: 'unary', path: '/test.Echo/Say', answer: (bytes) => bytes }] }],
})
process.stdout.write(`listening on ${await server.listen({ host: '127.0.0.1', port: 0 })}\n`)
