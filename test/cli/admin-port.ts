// An admin port of a node that answers what a test says.
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import { afterEach } from 'vitest'

const servers: Server[] = []

afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    server.close()
  }
})

/** Always answers the same; it ends after the test. */
export async function adminPort(status: number, answer: unknown) {
  const seen: unknown[] = []
  const server = createServer((request, response) => {
    void json(request).then((body) => {
      seen.push({ path: request.url, body })
      response.writeHead(status, { 'content-type': 'application/json' })
      response.end(JSON.stringify(answer))
    })
  })
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return { address: `--admin=http://127.0.0.1:${port}`, seen }
}
