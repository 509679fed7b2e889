// The client's side of an HTTP/2 connection, made of frames: it does no more than a driver needs.

import { connect, type Socket } from 'node:net'
import { HpackEncoder } from '../../src/wire/http2/hpack/encoder.ts'
import * as frames from '../../test/helpers/http2/frames.ts'
import { Flag, FrameType, Setting } from '../../test/helpers/http2/frames.ts'
import type { Address } from './connection.ts'
import { OutputBuffer } from './output-buffer.ts'
import { type ReplyHeaders, ReplyHeaderReader } from './reply-headers.ts'

export const FRAME_HEAD_BYTES = 9
/** As large as a window can be; connections begin with `DEFAULT_WINDOW`, and are opened by updates. */
const MAX_WINDOW = 0x7fff_ffff
const DEFAULT_WINDOW = 65_535
/** What a server may send before it hears that there is room for more. */
const REOPEN_BYTES = 1 << 24

/** What the server does on streams. */
export interface StreamEvents {
  headers(stream: number, said: ReplyHeaders, isLast: boolean): void
  data(stream: number, bytes: Buffer, start: number, end: number): void
  reset(stream: number, code: number): void
  /** The server takes no streams beyond `last`. */
  goAway(last: number): void
  /** The connection is gone. */
  gone(why: string): void
  /** All that came in at once is told. */
  read(): void
}

/** One connection; what is written before it is there waits for it. Streams open with the same header fields all. */
export class Http2Client {
  readonly out = new OutputBuffer()
  readonly #events: StreamEvents
  readonly #socket: Socket
  readonly #encoder = new HpackEncoder()
  readonly #replies = new ReplyHeaderReader()
  readonly #fields: readonly (readonly [name: string, value: string])[]
  /** By stream, beyond what all begin with; only for those that send more than one message. */
  readonly #streamWindows = new Map<number, number>()
  /** The header block that every further stream has; undefined while the table may still change it. */
  #block: Buffer | undefined
  /** None before the server has said how many it takes: it would refuse more. */
  #maxStreams = 0
  #window = DEFAULT_WINDOW
  #initialWindow = DEFAULT_WINDOW
  #received = 0
  #nextStream = 1
  #rest: Buffer = Buffer.alloc(0)
  #isClosed = false
  #isGone = false

  constructor(options: {
    readonly address: Address
    readonly path: string
    readonly fields?: readonly (readonly [name: string, value: string])[]
    readonly events: StreamEvents
  }) {
    const { address, path, fields = [], events } = options
    this.#events = events
    this.#fields = [
      [':method', 'POST'],
      [':scheme', 'http'],
      [':path', path],
      [':authority', `${address.host}:${address.port}`],
      ['te', 'trailers'],
      ['content-type', 'application/grpc'],
      ...fields,
    ]
    const settings = frames.settings([
      [Setting.ENABLE_PUSH, 0],
      [Setting.INITIAL_WINDOW_SIZE, MAX_WINDOW],
    ])
    this.out.add(Buffer.concat([frames.PREFACE, settings, frames.windowUpdate(0, MAX_WINDOW - DEFAULT_WINDOW)]))
    this.#socket = connect({ ...address, noDelay: true })
    this.flush()
    this.#socket.on('data', (chunk: Buffer) => this.#read(chunk))
    this.#socket.on('error', (error) => this.#end(String(error)))
    this.#socket.on('close', () => this.#end('the connection was closed'))
  }

  /** No streams can be opened any more. */
  get isClosed(): boolean {
    return this.#isClosed
  }

  /** How many streams may be open at once. */
  get maxStreams(): number {
    return this.#maxStreams
  }

  /** Octets of data that the connection may send now. */
  get window(): number {
    return this.#window
  }

  /** Octets of data that this stream may send now. */
  windowOf(stream: number): number {
    return this.#initialWindow + (this.#streamWindows.get(stream) ?? 0)
  }

  /** Opens a stream with room for `bytes` behind its headers. */
  open(bytes: number): { readonly stream: number; readonly target: Buffer; readonly at: number } {
    const stream = this.#nextStream
    this.#nextStream += 2
    const block = this.#headerBlock()
    const target = this.out.room(FRAME_HEAD_BYTES + block.length + bytes)
    const headers = { length: block.length, type: FrameType.HEADERS, flags: Flag.END_HEADERS, stream }
    const at = writeFrameHead(target, this.out.position, headers)
    target.set(block, at)
    this.out.used(at + block.length)
    return { stream, target, at: at + block.length }
  }

  /** So much of the connection's window is used up. */
  sent(octets: number): void {
    this.#window -= octets
  }

  /** So much of the stream's window is, which sends more than one message. */
  sentOn(stream: number, octets: number): void {
    this.#streamWindows.set(stream, (this.#streamWindows.get(stream) ?? 0) - octets)
  }

  /** The first block fills the server's table; those after it are a few indices. */
  #headerBlock(): Buffer {
    if (this.#block !== undefined) return this.#block
    const block = this.#encoder.encode(this.#fields)
    if (block.length <= this.#fields.length) this.#block = block
    return block
  }

  flush(): void {
    const bytes = this.out.take()
    if (bytes.length > 0 && !this.#socket.destroyed) this.#socket.write(bytes)
  }

  /** Ends the connection once all is written; `close` ends it at once. */
  end(): void {
    this.#socket.end()
  }

  /** Ends it at once; nothing more is told. */
  close(): void {
    this.#isClosed = true
    this.#isGone = true
    this.#socket.destroy()
  }

  #end(why: string): void {
    if (this.#isGone) return
    this.#isGone = true
    this.#isClosed = true
    this.#events.gone(why)
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
      this.#end(String(error))
      this.close()
      return
    }
    this.#rest = bytes.subarray(at)
    this.#events.read()
    this.flush()
  }

  #frame(bytes: Buffer, at: number, end: number): void {
    const type = bytes[at + 3] as number
    const flags = bytes[at + 4] as number
    const stream = bytes.readUInt32BE(at + 5)
    const start = at + FRAME_HEAD_BYTES
    if (type === FrameType.DATA) this.#data(stream, bytes, start, end)
    else if (type === FrameType.HEADERS) this.#headers(stream, flags, bytes, start, end)
    else if (type === FrameType.RST_STREAM) this.#events.reset(stream, bytes.readUInt32BE(start))
    else if (type === FrameType.WINDOW_UPDATE) this.#opened(stream, bytes.readUInt32BE(start))
    else if (type === FrameType.GOAWAY) {
      this.#isClosed = true
      this.#events.goAway(bytes.readUInt32BE(start))
    } else if (type === FrameType.SETTINGS && (flags & Flag.ACK) === 0) this.#settings(bytes, start, end)
    else if (type === FrameType.PING && (flags & Flag.ACK) === 0)
      this.out.add(frames.frame(type, { flags: Flag.ACK, payload: bytes.subarray(start, end) }))
    else if (type === FrameType.CONTINUATION)
      throw new Error('headers in several frames, which this client cannot read')
  }

  #opened(stream: number, octets: number): void {
    if (stream === 0) this.#window += octets
    else if (this.#streamWindows.has(stream)) this.sentOn(stream, -octets)
  }

  #settings(bytes: Buffer, start: number, end: number): void {
    if (this.#maxStreams === 0) this.#maxStreams = MAX_WINDOW
    for (let at = start; at + 6 <= end; at += 6) {
      const value = bytes.readUInt32BE(at + 2)
      const id = bytes.readUInt16BE(at)
      if (id === Setting.MAX_CONCURRENT_STREAMS) this.#maxStreams = value
      if (id === Setting.INITIAL_WINDOW_SIZE) this.#initialWindow = value
      if (id === Setting.HEADER_TABLE_SIZE) {
        this.#encoder.peerTableBytes(value)
        this.#block = undefined
      }
    }
    this.out.add(frames.settingsAck())
  }

  #headers(stream: number, flags: number, bytes: Buffer, start: number, end: number): void {
    if ((flags & (Flag.PADDED | Flag.PRIORITY)) !== 0) throw new Error('padded headers, which this client cannot read')
    this.#events.headers(stream, this.#replies.read(bytes, start, end), (flags & Flag.END_STREAM) !== 0)
  }

  #data(stream: number, bytes: Buffer, start: number, end: number): void {
    this.#received += end - start
    if (this.#received > REOPEN_BYTES) {
      this.out.add(frames.windowUpdate(0, this.#received))
      this.#received = 0
    }
    this.#events.data(stream, bytes, start, end)
  }
}

/** Writes the octets before a payload; returns where it begins. */
export function writeFrameHead(
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
