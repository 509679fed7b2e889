// What lies under a grpc-js server: its HTTP/2 server, its connections and its streams. grpc-js keeps them private and
// has no hook before it builds a call nor one for connections that never call; both are needed here.

import type { Http2Server, IncomingHttpHeaders, ServerHttp2Stream, ServerOptions } from 'node:http2'
import { constants } from 'node:http2'
import type { Socket } from 'node:net'
import type { Server, ServerCredentials } from '@grpc/grpc-js'
import { IntermixError } from '../../kernel/errors.ts'
import { SHUTTING_DOWN } from '../grpc-gate.ts'
import { refuse, type StreamGate } from './admission.ts'

/**
 * Calls that the peer may take back on one connection: a burst and so many a second. Node's own limit of 33 a second ends
 * the connection of every proxy whose callers run out of time, which is what they do in an overload.
 */
const RESET_LIMIT = { streamResetBurst: 20_000, streamResetRate: 20_000 }

export interface GrpcHost {
  /**
   * Closes what keeps a server that shuts down from ending: connections that are done or never called, calls whose
   * request is not complete, streams that are answered and that the peer keeps open. Calls that are being answered stay.
   */
  closeIdle(): void
  /** Cuts off all connections. grpc-js does not when its statistics are off. */
  closeAll(): void
}

interface Internals {
  readonly commonServerOptions?: ServerOptions
  createHttp2Server?: (credentials: ServerCredentials) => Http2Server
}

/** Hooks into the HTTP/2 servers that `server` creates from now on. @throws IntermixError where grpc-js has changed. */
export function hookGrpcServer(server: Server, gate: StreamGate): GrpcHost {
  const internals = server as unknown as Internals
  const create = internals.createHttp2Server
  const { commonServerOptions } = internals
  if (create === undefined || commonServerOptions === undefined)
    throw new IntermixError('INTERNAL', 'this version of grpc-js creates its servers otherwise')
  Object.assign(commonServerOptions, RESET_LIMIT)
  const sockets = new Set<Socket>()
  const streams = new Set<ServerHttp2Stream>()
  internals.createHttp2Server = (credentials) => {
    const http2 = create.call(server, credentials)
    const [accept] = http2.listeners('stream') as ((stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void)[]
    if (accept === undefined) throw new IntermixError('INTERNAL', 'this version of grpc-js takes streams otherwise')
    http2.removeAllListeners('stream')
    const take = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
      streams.add(stream)
      stream.once('close', () => streams.delete(stream))
      accept(stream, headers)
    }
    http2.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => gate(stream, headers, take))
    http2.on('connection', (socket: Socket) => {
      sockets.add(socket)
      socket.once('close', () => sockets.delete(socket))
    })
    return http2
  }
  return {
    closeAll() {
      for (const socket of sockets) socket.destroy()
    },
    closeIdle() {
      for (const stream of streams) finishStream(stream)
      // The server has said its last on them; it would now wait for the peer to close its side.
      for (const socket of sockets) if (socket.writableEnded) socket.destroy()
    },
  }
}

function finishStream(stream: ServerHttp2Stream): void {
  if (stream.destroyed) return
  if (stream.writableFinished) {
    // Answered, but the peer keeps its side open: what it still sends is of no use, and that is no error.
    stream.close(constants.NGHTTP2_NO_ERROR)
  } else if (!stream.headersSent && stream.state.state === constants.NGHTTP2_STREAM_STATE_OPEN) {
    refuse(stream, SHUTTING_DOWN)
  }
}
