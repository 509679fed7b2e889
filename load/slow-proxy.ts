// A TCP proxy that delays every byte: a server that is far away or overloaded.

import { connect, createServer, type Socket } from 'node:net'

export interface SlowProxy {
  readonly port: number
  /** Delays what arrives from now on by `ms`, and by `back` what comes back: as long unless given. */
  delay(ms: number, back?: number): void
  close(): Promise<void>
}

/** Starts a proxy on a free port of 127.0.0.1 in front of another one. */
export async function startSlowProxy(targetPort: number): Promise<SlowProxy> {
  const sockets = new Set<Socket>()
  const delays = { there: 0, back: 0 }
  const pump = (from: Socket, to: Socket, way: keyof typeof delays) => {
    sockets.add(from)
    from.setNoDelay(true)
    // Timers of one delay fire in order; after a change to a shorter one, bytes must not overtake others.
    let lastDue = 0
    from.on('data', (chunk) => {
      const now = performance.now()
      lastDue = Math.max(lastDue, now + delays[way])
      if (lastDue - now < 1) to.write(chunk)
      else setTimeout(() => to.write(chunk), lastDue - now)
    })
    from.on('error', () => to.destroy())
    from.on('close', () => {
      sockets.delete(from)
      to.destroy()
    })
  }
  const server = createServer((client) => {
    const upstream = connect({ port: targetPort, host: '127.0.0.1' })
    pump(client, upstream, 'there')
    pump(upstream, client, 'back')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('a TCP server without a port')
  return {
    port: address.port,
    delay: (ms, back = ms) => {
      Object.assign(delays, { there: ms, back })
    },
    async close() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
