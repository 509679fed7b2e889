// The streams of a connection: opened by headers, fed with data, sending in turn, closed from either side.

import { SHUTTING_DOWN } from '../grpc-gate.ts'
import type { AbuseBounds } from '../../wire/http2/abuse-bounds.ts'
import { AnsweredCall } from './answered-call.ts'
import { ConnectionError } from '../../wire/http2/connection-error.ts'
import { paddingOf } from '../../wire/http2/frame-rules.ts'
import { DEFAULT_WINDOW, ErrorCode, Flag, MAX_31_BITS, resetStream, windowUpdate } from '../../wire/http2/frames.ts'
import type { HeaderTarget } from './header-intake.ts'
import { MemoryBudget } from '../../wire/http2/memory-budget.ts'
import type { Output } from './output.ts'
import type { CallHead, RequestHead } from './request-head.ts'
import { StreamCall } from './stream-call.ts'
import type { StreamHost, StreamLimits, Waiting, WhenSent } from './stream-host.ts'
import { UnaryCall } from './unary-call.ts'

type Stream = UnaryCall | StreamCall | AnsweredCall

/** What all streams together may have under way: as much as a fast network holds. */
export const CONNECTION_WINDOW = 1024 * 1024
/** Streams that we reset, for which the peer may not know it yet. */
const REMEMBERED_RESETS = 256
/** Looks (of a second) that an answer may wait for the peer to take any of it. */
const STALLED_LOOKS = 30

/** What may wait on a connection for windows, however much waits on others: the answers of some calls. */
const OWN_UNSENT_BYTES = 16 * 1024

export interface StreamsOptions {
  readonly limits: StreamLimits
  /** For answers of all connections that wait until their peers give windows. */
  readonly unsentBudget: MemoryBudget
  readonly maxConcurrentStreams: number
  /** How long a call is taken to wait that does not say. */
  readonly defaultTimeoutMs: number
  /** How many calls all peers together can have waiting here: what is more, they keep back themselves. */
  readonly mostCalls: () => number
  /** A stream was reset by us, with an error of `ErrorCode`. */
  countReset(code: number): void
}

/** What streams have of their connection. */
export interface StreamsOwner {
  /** For requests that have not come as a whole. */
  readonly budget: MemoryBudget
  readonly output: Output
  readonly bounds: AbuseBounds
  readonly peer: string
  arrivedAt(): number
  /** No streams are taken any more, and none is left. */
  done(): void
}

export class Streams implements StreamHost, HeaderTarget {
  readonly limits: StreamLimits
  readonly budget: MemoryBudget
  readonly unsentBudget: MemoryBudget
  readonly output: Output
  sendWindow = DEFAULT_WINDOW
  initialWindow = DEFAULT_WINDOW
  /** The last stream that was taken, which GOAWAY tells. */
  lastTaken = 0
  readonly #options: StreamsOptions
  readonly #owner: StreamsOwner
  /** Open streams; `null` for those that we have answered, whose rest is dropped. */
  readonly #open = new Map<number, Stream | null>()
  /** Streams that have data to send and no room, in their turn. */
  readonly #waiting = new Set<Waiting>()
  /** Streams that hear when what is written now has been sent. */
  readonly #writers = new Set<Waiting>()
  readonly #resets = new Set<number>()
  /** Bytes of DATA since the peer was given a window last. */
  #taken = 0
  #orphans = 0
  #last = 0
  #closing = false

  constructor(owner: StreamsOwner, options: StreamsOptions) {
    this.#owner = owner
    this.#options = options
    this.limits = options.limits
    this.budget = owner.budget
    this.unsentBudget = new MemoryBudget(options.limits.budgetBytes, options.unsentBudget, { own: OWN_UNSENT_BYTES })
    this.output = owner.output
  }

  /** Those that the peer or we have yet to close. */
  get size(): number {
    return this.#open.size
  }

  get peer(): string {
    return this.#owner.peer
  }

  arrivedAt(): number {
    return this.#owner.arrivedAt()
  }

  request(id: number, head: RequestHead, endStream: boolean): void {
    this.#last = id
    if (this.#closing) return
    this.lastTaken = id
    if (head.kind === 'malformed') {
      this.#owner.bounds.nuisance()
      return this.reset(id, ErrorCode.PROTOCOL_ERROR)
    }
    if (this.#open.size + this.#orphans >= this.#options.maxConcurrentStreams) {
      this.#owner.bounds.nuisance()
      return this.reset(id, ErrorCode.REFUSED_STREAM)
    }
    this.#owner.bounds.called()
    if (head.kind === 'call') return this.#call(id, endStream, head)
    const stream = new AnsweredCall(id, this, head)
    this.#open.set(id, stream)
    stream.answer()
    if (endStream && this.#open.has(id)) stream.remoteEnd()
  }

  trailers(id: number, wellFormed: boolean, endStream: boolean): void {
    const stream = this.#open.get(id)
    if (stream === undefined) {
      this.#owner.bounds.nuisance()
      if (this.#resets.has(id) || this.#closing) return
      throw new ConnectionError(ErrorCode.STREAM_CLOSED, 'headers are for a stream that is closed')
    }
    if (stream === null) {
      if (endStream) this.#open.delete(id)
    } else if (stream.remoteClosed) this.reset(id, ErrorCode.STREAM_CLOSED)
    else if (!wellFormed) this.reset(id, ErrorCode.PROTOCOL_ERROR)
    else stream.remoteEnd()
  }

  /** Lets a call in, or refuses it. */
  #call(id: number, endStream: boolean, head: CallHead): void {
    const { gate, refusals, method } = head.route
    if (gate !== undefined && refusals !== undefined) {
      const { timeoutMs } = head
      const { defaultTimeoutMs, mostCalls } = this.#options
      const refusal = gate.door.admit(
        timeoutMs === Number.POSITIVE_INFINITY ? defaultTimeoutMs : timeoutMs,
        mostCalls(),
      )
      if (refusal !== undefined) {
        this.output.writeFor(id, refusals[refusal])
        if (!endStream) this.#open.set(id, null)
        return
      }
    }
    if (method.kind === 'unary') {
      const call = new UnaryCall(id, this, head, method)
      this.#open.set(id, call)
      if (endStream) call.remoteEnd()
      return
    }
    const call = new StreamCall(id, this, head)
    this.#open.set(id, call)
    call.open(method)
    if (endStream) call.remoteEnd()
  }

  data(flags: number, id: number, bytes: Buffer, start: number, end: number): void {
    const taken = end - start
    this.#takeWindow(taken)
    let from = start
    let until = end
    if ((flags & Flag.PADDED) !== 0) {
      until -= paddingOf(bytes, start, end)
      from++
    }
    const last = (flags & Flag.END_STREAM) !== 0
    const stream = this.#open.get(id)
    if (stream === undefined) return this.#dataOfNone(id)
    if (from === until && !last) this.#owner.bounds.nuisance()
    else this.#owner.bounds.dataPassed()
    if (stream === null) {
      if (last) this.#open.delete(id)
    } else if (stream.remoteClosed) this.reset(id, ErrorCode.STREAM_CLOSED)
    else stream.data(bytes, from, until, taken, last)
  }

  /** The window of the connection is given back as it is used: what may be kept is bounded elsewhere. */
  #takeWindow(bytes: number): void {
    this.#taken += bytes
    if (this.#taken > CONNECTION_WINDOW)
      throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "the connection's window is exceeded")
    if (this.#taken <= CONNECTION_WINDOW / 2) return
    this.output.write(windowUpdate(0, this.#taken))
    this.#taken = 0
  }

  /** Data of a stream that is not open: an error, unless we have closed it and the peer may not know. */
  #dataOfNone(id: number): void {
    this.#assertBegun(id)
    this.#owner.bounds.nuisance()
    if (this.#resets.has(id) || this.#closing) return
    this.output.write(resetStream(id, ErrorCode.STREAM_CLOSED))
  }

  #assertBegun(id: number): void {
    if (id > this.#last || (id & 1) === 0)
      throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, 'a frame is for a stream that was not begun')
  }

  windowUpdate(id: number, increment: number): void {
    const stream = this.#open.get(id)
    if (id !== 0) {
      if (stream === undefined) this.#assertBegun(id)
      else if (increment === 0) this.reset(id, ErrorCode.PROTOCOL_ERROR)
      else stream?.grant(increment)
      return
    }
    if (increment === 0) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, 'WINDOW_UPDATE gives nothing')
    this.sendWindow += increment
    if (this.sendWindow > MAX_31_BITS)
      throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "the connection's window is too large")
    if (this.#waiting.size > 0) this.output.touch()
  }

  resetByPeer(id: number): void {
    this.#assertBegun(id)
    this.#owner.bounds.takenBack()
    const stream = this.#open.get(id)
    if (stream === undefined) return this.#owner.bounds.nuisance()
    this.#open.delete(id)
    this.#cancel(stream)
    this.#whenDone()
  }

  /** The peer's SETTINGS_INITIAL_WINDOW_SIZE, which changes the windows of open streams as well (RFC 9113, section 6.9.2). */
  setInitialWindow(bytes: number): void {
    if (bytes === this.initialWindow) return
    this.initialWindow = bytes
    for (const stream of this.#open.values()) {
      if (stream?.overflows === true)
        throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE makes a stream's window too large")
      stream?.windowOpened()
    }
  }

  wait(stream: Waiting): void {
    this.#waiting.add(stream)
    this.output.touch()
  }

  /** Lets streams that wait send, each a frame in turn, while there is room. */
  pump(): void {
    for (const stream of this.#waiting) {
      if (this.sendWindow <= 0 || this.output.full) return
      this.#waiting.delete(stream)
      stream.pump()
    }
  }

  waitForOutput(stream: Waiting): void {
    this.#writers.add(stream)
  }

  /** The peer has taken some of the output, and there is room. */
  outputTaken(): void {
    if (this.#waiting.size > 0) this.output.touch()
    if (this.#writers.size === 0 || this.output.unsent > 0) return
    const writers = [...this.#writers]
    this.#writers.clear()
    for (const stream of writers) stream.outputDrained()
  }

  dataSent(): void {
    this.#owner.bounds.dataPassed()
  }

  sent(id: number, remoteClosed: boolean, then: WhenSent): void {
    if (remoteClosed) this.#open.delete(id)
    else if (then === 'discard') this.#open.set(id, null)
    else if (then === 'reset') {
      this.output.write(resetStream(id, ErrorCode.NO_ERROR))
      this.#forget(id)
    }
    this.#whenDone()
  }

  reset(id: number, code: number): void {
    this.output.write(resetStream(id, code))
    this.#options.countReset(code)
    const stream = this.#open.get(id)
    this.#forget(id)
    this.#cancel(stream)
    this.#whenDone()
  }

  orphaned(by: 1 | -1): void {
    this.#orphans += by
  }

  /** Looks, every second, whether callers and methods keep to their times. */
  check(): void {
    for (const [id, stream] of this.#open) {
      if (stream === null) continue
      if (stream.stalledFor(STALLED_LOOKS)) this.reset(id, ErrorCode.CANCEL)
      else if (!(stream instanceof AnsweredCall)) stream.check()
    }
  }

  /** Takes no more streams; the owner hears when those that are there have ended. */
  close(): void {
    this.#closing = true
    this.#whenDone()
  }

  /** Asks those to end that would go on for ever: the connection is to close. */
  leave(): void {
    for (const stream of this.#open.values()) if (stream instanceof StreamCall) stream.leave()
  }

  /** Sends those elsewhere whose request has not come as a whole. */
  failIncomplete(): void {
    for (const stream of this.#open.values())
      if (stream !== null && !(stream instanceof AnsweredCall) && stream.incomplete) stream.fail(SHUTTING_DOWN)
  }

  /** The connection is no more. */
  cancelAll(): void {
    const streams = [...this.#open.values()]
    this.#open.clear()
    for (const stream of streams) this.#cancel(stream)
  }

  #whenDone(): void {
    if (!this.#closing) return
    for (const stream of this.#open.values())
      if (stream !== null && !(stream instanceof AnsweredCall && stream.queuedBytes === 0)) return
    this.#owner.done()
  }

  #forget(id: number): void {
    this.#open.delete(id)
    this.#resets.add(id)
    if (this.#resets.size > REMEMBERED_RESETS)
      for (const oldest of this.#resets) return void this.#resets.delete(oldest)
  }

  #cancel(stream: Stream | null | undefined): void {
    if (stream === null || stream === undefined) return
    this.#waiting.delete(stream)
    this.#writers.delete(stream)
    stream.cancel()
  }
}
