// An HTTP/2 client made of frames: it does what a test says, right or wrong, and keeps what the server does.

import { connect, type Socket } from 'node:net'
import { type ConnectionOptions, connect as connectTls } from 'node:tls'
import { HpackDecoder } from '../../../src/wire/http2/hpack/decoder.ts'
import { encodeFields } from '../../../src/wire/http2/hpack/encode-fields.ts'
import type { Field } from '../../../src/wire/http2/hpack/hpack-error.ts'
import * as frames from './frames.ts'
import { Flag, type Frame, FrameType } from './frames.ts'

/** Where a server listens: a port of 127.0.0.1 or the path of a socket, and TLS where it speaks that. */
export interface Target {
  readonly port?: number
  readonly path?: string
  readonly tls?: ConnectionOptions
}

export interface FrameClientOptions {
  /** What the client's first SETTINGS say; `'silent'` sends nothing at all, not even the preface. */
  readonly settings?: readonly (readonly [id: number, value: number])[] | 'silent'
  /** Whether SETTINGS and PING are acknowledged and windows opened again. Default true. */
  readonly polite?: boolean
}

/** What came back on one stream. */
export interface Response {
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
  /** Of a response that has only them, the same as `headers`. */
  readonly trailers: Readonly<Record<string, string>>
}

/** How the server ended the connection: by GOAWAY, or without a word. */
export interface Goodbye {
  readonly lastStream: number
  readonly code: number
  readonly debug: string
}

const PEER_LIMITS = { maxTableBytes: 4096, maxListBytes: 1 << 20 }

/** A connection. Waiting ends with an error that says what came where the server closes it first. */
export class FrameClient {
  /** All frames so far, in their order. */
  readonly received: Frame[] = []
  readonly #socket: Socket
  readonly #reader = new frames.FrameReader()
  readonly #decoder = new HpackDecoder(PEER_LIMITS)
  readonly #blocks = new Map<Frame, Record<string, string>>()
  readonly #polite: boolean
  readonly #watchers = new Set<() => void>()
  #closed = false
  #nextStream = 1

  private constructor(socket: Socket, polite: boolean) {
    this.#socket = socket
    this.#polite = polite
    socket.setNoDelay(true)
    socket.on('error', () => {})
    socket.on('data', (chunk: Buffer) => this.#take(chunk))
    socket.on('close', () => {
      this.#closed = true
      this.#notify()
    })
  }

  /** Connects, and greets the server unless it is to be silent. */
  static async open(target: Target, options: FrameClientOptions = {}): Promise<FrameClient> {
    const socket = await connected(target)
    const client = new FrameClient(socket, options.polite ?? true)
    if (options.settings !== 'silent') client.send(frames.PREFACE, frames.settings(options.settings))
    return client
  }

  get closed(): boolean {
    return this.#closed
  }

  /** Octets that the kernel has not taken yet. */
  get unsent(): number {
    return this.#socket.writableLength
  }

  /** Sends octets as they are, in one write. */
  send(...parts: readonly Buffer[]): void {
    if (!this.#socket.destroyed) this.#socket.write(Buffer.concat(parts))
  }

  /** The headers of a gRPC call; further fields replace those of the same name. */
  static callHeaders(path: string, extra: readonly Field[] = []): Buffer {
    const fields = new Map<string, string>([
      [':method', 'POST'],
      [':scheme', 'http'],
      [':path', path],
      [':authority', 'localhost'],
      ['te', 'trailers'],
      ['content-type', 'application/grpc'],
      ...extra,
    ])
    return encodeFields([...fields])
  }

  /** A stream that was not used yet. */
  newStream(): number {
    this.#nextStream += 2
    return this.#nextStream - 2
  }

  /** Sends a whole unary call, and returns its stream. */
  call(path: string, message: Uint8Array, extra: readonly Field[] = []): number {
    const stream = this.newStream()
    this.send(
      frames.headers(stream, FrameClient.callHeaders(path, extra)),
      frames.data(stream, frames.grpcMessage(message)),
    )
    return stream
  }

  /** The response on a stream, once it is whole. Rejects where the stream is reset. */
  async response(stream: number): Promise<Response> {
    const last = await this.until(
      `the response on stream ${stream}`,
      (frame) => frame.stream === stream && (frame.type === FrameType.RST_STREAM || endsStream(frame)),
    )
    if (last.type === FrameType.RST_STREAM)
      throw new Error(`stream ${stream} was reset: ${last.payload.readUInt32BE()}`)
    const own = this.received.filter((frame) => frame.stream === stream)
    const blocks = own.map((frame) => this.#blocks.get(frame)).filter((block) => block !== undefined)
    const body = Buffer.concat(own.flatMap(({ type, payload }) => (type === FrameType.DATA ? [payload] : [])))
    return { headers: blocks[0] ?? {}, body, trailers: blocks.at(-1) ?? {} }
  }

  /** The code that a stream is reset with. */
  async reset(stream: number): Promise<number> {
    const of = (frame: Frame) => frame.stream === stream && frame.type === FrameType.RST_STREAM
    return (await this.until(`a reset of stream ${stream}`, of)).payload.readUInt32BE()
  }

  /** The GOAWAY of the server. */
  async goodbye(): Promise<Goodbye> {
    const { payload } = await this.until('GOAWAY', ({ type }) => type === FrameType.GOAWAY)
    return {
      lastStream: payload.readUInt32BE(0) & 0x7fff_ffff,
      code: payload.readUInt32BE(4),
      debug: payload.toString('latin1', 8),
    }
  }

  /** The first frame, of those that came and those to come, that a test asks for. */
  async until(what: string, wanted: (frame: Frame) => boolean): Promise<Frame> {
    return await this.#wait(what, () => this.received.find(wanted))
  }

  /** Resolves once the server has closed the connection. */
  async ended(): Promise<void> {
    await new Promise<void>((resolve) => this.#watch(() => this.#closed, resolve))
  }

  /** All that was sent before this was read by the server: it has answered a PING behind it. */
  async settled(): Promise<void> {
    const mark = `mark ${String(this.received.length % 1000).padStart(3, '0')}`
    const before = this.received.length
    this.send(frames.ping(mark))
    const isAnswer = ({ type, flags, payload }: Frame) =>
      type === FrameType.PING && flags === Flag.ACK && payload.toString('latin1') === mark
    await this.#wait('an answer to PING', () => this.received.slice(before).find(isAnswer))
  }

  /** Resolves when the kernel has taken all that was sent, or the connection is over. */
  async taken(): Promise<void> {
    await new Promise<void>((resolve) => {
      if (this.#socket.destroyed) return resolve()
      this.#socket.write(Buffer.alloc(0), () => resolve())
    })
  }

  /** Drops what came so far, so that a long connection can be used. */
  forget(): void {
    this.received.length = 0
    this.#blocks.clear()
  }

  /** Lets what the server sends lie in the kernel. */
  stopReading(): void {
    this.#socket.pause()
  }

  read(): void {
    this.#socket.resume()
  }

  /** Sends no more, but reads. */
  half(): void {
    this.#socket.end()
  }

  /** Goes without a word. */
  destroy(): void {
    this.#socket.destroy()
  }

  #take(chunk: Buffer): void {
    for (const frame of this.#reader.read(chunk)) {
      this.received.push(frame)
      // The server sends no CONTINUATION and no padding; a test of a server that does would see it here.
      if (frame.type === FrameType.HEADERS) this.#blocks.set(frame, this.#decode(frame.payload))
      if (this.#polite) this.#answer(frame)
    }
    this.#notify()
  }

  #answer({ type, flags, stream, payload }: Frame): void {
    if (type === FrameType.SETTINGS && flags === 0) this.send(frames.settingsAck())
    if (type === FrameType.PING && flags === 0) this.send(frames.ping(payload.toString('latin1'), Flag.ACK))
    if (type !== FrameType.DATA || payload.length === 0) return
    this.send(frames.windowUpdate(0, payload.length))
    if ((flags & Flag.END_STREAM) === 0) this.send(frames.windowUpdate(stream, payload.length))
  }

  #decode(block: Buffer): Record<string, string> {
    const fields: Record<string, string> = {}
    this.#decoder.decode(block, 0, block.length, { field: (name, value) => (fields[name] = value) })
    return fields
  }

  #wait<T>(what: string, look: () => T | undefined): Promise<T> {
    return new Promise((resolve, reject) => {
      let found: T | undefined
      const done = () => {
        found = look()
        return found !== undefined || this.#closed
      }
      this.#watch(done, () => {
        if (found !== undefined) resolve(found)
        else reject(new Error(`the server closed the connection without ${what}; it sent ${this.#summary()}`))
      })
    })
  }

  #watch(done: () => boolean, finish: () => void): void {
    if (done()) return finish()
    const watcher = () => {
      if (!done()) return
      this.#watchers.delete(watcher)
      finish()
    }
    this.#watchers.add(watcher)
  }

  #notify(): void {
    for (const watcher of this.#watchers) watcher()
  }

  #summary(): string {
    const names = new Map<number, string>(Object.entries(FrameType).map(([name, type]) => [type, name]))
    const show = ({ type, stream, payload }: Frame) =>
      `${names.get(type) ?? type}(${stream})${type === FrameType.GOAWAY ? ` code ${payload.readUInt32BE(4)}` : ''}`
    return this.received.slice(-20).map(show).join(', ') || 'nothing'
  }
}

function endsStream({ type, flags }: Frame): boolean {
  return (type === FrameType.DATA || type === FrameType.HEADERS) && (flags & Flag.END_STREAM) !== 0
}

function connected({ port, path, tls }: Target): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const place = path === undefined ? { host: '127.0.0.1', port: port ?? 0 } : { path }
    const socket =
      tls === undefined
        ? connect(place, () => resolve(socket))
        : connectTls({ ALPNProtocols: ['h2'], servername: 'localhost', ...place, ...tls }, () => resolve(socket))
    socket.once('error', reject)
  })
}
