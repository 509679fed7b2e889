// An upstream that takes whatever it is sent and remembers it to the byte.
import { createServer, type Socket } from 'node:net'
import { type Message, NUMBER_HEADER, readMessage, valuesOf } from './message.ts'

export interface EchoUpstream {
  readonly port: number
  /** What arrived under a number, and forgets it. */
  take(number: string): Message | undefined
  close(): Promise<void>
}

const ANSWER = 'HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n'

/** Starts it on a free port. Bodies are not read: a connection serves one request. */
export async function startEchoUpstream(): Promise<EchoUpstream> {
  const delivered = new Map<string, Message>()
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    let bytes = Buffer.alloc(0)
    let answered = false
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => socket.destroy())
    socket.on('data', (chunk) => {
      bytes = Buffer.concat([bytes, chunk])
      const message = answered ? undefined : readMessage(bytes)
      if (message === undefined) return
      answered = true
      for (const number of valuesOf(message, NUMBER_HEADER)) delivered.set(number, message)
      socket.end(ANSWER)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the upstream has no port')
  return {
    port: address.port,
    take(number) {
      const message = delivered.get(number)
      delivered.delete(number)
      return message
    },
    async close() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
