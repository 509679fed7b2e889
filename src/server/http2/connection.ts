// One HTTP/2 connection, server side (RFC 9113): reads frames, keeps its streams, and ends it in good order.

import type { Socket } from 'node:net'
import type { Clock, Random } from '../../kernel/ports.ts'
import { AbuseBounds } from '../../wire/http2/abuse-bounds.ts'
import { ConnectionCare, type ConnectionTimes, type ConnectionView } from './connection-care.ts'
import { type CloseReason, ConnectionError } from '../../wire/http2/connection-error.ts'
import { FrameReader, type FrameSink } from '../../wire/http2/frame-reader.ts'
import { checkFrame } from '../../wire/http2/frame-rules.ts'
import {
  DEFAULT_WINDOW,
  ErrorCode,
  Flag,
  FRAME_BYTES,
  frame,
  FrameType,
  goAway,
  HEAD_BYTES,
  MAX_31_BITS,
  PREFACE,
  readUint32,
  Setting,
  settings,
  SETTINGS_ACK,
  windowUpdate,
} from '../../wire/http2/frames.ts'
import { MAX_BLOCK_BYTES } from '../../wire/http2/header-block.ts'
import { HeaderIntake, MAX_LIST_BYTES } from './header-intake.ts'
import { DEFAULT_TABLE_BYTES } from '../../wire/http2/hpack/dynamic-table.ts'
import { HpackError } from '../../wire/http2/hpack/hpack-error.ts'
import { MemoryBudget } from '../../wire/http2/memory-budget.ts'
import { Output, type OutputOwner } from './output.ts'
import { readSettings } from '../../wire/http2/peer-settings.ts'
import type { HeadReader } from './request-head.ts'
import { CONNECTION_WINDOW, Streams, type StreamsOptions, type StreamsOwner } from './streams.ts'

/** What connections have of their server. */
export interface ConnectionOptions extends StreamsOptions {
  readonly clock: Clock
  readonly random: Random
  readonly heads: HeadReader
  readonly times: ConnectionTimes
  /** For requests of all connections that have not come as a whole. */
  readonly budget: MemoryBudget
  /** How long what is read now has waited. */
  waitedMs(): number
  onClose(connection: Connection, reason: CloseReason): void
}

/** How long the peer has to take our last words, and for how long what it still sends is read when they are on their way. */
const GOODBYE_MS = 5_000
const LINGER_MS = 250

/** Room for a frame and a header block of which not all has come. */
const FRAME_RESERVE = FRAME_BYTES + MAX_BLOCK_BYTES + HEAD_BYTES
/** What a connection has whatever others do: a frame, and as much of messages. */
const OWN_BYTES = 2 * (FRAME_BYTES + HEAD_BYTES)

/**
 * For how long calls are taken of a peer that has said that it knows that we go: peers answer PINGs before they send what they
 * have in hand (nghttp2 does, and so Envoy and Node), and some callers try once more and no more.
 */
const SETTLE_MS = 100

/** What PINGs say: that the peer is asked to go, and whether it is there. */
const DRAIN = Buffer.from('draining')
const ALIVE = Buffer.from('alive?  ')

export class Connection implements StreamsOwner, OutputOwner, FrameSink {
  readonly budget: MemoryBudget
  readonly output: Output
  readonly bounds: AbuseBounds
  readonly #socket: Socket
  readonly #options: ConnectionOptions
  readonly #care: ConnectionCare
  readonly #reader: FrameReader
  readonly #streams: Streams
  readonly #headers: HeaderIntake
  #prefaceBytes = 0
  #settled = false
  /** The peer is not read, since it does not read. */
  #held = false
  #peer: string | undefined
  #arrivedAt = 0
  /** `asked`: the peer was told to begin no more streams. `told`: those that it begins are not taken. */
  #goingAway: 'no' | 'asked' | 'told' = 'no'
  #closed: CloseReason | undefined
  #cancelTell = () => {}
  #cancelDestroy = () => {}

  constructor(socket: Socket, options: ConnectionOptions) {
    this.#socket = socket
    this.#options = options
    this.budget = new MemoryBudget(options.limits.budgetBytes, options.budget, {
      reserve: FRAME_RESERVE,
      own: OWN_BYTES,
    })
    this.output = new Output(socket, this)
    this.#reader = new FrameReader(this, this.budget)
    this.bounds = new AbuseBounds(options.clock)
    this.#care = new ConnectionCare(options)
    this.#streams = new Streams(this, options)
    this.#headers = new HeaderIntake(options.heads, this.#streams, this.budget)
    socket.on('data', (bytes: Buffer) => this.#read(bytes))
    socket.on('error', () => {})
    socket.on('close', () => this.#gone())
    this.output.write(
      settings([
        [Setting.MAX_CONCURRENT_STREAMS, options.maxConcurrentStreams],
        [Setting.MAX_HEADER_LIST_SIZE, MAX_LIST_BYTES],
      ]),
    )
    this.output.write(windowUpdate(0, CONNECTION_WINDOW - DEFAULT_WINDOW))
  }

  get peer(): string {
    if (this.#peer === undefined) {
      const { remoteAddress, remotePort } = this.#socket
      this.#peer = remoteAddress === undefined ? 'unix:' : `${remoteAddress}:${remotePort}`
    }
    return this.#peer
  }

  arrivedAt(): number {
    if (this.#arrivedAt === 0) this.#arrivedAt = this.#options.clock.now() - this.#options.waitedMs()
    return this.#arrivedAt
  }

  /** Asks the peer to begin no more calls here, and closes when those that it has begun are answered. */
  retire(reason: CloseReason): void {
    if (this.#goingAway !== 'no' || this.#closed !== undefined) return
    this.#goingAway = 'asked'
    this.#care.retired(reason)
    // The peer may have begun calls that are under way: they are taken until it is sure to know (section 6.8).
    this.output.write(goAway(MAX_31_BITS, ErrorCode.NO_ERROR, reason))
    this.output.write(frame(FrameType.PING, 0, 0, DRAIN))
    // A server that drains tells its services itself.
    if (reason !== 'drain') this.#streams.leave()
  }

  /** Fails calls whose request is not there: they are to be asked of another. */
  failIncomplete(): void {
    if (this.#closed === undefined) this.#streams.failIncomplete()
  }

  /** Takes no more calls, fails those whose request is not there, and closes when the others are answered. */
  finish(reason: CloseReason): void {
    if (this.#closed !== undefined) return
    if (!this.#settled) return this.#close('handshake')
    this.#care.retired(reason)
    this.#streams.failIncomplete()
    this.#tellLast(reason)
  }

  /** Cuts it off. */
  destroy(reason: CloseReason): void {
    this.#closed ??= reason
    this.#socket.destroy()
  }

  /** Looks whether the peer keeps to its times; called every second. */
  check(now: number): void {
    if (this.#closed !== undefined) return
    const { output } = this
    const todo = this.#care.check({
      now,
      phase: this.#phase(),
      within: this.#headers.within,
      unsent: output.unsent,
      progress: output.progress,
      streams: this.#streams.size,
    })
    if (todo === 'ping') output.write(frame(FrameType.PING, 0, 0, ALIVE))
    else if (todo === 'finish') this.finish(this.#care.reason)
    else if (todo === 'idle' || todo === 'age') this.retire(todo)
    else if (todo !== undefined) return this.destroy(todo)
    this.#streams.check()
  }

  #phase(): ConnectionView['phase'] {
    if (!this.#settled) return 'opening'
    return this.#goingAway === 'no' ? 'open' : 'retiring'
  }

  beforeFlush(): void {
    this.#streams.pump()
  }

  taken(): void {
    if (this.output.full) return
    if (this.#held) {
      this.#held = false
      this.#socket.resume()
    }
    this.#streams.outputTaken()
  }

  done(): void {
    this.#close(this.#care.reason)
  }

  #read(bytes: Buffer): void {
    if (this.#closed !== undefined) return
    this.#care.heard(this.#options.clock.monotonic())
    this.#arrivedAt = 0
    // Before admission hears of the turn's first call: the turn ends with what it sends.
    this.output.touch()
    try {
      const from = this.#prefaceBytes === PREFACE.length ? 0 : this.#preface(bytes)
      this.#reader.read(bytes, from)
    } catch (caught) {
      this.#fail(caught)
    }
    if (!this.output.full || this.#closed !== undefined) return
    this.#held = true
    this.#socket.pause()
  }

  #preface(bytes: Buffer): number {
    const length = Math.min(bytes.length, PREFACE.length - this.#prefaceBytes)
    const expected = PREFACE.subarray(this.#prefaceBytes, this.#prefaceBytes + length)
    if (bytes.compare(expected, 0, length, 0, length) !== 0)
      throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, 'this is not HTTP/2: gRPC is spoken here', 'handshake')
    this.#prefaceBytes += length
    return length
  }

  #fail(caught: unknown): void {
    if (caught instanceof ConnectionError) return this.#abandon(caught.code, caught.message, caught.reason)
    if (caught instanceof HpackError) return this.#abandon(ErrorCode.COMPRESSION_ERROR, caught.message, 'protocol')
    this.#options.limits.onFault(caught, 'a connection failed')
    this.#abandon(ErrorCode.INTERNAL_ERROR, 'internal error', 'protocol')
  }

  /** Ends it with an error. */
  #abandon(code: number, why: string, reason: CloseReason): void {
    this.output.write(goAway(this.#streams.lastTaken, code, why))
    this.#close(reason)
  }

  #tellLast(why: string): void {
    if (this.#goingAway === 'told' || this.#closed !== undefined) return
    this.#goingAway = 'told'
    this.output.write(goAway(this.#streams.lastTaken, ErrorCode.NO_ERROR, why))
    this.#streams.close()
  }

  /** Sends what is left, and closes. What the peer still sends is read and dropped, or it would not get our last words. */
  #close(reason: CloseReason): void {
    if (this.#closed !== undefined) return
    this.#closed = reason
    this.#cancelTell()
    this.#stopReading()
    this.#streams.cancelAll()
    this.output.flush()
    this.#socket.resume()
    this.#destroyAfter(GOODBYE_MS)
    this.#socket.end(() => this.#destroyAfter(LINGER_MS))
  }

  #destroyAfter(ms: number): void {
    this.#cancelDestroy()
    this.#cancelDestroy = this.#options.clock.after(ms, () => this.#socket.destroy())
  }

  #stopReading(): void {
    this.#reader.stop()
    this.#headers.stop()
  }

  #gone(): void {
    this.#cancelTell()
    this.#cancelDestroy()
    this.#closed ??= 'peer'
    this.#stopReading()
    this.#streams.cancelAll()
    this.#options.onClose(this, this.#closed)
  }

  frame(type: number, flags: number, id: number, bytes: Buffer, start: number, end: number): void {
    if (this.#headers.within && type !== FrameType.CONTINUATION)
      throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, 'a header block is interrupted')
    if (!this.#settled && type !== FrameType.SETTINGS)
      throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, 'the first frame is not SETTINGS', 'handshake')
    checkFrame(type, id, end - start)
    switch (type) {
      case FrameType.DATA:
        return this.#streams.data(flags, id, bytes, start, end)
      case FrameType.HEADERS:
        return this.#headers.headers(flags, id, bytes, start, end)
      case FrameType.CONTINUATION:
        return this.#headers.continuation(flags, id, bytes, start, end)
      case FrameType.RST_STREAM:
        return this.#streams.resetByPeer(id)
      case FrameType.PUSH_PROMISE:
        throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, 'clients push nothing')
    }
    // What is left carries nothing of a call. The first SETTINGS must come.
    if (this.#settled) this.bounds.nuisance()
    switch (type) {
      case FrameType.WINDOW_UPDATE:
        return this.#streams.windowUpdate(id, readUint32(bytes, start) & MAX_31_BITS)
      case FrameType.SETTINGS:
        return this.#settings(flags, bytes, start, end)
      case FrameType.PING:
        return this.#ping(flags, bytes.subarray(start, end))
      case FrameType.GOAWAY:
        return this.#peerGoes()
      case FrameType.PRIORITY:
        // Of no use here (section 5.3.2), but to be well-formed.
        if ((readUint32(bytes, start) & MAX_31_BITS) === id)
          throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, 'a stream depends on itself')
    }
  }

  #settings(flags: number, bytes: Buffer, start: number, end: number): void {
    if ((flags & Flag.ACK) !== 0) {
      if (end !== start) throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, 'an ACK of SETTINGS has a payload')
      if (!this.#settled)
        throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, 'the first SETTINGS is an ACK', 'handshake')
      return
    }
    this.#settled = true
    const { initialWindow, tableBytes } = readSettings(bytes, start, end)
    this.output.write(SETTINGS_ACK)
    if (tableBytes !== undefined && tableBytes < DEFAULT_TABLE_BYTES) this.output.giveUpTable()
    if (initialWindow !== undefined) this.#streams.setInitialWindow(initialWindow)
  }

  #ping(flags: number, payload: Buffer): void {
    if ((flags & Flag.ACK) === 0) this.output.write(frame(FrameType.PING, Flag.ACK, 0, payload))
    else if (this.#goingAway === 'asked' && payload.equals(DRAIN)) {
      this.#cancelTell()
      this.#cancelTell = this.#options.clock.after(SETTLE_MS, () => this.#tellLast(this.#care.reason))
    }
  }

  /** The peer begins no more streams: what it has begun is answered. */
  #peerGoes(): void {
    this.#care.retired('peer')
    this.#tellLast('you go')
  }
}
