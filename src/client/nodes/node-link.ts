// One node, asked over one batch stream (docs/batch-stream.md). What is asked in one turn of the loop is one message.

import type { Socket } from 'node:net'
import { onExpiry } from '../../kernel/deadline.ts'
import { IntermixError } from '../../kernel/errors.ts'
import type { Clock, Random } from '../../kernel/ports.ts'
import { Code, codeName } from '../../kernel/status.ts'
import { AnswerBatches, type AnswerSink } from '../../wire/batch/answer-batch.ts'
import { CheckBatchWriter } from '../../wire/batch/check-batch-writer.ts'
import { ConnectionError } from '../../wire/http2/connection-error.ts'
import { type Field, HpackError } from '../../wire/http2/hpack/hpack-error.ts'
import type { Heard } from '../../wire/batch/news.ts'
import { ConnectPace } from './connect-pace.ts'
import {
  callFields,
  framed,
  IncomingMessages,
  MessageRefused,
  notGrpc,
  readableDetails,
  RoomForMessages,
} from './grpc-messages.ts'
import { Http2Session } from './http2-session.ts'
import { type Http2Stream, NotBegun, type StreamEvents } from './http2-stream.ts'
import { type NodeAddress, socketTo } from './node-address.ts'
import { type NewsTaker, StreamNews } from './stream-news.ts'
import { beginUnaryCall } from './unary-call.ts'
import type { Affinity, NodeAnswer, NodeQuestion } from './nodes.ts'

const PATH = '/intermix.v1.Batches/Check'
/** What callers are told; addresses are in the cause, for logs. */
const CONNECTION_FAILED = 'the connection failed'
const SILENT = 'it is connected, and has not spoken in time'
/** Checks that may wait for their answers: a node holds back beyond so many, too. */
const MAX_WAITING = 4_096
/** Connections to one node, most of which it has asked to leave. */
const MAX_CONNECTIONS = 8
/** What nodes take as one message unless they are told otherwise, and the most that is made of several checks. */
const MESSAGE_BYTES = 4 * 1024 * 1024
const FULL_BYTES = 64 * 1024
/** What may wait to be written. */
const MAX_UNSENT_BYTES = 4 * 1024 * 1024
/** What calls may hold that wait for their answer, beside one of any size. */
const MAX_CALL_BYTES = 8 * 1024 * 1024
/**
 * One message of a stream. Nodes cut answers at 64 KiB, so that it is the longest single answer, news of some thousand
 * revocations, or a vocabulary.
 */
const MAX_MESSAGE_BYTES = 8 * 1024 * 1024
/** Answers of calls that have come in part, all together. */
const MAX_ANSWERS_BYTES = 8 * 1024 * 1024

export interface NodeLinkOptions {
  readonly clock: Clock
  readonly address: NodeAddress
  readonly random: Random
  /** How long connecting may take, in ms, and how long what is asked meanwhile waits for the node's first word. */
  readonly connectTimeoutMs: number
  /** What nodes take as one message, in bytes; 4 MiB unless given. */
  readonly maxMessageBytes?: number
  /** It has sent what is no message of a node, or too much: such a stream ends. */
  readonly onRefused?: (error: Error) => void
  /** It goes: others are to be asked from now on. */
  readonly onLeaving: () => void
  /** Wants news of the node, as long as a stream is open. */
  readonly news?: NewsTaker
}

interface Waiting {
  readonly answered: (answer: NodeAnswer) => void
  readonly failed: (error: IntermixError) => void
  readonly cancelTimeout: () => void
}

/** A connection with its stream, from when it is opened to its end. */
interface Stream {
  readonly session: Http2Session
  readonly http2: Http2Stream
  readonly writer: CheckBatchWriter
  readonly waiting: Map<number, Waiting>
  /** Unary calls beside it: each can be failed. */
  readonly calls: Set<(error: IntermixError) => void>
  news?: StreamNews
  /** The node's first word. */
  greeting: 'awaited' | 'late' | 'heard'
  cancelGreeting: () => void
  isBooked: boolean
  isLeaving: boolean
  isOver: boolean
}

/** Connects when it is first asked, and again when it is asked after its connection was lost. */
export class NodeLink implements Disposable {
  readonly #options: NodeLinkOptions
  readonly #pace: ConnectPace
  /** Checks that are sent without waiting for the end of the turn. */
  readonly #fullBytes: number
  #current: Stream | undefined
  /** The current one, and those that the node has asked to leave and that have answers to come, or last words to send. */
  readonly #open = new Set<Stream>()
  #id = 0
  #callBytes = 0
  readonly #room = new RoomForMessages(MAX_ANSWERS_BYTES)
  #isClosed = false
  #lastLoss: IntermixError | undefined

  constructor(options: NodeLinkOptions) {
    this.#options = options
    this.#fullBytes = Math.min(FULL_BYTES, (options.maxMessageBytes ?? MESSAGE_BYTES) / 4)
    this.#pace = new ConnectPace(options.clock, options.random)
  }

  /** Whether it is connected to a node that should have spoken by now. */
  get isLate(): boolean {
    return this.#current?.greeting === 'late'
  }

  /** Checks and calls that wait for their answer. */
  get waiting(): number {
    let count = 0
    for (const { waiting, calls } of this.#open) count += waiting.size + calls.size
    return count
  }

  /**
   * Asks for an answer. Rejects with an IntermixError where there is none: in time, because the node cannot be reached, or
   * because it did not judge the request; `retryable` says whether another node may.
   */
  ask(question: Omit<NodeQuestion, keyof Affinity>): Promise<NodeAnswer> {
    return new Promise((resolve, reject) => {
      const stream = this.#forOneMore()
      if (stream.http2.unsent > MAX_UNSENT_BYTES) throw new IntermixError('OVERLOADED', 'the node does not read')
      const id = this.#nextId(stream)
      const { bag, timeoutMs } = question
      stream.writer.add(id, timeoutMs, bag, question)
      const cancelTimeout = onExpiry(this.#options.clock, timeoutMs, () => {
        stream.waiting.delete(id)
        reject(new IntermixError('DEADLINE_EXCEEDED', 'the node gave no answer in time'))
        this.#endWhenDone(stream)
      })
      stream.waiting.set(id, { answered: resolve, failed: reject, cancelTimeout })
      if (stream.writer.size >= this.#fullBytes) this.#flush(stream)
      else this.#book(stream)
    })
  }

  /**
   * One unary call, its message and the answer as they are. Rejects with an IntermixError: as `ask` does where the node gave
   * none, or with what its status means. What the node has certainly not begun, since it goes or has too many, is called once more.
   */
  async call(path: string, message: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
    const { clock } = this.#options
    const deadline = clock.monotonic() + timeoutMs
    try {
      return await this.#call(path, message, timeoutMs)
    } catch (error) {
      if (!(error instanceof IntermixError && error.cause instanceof NotBegun)) throw error
    }
    return await this.#call(path, message, deadline - clock.monotonic())
  }

  #call(path: string, message: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const stream = this.#forOneMore()
      if (this.#callBytes > 0 && this.#callBytes + message.length > MAX_CALL_BYTES)
        throw new IntermixError('OVERLOADED', 'too much waits for the node')
      const ended = (outcome: Uint8Array | IntermixError) => {
        this.#callBytes -= message.length
        stream.calls.delete(fail)
        if (outcome instanceof IntermixError) reject(outcome)
        else resolve(outcome)
        this.#endWhenDone(stream)
      }
      const { clock, address, onRefused = () => undefined } = this.#options
      const { session } = stream
      const fields = callFields(address, path, timeoutMs)
      const fail = beginUnaryCall({ clock, session, fields, message, timeoutMs, room: this.#room, onRefused, ended })
      this.#callBytes += message.length
      stream.calls.add(fail)
    })
  }

  /** Connects where it is not connected, and its last connection was not lost just now: for its news. */
  open(): void {
    if (this.#isClosed || !this.#pace.isDue) return
    try {
      this.#current ??= this.#connect()
    } catch {
      // Nobody waits for it. Who asks is told why.
      this.#options.news?.lost()
    }
  }

  /** What was heard of revocations is to be confirmed now. */
  confirm(): void {
    this.#current?.news?.confirm()
  }

  /** Ends at once: what waits fails. */
  [Symbol.dispose](): void {
    this.#isClosed = true
    for (const stream of this.#open) {
      this.#lost(stream, new IntermixError('CANCELLED', 'the link to the node is closed'))
      // Its last words may be under way.
      stream.session.destroy()
    }
  }

  /** The stream that takes one more. @throws IntermixError where none does */
  #forOneMore(): Stream {
    if (this.#isClosed) throw new IntermixError('CANCELLED', 'the link to the node is closed')
    if (this.waiting >= MAX_WAITING) throw new IntermixError('OVERLOADED', 'too much waits for the node')
    // The node takes nothing new over this connection (GOAWAY), and has not said so in the stream.
    if (this.#current?.session.isClosed === true) this.#leave(this.#current)
    if (this.#current === undefined && !this.#pace.isDue)
      throw unasked('its last connection was lost just now', this.#lastLoss)
    const stream = (this.#current ??= this.#connect())
    // It would have to be read by a node that is behind already, for nobody.
    if (stream.greeting === 'late') throw unasked(SILENT)
    return stream
  }

  #nextId(stream: Stream): number {
    do this.#id = (this.#id + 1) >>> 0
    while (stream.waiting.has(this.#id))
    return this.#id
  }

  /**
   * @throws IntermixError where that cannot even be tried: certificates that are just being changed need not belong together, and
   * a node that leaves each connection at once would get one for each question
   */
  #connect(): Stream {
    if (this.#open.size >= MAX_CONNECTIONS) throw unasked('it leaves its connections before it answers over them')
    try {
      return this.#begin()
    } catch (cause) {
      this.#pace.lost()
      this.#lastLoss = unasked(CONNECTION_FAILED, cause)
      throw this.#lastLoss
    }
  }

  #begin(): Stream {
    const { address, clock, maxMessageBytes = MESSAGE_BYTES } = this.#options
    const socket = socketTo(address)
    const session = new Http2Session(
      socket,
      {
        settled: () => (stream.news === undefined ? this.#greeted(stream) : stream.news.start()),
        lost: (cause) => {
          if (cause === undefined) lost('the connection was closed')
          else if (cause instanceof ConnectionError || cause instanceof HpackError) this.#refused(stream, cause, lost)
          else lost(CONNECTION_FAILED, cause)
        },
      },
      clock,
    )
    const lost = (why: string, cause?: unknown) => this.#lost(stream, unasked(why, cause))
    const stream: Stream = {
      session,
      http2: begun(
        session,
        callFields(address, PATH),
        this.#eventsOf(() => stream, lost),
      ),
      writer: new CheckBatchWriter(undefined, maxMessageBytes - 2 * this.#fullBytes),
      waiting: new Map(),
      calls: new Set(),
      greeting: 'awaited',
      cancelGreeting: () => {},
      isBooked: false,
      isLeaving: false,
      isOver: false,
    }
    this.#open.add(stream)
    const { http2 } = stream
    this.#awaitGreeting(stream, socket, lost)
    stream.writer.keepAnswers()
    const { news: taker } = this.#options
    if (taker !== undefined) {
      stream.writer.nameCaller(taker.name)
      const send = (heard: Heard) => {
        this.#flush(stream)
        stream.writer.hear(heard)
        http2.write(framed(stream.writer.take()))
      }
      stream.news = new StreamNews({ clock, taker, send, onDead: () => lost('it gives no news') })
    }
    http2.write(framed(stream.writer.take()))
    return stream
  }

  /** Whoever takes connections need not be a node that answers. */
  #awaitGreeting(stream: Stream, socket: Socket, lost: (why: string) => void): void {
    const { clock, connectTimeoutMs } = this.#options
    let isConnected = false
    socket.once('connect', () => (isConnected = true))
    const cancelConnect = onExpiry(clock, connectTimeoutMs, () => {
      if (!isConnected) return lost('it cannot be reached in time')
      stream.greeting = 'late'
      this.#failWaiting(stream, unasked(SILENT))
    })
    const cancelGreeting = onExpiry(clock, connectTimeoutMs + this.#pace.greetingMs, () => {
      this.#pace.waitedInVain()
      lost(SILENT)
    })
    stream.cancelGreeting = () => {
      cancelConnect()
      cancelGreeting()
    }
  }

  #greeted(stream: Stream): void {
    if (stream.greeting === 'heard') return
    stream.greeting = 'heard'
    stream.cancelGreeting()
    this.#pace.greeted()
  }

  /** @param of gives the stream, which is there when the first of it is heard */
  #eventsOf(of: () => Stream, lost: (why: string, cause?: unknown) => void): StreamEvents {
    const messages = new IncomingMessages(MAX_MESSAGE_BYTES)
    const batches = new AnswerBatches()
    const sink: AnswerSink = {
      answered: (id, told) => take(of(), id)?.answered(told),
      failed: (id, { code, message }) => take(of(), id)?.failed(failureOf(code, message)),
      leaving: () => this.#leave(of()),
      news: (news) => {
        this.#greeted(of())
        of().news?.take(news)
      },
    }
    return {
      data: (bytes) => {
        const stream = of()
        try {
          messages.read(bytes, (message) => batches.read(message, sink))
        } catch (error) {
          this.#refused(stream, error, lost)
        }
        this.#endWhenDone(stream)
      },
      headers: (fields) => {
        const status = fields.get('grpc-status')
        const why = notGrpc(fields)
        if (status !== undefined && status !== '0') {
          const text = readableDetails(fields.get('grpc-message') ?? codeName(Number(status)))
          lost(`it ended the stream: ${text.slice(0, 200)}`)
        } else if (why !== undefined) lost(why)
      },
      failed: (error) =>
        error instanceof MessageRefused ? this.#refused(of(), error, lost) : lost(CONNECTION_FAILED, error),
      ended: () => {
        const stream = of()
        // Calls beside it go on until they are answered.
        if (stream.isLeaving && stream.waiting.size === 0) this.#endWhenDone(stream)
        else lost('it ended the stream')
      },
    }
  }

  /** The node sends what no node may. */
  #refused(stream: Stream, caught: unknown, lost: (why: string, cause: unknown) => void): void {
    const error = caught instanceof Error ? caught : new Error(String(caught))
    if (!stream.isOver) this.#options.onRefused?.(error)
    lost(error.message, error)
  }

  /** The node goes: it answers what it was asked, and is asked nothing more over this stream. */
  #leave(stream: Stream): void {
    if (stream.isLeaving) return
    stream.isLeaving = true
    this.#flush(stream)
    stream.news?.stop()
    stream.http2.end()
    if (this.#current === stream) this.#current = undefined
    this.#options.onLeaving()
    // Whether the node ends it, too, is not waited for.
    this.#endWhenDone(stream)
  }

  #endWhenDone(stream: Stream): void {
    if (stream.isLeaving && stream.waiting.size + stream.calls.size === 0) this.#close(stream, 'done')
  }

  #lost(stream: Stream, error: IntermixError): void {
    if (stream.isOver) return
    this.#pace.lost()
    this.#lastLoss = error
    this.#close(stream, 'lost')
    this.#failWaiting(stream, error)
  }

  #failWaiting(stream: Stream, error: IntermixError): void {
    for (const [id] of stream.waiting) take(stream, id)?.failed(error)
    for (const fail of stream.calls) fail(error)
  }

  #close(stream: Stream, why: 'done' | 'lost'): void {
    if (stream.isOver) return
    stream.isOver = true
    stream.cancelGreeting()
    stream.news?.stop()
    if (this.#current === stream) this.#current = undefined
    if (why === 'done') return stream.session.end(() => this.#open.delete(stream))
    this.#open.delete(stream)
    stream.session.destroy()
  }

  #book(stream: Stream): void {
    if (stream.isBooked) return
    stream.isBooked = true
    this.#options.clock.turn(() => this.#flush(stream))
  }

  #flush(stream: Stream): void {
    stream.isBooked = false
    if (stream.isOver || stream.writer.count === 0) return
    stream.http2.write(framed(stream.writer.take()))
  }
}

/** What waits for the answer with this id; it waits no more. */
function take({ waiting }: Stream, id: number): Waiting | undefined {
  const found = waiting.get(id)
  if (found === undefined) return undefined
  waiting.delete(id)
  found.cancelTimeout()
  return found
}

/** Why the node did not judge the request, as its own code says. It is there, whatever it says of one request. */
function failureOf(code: number, message: string): IntermixError {
  const backend = 'answered'
  if (code === Code.UNAVAILABLE) return new IntermixError('OVERLOADED', message, { backend })
  if (code === Code.DEADLINE_EXCEEDED) return new IntermixError('DEADLINE_EXCEEDED', message, { backend })
  return new IntermixError('BACKEND_FAILED', message, { backend })
}

function unasked(why: string, cause?: unknown): IntermixError {
  return new IntermixError('BACKEND_FAILED', `the node cannot be asked: ${why}`, { cause })
}

function begun(session: Http2Session, fields: readonly Field[], events: StreamEvents): Http2Stream {
  try {
    return session.request(fields, events)
  } catch (error) {
    session.destroy()
    throw error
  }
}
