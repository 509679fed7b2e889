// The client's side of a connection of HTTP/2 (RFC 9113), as much of it as calls of gRPC need. Node's own would take 10 MB of memory, with
// TLS and all else that it loads.

import type { Socket } from 'node:net'
import type { Clock } from '../../kernel/ports.ts'
import { AbuseBounds } from '../../wire/http2/abuse-bounds.ts'
import { ConnectionError } from '../../wire/http2/connection-error.ts'
import { FrameReader, type FrameSink } from '../../wire/http2/frame-reader.ts'
import { checkFrame, paddingOf } from '../../wire/http2/frame-rules.ts'
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
  resetStream,
  Setting,
  settings,
  SETTINGS_ACK,
  windowUpdate,
  writeHead,
} from '../../wire/http2/frames.ts'
import { HeaderBlock } from '../../wire/http2/header-block.ts'
import { HpackDecoder } from '../../wire/http2/hpack/decoder.ts'
import { DEFAULT_TABLE_BYTES } from '../../wire/http2/hpack/dynamic-table.ts'
import { encodeFields } from '../../wire/http2/hpack/encode-fields.ts'
import type { Field } from '../../wire/http2/hpack/hpack-error.ts'
import { writeResize } from '../../wire/http2/hpack/representation.ts'
import { MemoryBudget } from '../../wire/http2/memory-budget.ts'
import { readSettings } from '../../wire/http2/peer-settings.ts'
import { AnswerFields } from './answer-fields.ts'
import { MessageRefused } from './grpc-messages.ts'
import { Http2Output } from './http2-output.ts'
import { Http2Stream, NotBegun, type StreamEvents } from './http2-stream.ts'

/** What a node may send before it is read, of a stream and of all together. */
const WINDOW_BYTES = 4 * 1024 * 1024
/** Largest list of fields that a node may answer with. */
const MAX_LIST_BYTES = 65_536
/** For a frame and a header block of which not all has come. */
const BUDGET_BYTES = 512 * 1024
const PRIORITY_BYTES = 5
/** Streams that begin before the peer has said how many it takes: the least that it should (RFC 9113, section 6.5.2). */
const FIRST_STREAMS = 100
/** How long the last words may take. */
const GOODBYE_MS = 5_000

export interface SessionEvents {
  /** The peer speaks HTTP/2. */
  settled(): void
  /** The connection has ended; told once, and not after `destroy` or `end`. */
  lost(cause: unknown): void
}

export class Http2Session implements FrameSink {
  readonly #socket: Socket
  readonly #events: SessionEvents
  readonly #clock: Clock
  readonly #bounds: AbuseBounds
  readonly #output: Http2Output
  readonly #reader: FrameReader
  readonly #budget = new MemoryBudget(BUDGET_BYTES)
  readonly #decoder = new HpackDecoder({ maxTableBytes: DEFAULT_TABLE_BYTES, maxListBytes: MAX_LIST_BYTES })
  readonly #streams = new Map<number, Http2Stream>()
  /** Those that begin when the peer takes more. */
  readonly #pending: Http2Stream[] = []
  #block: HeaderBlock | undefined
  #nextId: number
  #maxStreams = FIRST_STREAMS
  #initialWindow = DEFAULT_WINDOW
  #sendWindow = DEFAULT_WINDOW
  /** Bytes that came since the peer was last told that there is room. */
  #received = 0
  /** The peer's table of headers is smaller than it is at first, and has not been told that we use none. */
  #isTableDue = false
  #isSettled = false
  #isGoingAway = false
  #isOver = false
  #cancelGoodbye = () => {}

  /** @param firstId of its streams; each has the next odd number, and no connection more of them than there are */
  constructor(socket: Socket, events: SessionEvents, clock: Clock, firstId = 1) {
    this.#socket = socket
    this.#events = events
    this.#clock = clock
    this.#bounds = new AbuseBounds(clock)
    this.#nextId = firstId
    this.#reader = new FrameReader(this, this.#budget)
    this.#output = new Http2Output(socket, () => {
      this.#sendAll()
      this.#begin()
    })
    socket.unref()
    socket.on('data', (bytes: Buffer) => this.#read(bytes))
    socket.on('error', (error) => this.#lost(error))
    // What the peer has not said by then it never will, whether or not it reads.
    socket.on('end', () => this.#lost(undefined))
    socket.on('close', () => this.#lost(undefined))
    this.#output.write(PREFACE)
    this.#output.write(
      settings([
        [Setting.ENABLE_PUSH, 0],
        [Setting.INITIAL_WINDOW_SIZE, WINDOW_BYTES],
        [Setting.MAX_HEADER_LIST_SIZE, MAX_LIST_BYTES],
      ]),
    )
    this.#output.write(windowUpdate(0, WINDOW_BYTES - DEFAULT_WINDOW))
  }

  /** The peer takes no more streams here, or there is no connection any more. */
  get isClosed(): boolean {
    return this.#isGoingAway || this.#isOver
  }

  /** Bytes that are handed to the socket and not sent. */
  get unsent(): number {
    return this.#output.unsent
  }

  /**
   * Begins a stream, at once or when the peer takes one more.
   * @throws NotBegun where the connection is closed, HpackError where the fields cannot be sent
   */
  request(fields: readonly Field[], events: StreamEvents): Http2Stream {
    if (this.isClosed) throw noMore()
    const stream = new Http2Stream(this, encodeFields(fields), events)
    this.#pending.push(stream)
    this.#begin()
    return stream
  }

  /** Ends it at once. Streams are told nothing. */
  destroy(): void {
    this.#isOver = true
    this.#cancelGoodbye()
    this.#reader.stop()
    this.#socket.destroy()
  }

  /** Ends it when what was written has been sent, or has not been for long. Streams are told nothing. */
  end(ended: () => void): void {
    if (this.#isOver) return
    this.#output.write(goAway(0, ErrorCode.NO_ERROR, ''))
    this.#isOver = true
    this.#reader.stop()
    // Not a timeout of the socket: a peer that goes on sending would put it off.
    this.#cancelGoodbye = this.#clock.after(GOODBYE_MS, () => this.#socket.destroy())
    this.#socket.once('close', () => {
      this.#cancelGoodbye()
      ended()
    })
    this.#socket.destroySoon()
  }

  /** Sends what a stream has, as far as the windows allow, and the socket is not behind. */
  send(stream: Http2Stream): void {
    // It has not begun, or is over.
    if (this.#isOver || this.#streams.get(stream.id) !== stream) return
    while (!this.#output.isFull) {
      const room = Math.min(FRAME_BYTES, this.#sendWindow, stream.window)
      const bytes = stream.take(Math.max(0, room))
      if (bytes === undefined) return
      this.#sendWindow -= bytes.length
      stream.window -= bytes.length
      this.#bounds.dataPassed()
      const head = Buffer.alloc(HEAD_BYTES)
      writeHead(head, 0, bytes.length, FrameType.DATA, stream.isDrained ? Flag.END_STREAM : 0, stream.id)
      this.#output.write(head)
      if (bytes.length > 0) this.#output.write(bytes)
      if (stream.isDrained) return this.#forgetDone(stream)
    }
  }

  /** Ends a stream, of which nothing more is told. */
  reset(stream: Http2Stream, code: number): void {
    if (!this.#forget(stream) || this.#isOver) return
    if (stream.id !== 0) this.#output.write(resetStream(stream.id, code))
    this.#begin()
  }

  frame(type: number, flags: number, id: number, bytes: Buffer, start: number, end: number): void {
    if (this.#block !== undefined && type !== FrameType.CONTINUATION) throw broken('a header block is interrupted')
    if (!this.#isSettled && type !== FrameType.SETTINGS) throw broken('the first frame is not SETTINGS')
    checkFrame(type, id, end - start)
    switch (type) {
      case FrameType.DATA:
        return this.#data(flags, id, bytes, start, end)
      case FrameType.HEADERS:
        return this.#headers(flags, id, bytes, start, end)
      case FrameType.CONTINUATION:
        return this.#continuation(flags, id, bytes, start, end)
      case FrameType.RST_STREAM:
        return this.#resetByPeer(id, readUint32(bytes, start))
      case FrameType.PUSH_PROMISE:
        throw broken('a push came, and none was asked for')
    }
    // What is left carries nothing of an answer. The first SETTINGS must come.
    if (this.#isSettled) this.#bounds.nuisance()
    switch (type) {
      case FrameType.SETTINGS:
        return this.#settings(flags, bytes, start, end)
      case FrameType.PING:
        if ((flags & Flag.ACK) === 0)
          this.#output.acknowledge(frame(FrameType.PING, Flag.ACK, 0, bytes.subarray(start, end)))
        return
      case FrameType.WINDOW_UPDATE:
        return this.#windowUpdate(id, readUint32(bytes, start) & MAX_31_BITS)
      case FrameType.GOAWAY:
        return this.#goAway(readUint32(bytes, start) & MAX_31_BITS, readUint32(bytes, start + 4))
    }
  }

  #read(bytes: Buffer): void {
    if (this.#isOver) return
    try {
      this.#reader.read(bytes, 0)
    } catch (caught) {
      const code = caught instanceof ConnectionError ? caught.code : ErrorCode.COMPRESSION_ERROR
      if (!this.#isOver) this.#output.write(goAway(0, code, ''))
      this.#output.flush()
      this.#lost(caught)
    }
  }

  #settings(flags: number, bytes: Buffer, start: number, end: number): void {
    if ((flags & Flag.ACK) !== 0) {
      if (end > start) throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, 'an ACK of SETTINGS has a payload')
      return
    }
    const { initialWindow, tableBytes, maxStreams } = readSettings(bytes, start, end)
    this.#output.acknowledge(SETTINGS_ACK)
    if (tableBytes !== undefined && tableBytes < DEFAULT_TABLE_BYTES) this.#isTableDue = true
    if (maxStreams !== undefined) this.#maxStreams = maxStreams
    else if (!this.#isSettled) this.#maxStreams = Number.POSITIVE_INFINITY
    if (initialWindow !== undefined) {
      for (const stream of this.#streams.values()) {
        stream.window += initialWindow - this.#initialWindow
        if (stream.window > MAX_31_BITS) throw tooWide()
      }
      this.#initialWindow = initialWindow
      this.#sendAll()
    }
    if (!this.#isSettled) {
      this.#isSettled = true
      this.#events.settled()
    }
    this.#begin()
  }

  /** Begins streams that wait, as far as the peer takes more: of those that end before it does not even hear. */
  #begin(): void {
    while (this.#streams.size < this.#maxStreams && !this.isClosed && !this.#output.isFull) {
      const stream = this.#pending.shift()
      if (stream === undefined) return
      this.#bounds.called()
      stream.id = this.#nextId
      stream.window = this.#initialWindow
      this.#nextId += 2
      this.#streams.set(stream.id, stream)
      this.#output.write(frame(FrameType.HEADERS, Flag.END_HEADERS, stream.id, this.#withTable(stream.head)))
      this.send(stream)
      if (this.#nextId > MAX_31_BITS) this.#closeForMore()
    }
  }

  #withTable(block: Buffer): Buffer {
    if (!this.#isTableDue) return block
    this.#isTableDue = false
    const resize = Buffer.alloc(1)
    writeResize(resize, 0, 0)
    return Buffer.concat([resize, block])
  }

  #sendAll(): void {
    for (const stream of this.#streams.values()) this.send(stream)
  }

  #data(flags: number, id: number, bytes: Buffer, start: number, end: number): void {
    const isLast = (flags & Flag.END_STREAM) !== 0
    if (start === end && !isLast) this.#bounds.nuisance()
    else this.#bounds.dataPassed()
    const isPadded = (flags & Flag.PADDED) !== 0
    const until = isPadded ? end - paddingOf(bytes, start, end) : end
    this.#received += end - start
    if (this.#received >= WINDOW_BYTES / 2) {
      this.#output.write(windowUpdate(0, this.#received))
      this.#received = 0
    }
    const stream = this.#begun(id)
    if (stream === undefined) return
    if (!stream.hasHead) return this.#refuse(stream, 'it does not begin with headers')
    stream.received += end - start
    if (stream.received >= WINDOW_BYTES / 2 && !isLast) {
      this.#output.write(windowUpdate(id, stream.received))
      stream.received = 0
    }
    stream.events.data(bytes.subarray(isPadded ? start + 1 : start, until))
    if (isLast) this.#ended(stream)
  }

  #headers(flags: number, id: number, bytes: Buffer, start: number, end: number): void {
    let [from, until] = [start, end]
    if ((flags & Flag.PADDED) !== 0) {
      until -= paddingOf(bytes, start, end)
      from++
    }
    if ((flags & Flag.PRIORITY) !== 0) from += PRIORITY_BYTES
    if (from > until) throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, 'HEADERS is too short')
    const isLast = (flags & Flag.END_STREAM) !== 0
    if ((flags & Flag.END_HEADERS) !== 0) return this.#fields(id, isLast, bytes, from, until)
    this.#block = new HeaderBlock(this.#budget, id, isLast, false)
    this.#block.add(bytes, from, until)
  }

  #continuation(flags: number, id: number, bytes: Buffer, start: number, end: number): void {
    const block = this.#block
    if (block === undefined || block.id !== id) throw broken('CONTINUATION continues nothing')
    block.add(bytes, start, end)
    if ((flags & Flag.END_HEADERS) === 0) return
    this.#block = undefined
    const whole = block.whole()
    block.release()
    this.#fields(id, block.endStream, whole, 0, whole.length)
  }

  /** Every block is decoded, also of a stream that is gone: the table follows from all of them. */
  #fields(id: number, isLast: boolean, bytes: Buffer, start: number, end: number): void {
    const block = new AnswerFields()
    const read = this.#decoder.decode(bytes, start, end, block)
    const stream = this.#begun(id)
    if (stream === undefined) return this.#bounds.nuisance()
    const kind = read === 'ok' ? block.kind(isLast, stream.hasHead) : 'malformed'
    if (kind === 'malformed') return this.#refuse(stream, 'its headers are malformed, or too many')
    if (kind === 'interim') return this.#bounds.nuisance()
    stream.hasHead = true
    stream.events.headers(block.fields)
    if (isLast) this.#ended(stream)
  }

  #windowUpdate(id: number, bytes: number): void {
    if (id !== 0) return this.#widen(id, bytes)
    if (bytes === 0) throw broken('a window is opened by nothing')
    const wasShut = this.#sendWindow === 0
    this.#sendWindow += bytes
    if (this.#sendWindow > MAX_31_BITS) throw tooWide()
    if (wasShut) this.#sendAll()
  }

  #widen(id: number, bytes: number): void {
    const stream = this.#begun(id)
    if (stream === undefined) return
    stream.window += bytes
    if (bytes === 0) this.#refuse(stream, 'its window is opened by nothing')
    else if (stream.window > MAX_31_BITS) this.#refuse(stream, 'its window is too large', ErrorCode.FLOW_CONTROL_ERROR)
    else this.send(stream)
  }

  /** The stream of a frame, where it is not over. @throws ConnectionError where it was never begun */
  #begun(id: number): Http2Stream | undefined {
    if (id >= this.#nextId || id % 2 === 0) throw broken('a frame is of a stream that was not begun')
    return this.#streams.get(id)
  }

  /** Ends a stream of which the peer says what none may hold. */
  #refuse(stream: Http2Stream, why: string, code: number = ErrorCode.PROTOCOL_ERROR): void {
    this.reset(stream, code)
    stream.events.failed(new MessageRefused(`the answer cannot be read: ${why}`))
  }

  #goAway(lastId: number, code: number): void {
    this.#isGoingAway = true
    if (code !== ErrorCode.NO_ERROR) return this.#lost(new Error(`the node ended the connection (${code})`))
    for (const [id, stream] of this.#streams) if (id > lastId) this.#fail(stream, noMore())
    this.#closeForMore()
  }

  #closeForMore(): void {
    this.#isGoingAway = true
    for (const stream of this.#pending.splice(0)) stream.events.failed(noMore())
  }

  /** The peer has said all; what it did not wait for is not sent any more. */
  #ended(stream: Http2Stream): void {
    // Who heard the last of it may have taken the call back.
    if (this.#streams.get(stream.id) !== stream) return
    stream.isAnswered = true
    if (!stream.isDrained) this.reset(stream, ErrorCode.NO_ERROR)
    else this.#forgetDone(stream)
    stream.events.ended()
  }

  #resetByPeer(id: number, code: number): void {
    const stream = this.#begun(id)
    if (stream === undefined) return this.#bounds.nuisance()
    const why = `the node reset the stream (${code})`
    this.#fail(stream, code === ErrorCode.REFUSED_STREAM ? new NotBegun(why) : new Error(why))
  }

  #fail(stream: Http2Stream, error: Error): void {
    this.#forget(stream)
    stream.events.failed(error)
    this.#begin()
  }

  #forgetDone(stream: Http2Stream): void {
    if (!stream.isAnswered) return
    this.#forget(stream)
    this.#begin()
  }

  #forget(stream: Http2Stream): boolean {
    const at = this.#pending.indexOf(stream)
    if (at >= 0) this.#pending.splice(at, 1)
    return this.#streams.delete(stream.id) || at >= 0
  }

  #lost(cause: unknown): void {
    if (this.#isOver) return
    this.destroy()
    this.#events.lost(cause)
  }
}

function noMore(): NotBegun {
  return new NotBegun('the connection takes no more streams')
}

function tooWide(): ConnectionError {
  return new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, 'a window is too large')
}

function broken(what: string): ConnectionError {
  return new ConnectionError(ErrorCode.PROTOCOL_ERROR, what)
}
