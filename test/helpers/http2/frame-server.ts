// An HTTP/2 server made of frames: it does what a test says, right or wrong, and keeps what clients send.

import { once } from 'node:events'
import { type AddressInfo, createServer, type ListenOptions, type Server, type Socket } from 'node:net'
import { encodeFields } from '../../../src/wire/http2/hpack/encode-fields.ts'
import type { Field } from '../../../src/wire/http2/hpack/hpack-error.ts'
import { data, Flag, type Frame, FrameReader, grpcMessage, headers, PREFACE, settings } from './frames.ts'

/** A client's connection. */
export class FramePeer {
  /** All frames so far, in their order. */
  readonly received: Frame[] = []
  readonly socket: Socket
  readonly #reader = new FrameReader()
  #prefaceLeft = PREFACE.length

  constructor(socket: Socket) {
    this.socket = socket
    socket.on('error', () => undefined)
  }

  /** Sends octets as they are, in one write. */
  send(...parts: readonly Buffer[]): void {
    if (this.socket.writable) this.socket.write(Buffer.concat(parts))
  }

  /** The frames that a chunk makes whole. */
  read(chunk: Buffer): readonly Frame[] {
    const preface = Math.min(this.#prefaceLeft, chunk.length)
    this.#prefaceLeft -= preface
    const frames = this.#reader.read(chunk.subarray(preface))
    this.received.push(...frames)
    return frames
  }

  count(type: number, stream?: number): number {
    return this.received.filter((frame) => frame.type === type && (stream === undefined || frame.stream === stream))
      .length
  }
}

export interface FrameServerOptions {
  /** Greets; unless given, by empty SETTINGS. */
  readonly open?: (peer: FramePeer) => void
  /** Answers a frame; unless given, nothing is. */
  readonly take?: (peer: FramePeer, frame: Frame) => void
  readonly allowHalfOpen?: boolean
  /** Unless given, a port of 127.0.0.1. */
  readonly listen?: ListenOptions
}

export class FrameServer {
  readonly peers: FramePeer[] = []
  readonly #server: Server

  private constructor(server: Server) {
    this.#server = server
  }

  static async start({ open, take, allowHalfOpen = false, listen }: FrameServerOptions): Promise<FrameServer> {
    const server = createServer({ allowHalfOpen }, (socket) => {
      const peer = new FramePeer(socket)
      started.peers.push(peer)
      socket.on('data', (chunk: Buffer) => {
        for (const frame of peer.read(chunk)) take?.(peer, frame)
      })
      if (open === undefined) peer.send(settings())
      else open(peer)
    })
    const started = new FrameServer(server)
    await once(server.listen(listen ?? { host: '127.0.0.1', port: 0 }), 'listening')
    return started
  }

  get address(): { readonly host: string; readonly port: number } {
    return { host: '127.0.0.1', port: (this.#server.address() as AddressInfo).port }
  }

  /** Connections that are open. */
  get open(): number {
    return this.peers.filter(({ socket }) => !socket.destroyed).length
  }

  close(): void {
    for (const { socket } of this.peers) socket.destroy()
    this.#server.close()
  }
}

/** What gRPC answers begin with. */
export const HEAD: readonly Field[] = [
  [':status', '200'],
  ['content-type', 'application/grpc'],
]
export const OK: readonly Field[] = [['grpc-status', '0']]

export const fields = (stream: number, of: readonly Field[], flags = 0) =>
  headers(stream, encodeFields(of), Flag.END_HEADERS | flags)

/** A whole answer of one message. */
export function answer(stream: number, message: Uint8Array): Buffer {
  return Buffer.concat([
    fields(stream, HEAD),
    data(stream, grpcMessage(message), 0),
    fields(stream, OK, Flag.END_STREAM),
  ])
}
