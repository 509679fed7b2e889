// Free TCP ports for the servers that tests start: the system's own ports are never touched.
import { createServer } from 'node:net'

/** Asks the kernel for `count` different ports on 127.0.0.1 that nobody listens on now. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(Array.from({ length: count }, () => listen()))
  return await Promise.all(servers.map((entry) => close(entry)))
}

/** One free port on 127.0.0.1. */
export async function freePort(): Promise<number> {
  const [port] = await freePorts(1)
  if (port === undefined) throw new Error('the kernel gave no free port')
  return port
}

type Listening = { server: ReturnType<typeof createServer>; port: number }

function listen(): Promise<Listening> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      if (address === null || typeof address === 'string') reject(new Error('a TCP server without a port'))
      else resolve({ server, port: address.port })
    })
  })
}

function close(entry: Listening): Promise<number> {
  return new Promise((resolve, reject) => {
    entry.server.close((error) => (error === undefined ? resolve(entry.port) : reject(error)))
  })
}
