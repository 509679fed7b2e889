// The connections of an HTTP server and what goes on in them, so that a server that shuts down waits for answers and not
// for peers: Node counts a connection that never sent a whole request as busy.

import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { RequestGate } from './http-admission.ts'

export interface HttpConnections {
  /** Closes connections in which no request is being answered, now and whenever it is so from now on. */
  closeIdle(): void
  /** Closes connections whose request has not come as a whole, or not at all. */
  closeIncomplete(): void
}

/**
 * Has the server's requests answered by `answer` where `gate` lets them in, and keeps track of its connections from now on, of which
 * it tells by `event`.
 */
export function hookHttpServer(
  server: Server,
  event: 'connection' | 'secureConnection',
  gate: RequestGate,
  answer: (request: IncomingMessage, response: ServerResponse) => void,
): HttpConnections {
  /** The requests being answered in each connection: more than one where a client pipelines. */
  const connections = new Map<Socket, Set<IncomingMessage>>()
  let closing = false
  server.on(event, (socket: Socket) => {
    connections.set(socket, new Set())
    socket.once('close', () => connections.delete(socket))
  })
  const take = (request: IncomingMessage, response: ServerResponse, onEnd?: () => void) => {
    const { socket } = request
    const requests = connections.get(socket)
    requests?.add(request)
    response.on('close', () => {
      onEnd?.()
      requests?.delete(request)
      if (closing && requests?.size === 0) socket.destroySoon()
    })
    if (closing) response.shouldKeepAlive = false
    answer(request, response)
  }
  server.on('request', (request, response) => gate(request, response, take, connections.size))
  return {
    closeIdle() {
      closing = true
      for (const [socket, requests] of connections) if (requests.size === 0) socket.destroy()
    },
    closeIncomplete() {
      for (const [socket, requests] of connections) {
        // One whose handshake has only now come to its end has none.
        if (requests.size === 0) socket.destroy()
        for (const request of requests) if (!request.complete) socket.destroy()
      }
    },
  }
}
