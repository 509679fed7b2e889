// What a connection has to send: collected over a turn of the event loop and written at once, since a write costs as much
// as a call.

import type { Socket } from 'node:net'
import { FrameType, HEAD_BYTES, writeHead, writeUint32 } from '../../wire/http2/frames.ts'
import { OK_TRAILERS, RESPONSE_HEADERS, UNARY_HEAD, UNARY_HEAD_DATA, withoutTable } from './replies.ts'

/** Sizes of the buffers that are filled; one connection in many has more to say than the least in a turn. */
const SIZES = [4_096, 16_384, 65_536] as const
const LARGEST = 65_536
/** Buffers of a size that are kept for reuse. */
const KEPT = 64
/**
 * Bytes that the peer has not taken, beyond which nothing more is asked of it and nothing more sent that can wait: of a
 * connection, and of one while all together hold too many.
 */
const HIGH_BYTES = 1024 * 1024
const CROWDED_BYTES = 65_536
/** What all connections may hold before they count as too many. */
const ALL_BYTES = 64 * 1024 * 1024

const NOTHING = Buffer.alloc(0)

/** What all connections of this process hold. */
let allUnsent = 0

/** Buffers that have been written out. All connections of a process share them. */
const spare: readonly Buffer[][] = SIZES.map(() => [])

function takeBuffer(bytes: number): Buffer {
  for (const [index, size] of SIZES.entries())
    if (bytes <= size) return spare[index]?.pop() ?? Buffer.allocUnsafeSlow(size)
  return Buffer.allocUnsafeSlow(bytes)
}

function giveBuffer(buffer: Buffer): void {
  const kept = spare[SIZES.indexOf(buffer.length as (typeof SIZES)[number])]
  if (kept !== undefined && kept.length < KEPT) kept.push(buffer)
}

function highBytes(): number {
  return allUnsent > ALL_BYTES ? CROWDED_BYTES : HIGH_BYTES
}

/** Connections that have something to send, flushed together when this turn has read its sockets. */
let dirty: Output[] = []

function flushAll(): void {
  const outputs = dirty
  dirty = []
  for (const output of outputs) output.endTurn()
}

export interface OutputOwner {
  /** The turn ends: the last moment to write something. */
  beforeFlush(): void
  /** The peer has taken some; `full` may be over. */
  taken(): void
}

export class Output {
  readonly #socket: Socket
  readonly #owner: OutputOwner
  #buffer: Buffer = NOTHING
  #at = 0
  #dirty = false
  /** Buffers that the socket has, the oldest first, and how many bytes of each. */
  readonly #sent: Buffer[] = []
  readonly #sentBytes: number[] = []
  #unsent = 0
  #full = false
  /** Whether the peer has been told that we use no table of headers; `due`: the next header block must say so. */
  #table: 'unsaid' | 'due' | 'said' = 'unsaid'
  /** Counts what the peer has taken, so that its standing still can be seen. */
  progress = 0

  constructor(socket: Socket, owner: OutputOwner) {
    this.#socket = socket
    this.#owner = owner
  }

  /** The peer reads too slowly: what can wait, waits. */
  get full(): boolean {
    return this.#full
  }

  /** Bytes that the peer has not taken. */
  get unsent(): number {
    return this.#unsent + this.#at
  }

  /** Sees to it that what is written from now on leaves at the end of this turn. */
  touch(): void {
    if (this.#dirty) return
    this.#dirty = true
    if (dirty.push(this) === 1) setImmediate(flushAll)
  }

  /**
   * The peer makes its table of headers smaller than all have it at first, and waits for us to do the same (RFC 7541, section
   * 4.2). We never use one, so it is given up for good.
   */
  giveUpTable(): void {
    if (this.#table === 'unsaid') this.#table = 'due'
  }

  /** Appends whole frames. */
  write(bytes: Uint8Array): void {
    const at = this.#room(bytes.length)
    this.#buffer.set(bytes, at)
  }

  /** Appends a frame of headers that was made for any stream. */
  writeFor(id: number, template: Buffer): void {
    if (this.#table === 'due') {
      this.#table = 'said'
      return this.writeFor(id, withoutTable(template))
    }
    const at = this.#room(template.length)
    this.#buffer.set(template, at)
    writeUint32(this.#buffer, at + 5, id)
  }

  /** Appends a DATA frame. */
  data(id: number, flags: number, bytes: Uint8Array): void {
    const at = this.#room(HEAD_BYTES + bytes.length)
    this.#buffer.set(bytes, writeHead(this.#buffer, at, bytes.length, FrameType.DATA, flags, id))
  }

  /** Appends a whole unary reply: headers, one message and trailers, so that a caller gets all of it or nothing. */
  unary(id: number, message: Uint8Array): void {
    if (this.#table === 'due') {
      this.writeFor(id, RESPONSE_HEADERS)
      this.message(id, message)
      return this.writeFor(id, OK_TRAILERS)
    }
    const { length } = message
    let at = this.#room(UNARY_HEAD.length + length + OK_TRAILERS.length)
    const buffer = this.#buffer
    buffer.set(UNARY_HEAD, at)
    writeUint32(buffer, at + 5, id)
    const data = at + UNARY_HEAD_DATA
    const size = length + 5
    buffer[data] = size >>> 16
    buffer[data + 1] = size >>> 8
    buffer[data + 2] = size
    writeUint32(buffer, data + 5, id)
    writeUint32(buffer, data + HEAD_BYTES + 1, length)
    at += UNARY_HEAD.length
    buffer.set(message, at)
    at += length
    buffer.set(OK_TRAILERS, at)
    writeUint32(buffer, at + 5, id)
  }

  /** Appends one gRPC message as a DATA frame. */
  message(id: number, message: Uint8Array): void {
    const at = this.#room(HEAD_BYTES + 5 + message.length)
    const buffer = this.#buffer
    const prefix = writeHead(buffer, at, message.length + 5, FrameType.DATA, 0, id)
    buffer[prefix] = 0
    writeUint32(buffer, prefix + 1, message.length)
    buffer.set(message, prefix + 5)
  }

  /**
   * Ends the turn for this connection. While the peer takes nothing, what it is sent waits in one buffer: each turn's own would
   * hold far more than is in it.
   */
  endTurn(): void {
    this.#owner.beforeFlush()
    this.#dirty = false
    if (this.#sent.length === 0 || this.#at >= LARGEST / 2) this.#hand()
    else if (this.unsent > highBytes()) this.#full = true
  }

  /** Hands everything to the socket, before it is closed. */
  flush(): void {
    this.#owner.beforeFlush()
    this.#dirty = false
    this.#hand()
  }

  /** Hands everything to the socket. */
  #hand(): void {
    if (this.#at === 0) return
    const buffer = this.#buffer
    const bytes = this.#at
    this.#buffer = NOTHING
    this.#at = 0
    if (this.#socket.destroyed || this.#socket.writableEnded) return giveBuffer(buffer)
    this.#sent.push(buffer)
    this.#sentBytes.push(bytes)
    this.#unsent += bytes
    allUnsent += bytes
    if (this.#unsent > highBytes()) this.#full = true
    this.#socket.write(bytes === buffer.length ? buffer : buffer.subarray(0, bytes), this.#onWritten)
  }

  /** Room for `bytes` at the offset that it gives. */
  #room(bytes: number): number {
    const at = this.#at
    const end = at + bytes
    if (end > this.#buffer.length) return this.#grow(bytes)
    this.#at = end
    return at
  }

  #grow(bytes: number): number {
    this.touch()
    if (this.#at + bytes > LARGEST) this.#hand()
    const buffer = takeBuffer(this.#at + bytes)
    if (this.#at > 0) {
      this.#buffer.copy(buffer, 0, 0, this.#at)
      giveBuffer(this.#buffer)
    }
    this.#buffer = buffer
    const at = this.#at
    this.#at = at + bytes
    return at
  }

  readonly #onWritten = (): void => {
    const buffer = this.#sent.shift()
    const bytes = this.#sentBytes.shift() ?? 0
    this.#unsent -= bytes
    allUnsent -= bytes
    this.progress++
    if (buffer !== undefined) giveBuffer(buffer)
    if (this.#sent.length === 0 && this.#at > 0) this.touch()
    if (this.unsent < highBytes() / 2) this.#full = false
    this.#owner.taken()
  }
}
