// A gRPC client made of HTTP/2 frames: it costs one or two microseconds a call, so that it can ask for more than a server can
// answer from the other core of the same machine. Unary calls of one method, all with the same headers.

import { connect } from 'node:net'
import { HpackEncoder } from '../../src/server/http2/hpack/encoder.ts'
import type { Address, Connection, ConnectionEvents, Ended } from './connection.ts'
import * as frames from '../../test/helpers/http2/frames.ts'
import { Flag, FrameType, Setting } from '../../test/helpers/http2/frames.ts'
import { OutputBuffer } from './output-buffer.ts'
import { ReplyHeaderReader } from './reply-headers.ts'
import { type RequestTemplate, writeRequest } from './request-template.ts'

const FRAME_HEAD_BYTES = 9
const MESSAGE_HEAD_BYTES = 5
/** As large as a window can be; connections begin with `DEFAULT_WINDOW`, and are opened by updates. */
const MAX_WINDOW = 0x7fff_ffff
const DEFAULT_WINDOW = 65_535
/** What a server may send before it hears that there is room for more. */
const REOPEN_BYTES = 1 << 24
/** Until the server's settings say more. */
const FIRST_STREAMS = 100

export interface GrpcConnectionOptions {
  readonly address: Address
  readonly path: string
  readonly timeoutMs: number
  readonly request: RequestTemplate
  readonly events: ConnectionEvents
  /** What an answer says; every answer that is OK is `allow` without it. */
  readonly decision?: ((bytes: Buffer, start: number, end: number) => Ended) | undefined
}

interface Call {
  readonly number: number
  decided: Ended
  /** Bytes of the message so far, where its frame was not the last. */
  message: Buffer | undefined
}

/** Opens a connection. What is sent before it is there waits for it. */
export function connectGrpc(options: GrpcConnectionOptions): Connection {
  return new GrpcConnection(options)
}

class GrpcConnection implements Connection {
  readonly #options: GrpcConnectionOptions
  readonly #socket
  readonly #out = new OutputBuffer()
  readonly #encoder = new HpackEncoder()
  readonly #replies = new ReplyHeaderReader()
  readonly #calls = new Map<number, Call>()
  readonly #streams = new Map<number, number>()
  readonly #fields
  readonly #dataBytes: number
  /** The header block that every further call has; undefined while the table may still change it. */
  #block: Buffer | undefined
  #maxStreams = FIRST_STREAMS
  #window = DEFAULT_WINDOW
  #received = 0
  #nextStream = 1
  #rest: Buffer = Buffer.alloc(0)
  #closed = false

  constructor(options: GrpcConnectionOptions) {
    this.#options = options
    const { address, path, timeoutMs, request } = options
    this.#dataBytes = MESSAGE_HEAD_BYTES + request.bytes.length
    this.#fields = [
      [':method', 'POST'],
      [':scheme', 'http'],
      [':path', path],
      [':authority', `${address.host}:${address.port}`],
      ['te', 'trailers'],
      ['content-type', 'application/grpc'],
      ['grpc-timeout', `${timeoutMs}m`],
    ] as const
    const settings = frames.settings([
      [Setting.ENABLE_PUSH, 0],
      [Setting.INITIAL_WINDOW_SIZE, MAX_WINDOW],
    ])
    this.#out.add(Buffer.concat([frames.PREFACE, settings, frames.windowUpdate(0, MAX_WINDOW - DEFAULT_WINDOW)]))
    this.#socket = connect({ ...address, noDelay: true })
    this.#socket.on('data', (chunk: Buffer) => this.#read(chunk))
    this.#socket.on('error', (error) => this.#end(String(error)))
    this.#socket.on('close', () => this.#end('the connection was closed'))
  }

  free(): boolean {
    return !this.#closed && this.#calls.size < this.#maxStreams && this.#window >= this.#dataBytes
  }

  closed(): boolean {
    return this.#closed
  }

  send(call: number, key: number): void {
    const stream = this.#nextStream
    this.#nextStream += 2
    this.#calls.set(stream, { number: call, decided: 'allow', message: undefined })
    this.#streams.set(call, stream)
    this.#window -= this.#dataBytes
    const block = this.#headerBlock()
    const { request } = this.#options
    const target = this.#out.room(2 * FRAME_HEAD_BYTES + block.length + this.#dataBytes)
    const headers = { length: block.length, type: FrameType.HEADERS, flags: Flag.END_HEADERS, stream }
    let at = writeFrameHead(target, this.#out.position, headers)
    target.set(block, at)
    const data = { length: this.#dataBytes, type: FrameType.DATA, flags: Flag.END_STREAM, stream }
    at = writeFrameHead(target, at + block.length, data)
    target[at] = 0
    target.writeUInt32BE(request.bytes.length, at + 1)
    this.#out.used(writeRequest(request, target, at + MESSAGE_HEAD_BYTES, key))
  }

  /** The first block fills the server's table; those after it are a few indices. */
  #headerBlock(): Buffer {
    if (this.#block !== undefined) return this.#block
    const block = this.#encoder.encode(this.#fields)
    if (block.length <= this.#fields.length) this.#block = block
    return block
  }

  cancel(call: number): void {
    const stream = this.#streams.get(call)
    if (stream === undefined) return
    this.#streams.delete(call)
    this.#calls.delete(stream)
    this.#out.add(frames.resetStream(stream))
    this.flush()
  }

  flush(): void {
    const bytes = this.#out.take()
    if (bytes.length > 0 && !this.#socket.destroyed) this.#socket.write(bytes)
  }

  close(): void {
    this.#closed = true
    this.#socket.destroy()
  }

  #finish(stream: number, how: Ended, why?: string): void {
    const call = this.#calls.get(stream)
    if (call === undefined) return
    this.#calls.delete(stream)
    this.#streams.delete(call.number)
    this.#options.events.ended(call.number, how, why)
  }

  #end(why: string): void {
    this.#closed = true
    for (const stream of this.#calls.keys()) this.#finish(stream, 'failed', why)
    this.#options.events.read(this)
  }

  #read(chunk: Buffer): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    let at = 0
    try {
      while (bytes.length - at >= FRAME_HEAD_BYTES) {
        const end = at + FRAME_HEAD_BYTES + bytes.readUIntBE(at, 3)
        if (bytes.length < end) break
        this.#frame(bytes, at, end)
        at = end
      }
    } catch (error) {
      this.close()
      this.#end(String(error))
      return
    }
    this.#rest = bytes.subarray(at)
    this.#options.events.read(this)
    this.flush()
    if (this.#closed && this.#calls.size === 0) this.#socket.end()
  }

  #frame(bytes: Buffer, at: number, end: number): void {
    const type = bytes[at + 3] as number
    const flags = bytes[at + 4] as number
    const stream = bytes.readUInt32BE(at + 5)
    const start = at + FRAME_HEAD_BYTES
    if (type === FrameType.DATA) this.#data(stream, bytes, start, end)
    else if (type === FrameType.HEADERS) this.#headers(stream, flags, bytes, start, end)
    else if (type === FrameType.RST_STREAM) this.#finish(stream, 'failed', `reset with ${bytes.readUInt32BE(start)}`)
    else if (type === FrameType.WINDOW_UPDATE && stream === 0) this.#window += bytes.readUInt32BE(start)
    else if (type === FrameType.GOAWAY) this.#goAway(bytes.readUInt32BE(start))
    else if (type === FrameType.SETTINGS && (flags & Flag.ACK) === 0) this.#settings(bytes, start, end)
    else if (type === FrameType.PING && (flags & Flag.ACK) === 0)
      this.#out.add(frames.frame(type, { flags: Flag.ACK, payload: bytes.subarray(start, end) }))
    else if (type === FrameType.CONTINUATION)
      throw new Error('headers in several frames, which this client cannot read')
  }

  #settings(bytes: Buffer, start: number, end: number): void {
    for (let at = start; at + 6 <= end; at += 6) {
      const value = bytes.readUInt32BE(at + 2)
      const id = bytes.readUInt16BE(at)
      if (id === Setting.MAX_CONCURRENT_STREAMS) this.#maxStreams = value
      if (id === Setting.INITIAL_WINDOW_SIZE && value < this.#dataBytes)
        throw new Error(`a window of ${value} bytes has no room for a request of ${this.#dataBytes}`)
      if (id === Setting.HEADER_TABLE_SIZE) {
        this.#encoder.peerTableBytes(value)
        this.#block = undefined
      }
    }
    this.#out.add(frames.settingsAck())
  }

  #goAway(last: number): void {
    this.#closed = true
    for (const stream of this.#calls.keys()) if (stream > last) this.#finish(stream, 'shed', 'GOAWAY')
  }

  #headers(stream: number, flags: number, bytes: Buffer, start: number, end: number): void {
    if ((flags & (Flag.PADDED | Flag.PRIORITY)) !== 0) throw new Error('padded headers, which this client cannot read')
    const said = this.#replies.read(bytes, start, end)
    if ((flags & Flag.END_STREAM) === 0) {
      if (said.end !== undefined) this.#finish(stream, said.end, said.why)
      return
    }
    const decided = this.#calls.get(stream)?.decided ?? 'allow'
    if (said.end === undefined) this.#finish(stream, decided, 'the answer says neither allow nor deny')
    else this.#finish(stream, said.end, said.why)
  }

  #data(stream: number, bytes: Buffer, start: number, end: number): void {
    this.#received += end - start
    if (this.#received > REOPEN_BYTES) {
      this.#out.add(frames.windowUpdate(0, this.#received))
      this.#received = 0
    }
    const call = this.#calls.get(stream)
    const { decision } = this.#options
    if (decision === undefined || call === undefined) return
    const whole =
      call.message === undefined
        ? bytes.subarray(start, end)
        : Buffer.concat([call.message, bytes.subarray(start, end)])
    if (whole.length >= MESSAGE_HEAD_BYTES && whole.length >= MESSAGE_HEAD_BYTES + whole.readUInt32BE(1))
      call.decided = decision(whole, MESSAGE_HEAD_BYTES, whole.length)
    else call.message = whole
  }
}

/** Writes the octets before a payload; returns where it begins. */
function writeFrameHead(
  target: Buffer,
  start: number,
  head: { readonly length: number; readonly type: number; readonly flags: number; readonly stream: number },
): number {
  target.writeUIntBE(head.length, start, 3)
  target[start + 3] = head.type
  target[start + 4] = head.flags
  target.writeUInt32BE(head.stream, start + 5)
  return start + FRAME_HEAD_BYTES
}
