// A call of any number of messages either way.

import { FAULT } from '../grpc-gate.ts'
import { GrpcFailure, type GrpcStream, type GrpcStreamHandler, type StreamMethod } from '../grpc-service.ts'
import { Code } from '../../kernel/status.ts'
import { ErrorCode } from '../../wire/http2/frames.ts'
import { Incoming } from './incoming.ts'
import { failureOnly, failureTrailers, OK_ONLY, OK_TRAILERS } from './replies.ts'
import type { CallHead } from './request-head.ts'
import type { StreamHost } from './stream-host.ts'

const TIME_IS_UP = new GrpcFailure(Code.DEADLINE_EXCEEDED, 'the deadline has passed')
/** What may wait for a peer that does not read: a method that heeds `write` stays far below. */
const MAX_QUEUED_BYTES = 4 * 1024 * 1024

/** For how long what the peer sends is read that does not know yet that the call has ended. */
const LINGER_MS = 250

/** Between `open` and the method's handler nothing is read. */
const NOBODY: GrpcStreamHandler = { message() {}, halfClosed() {}, closed() {} }

export class StreamCall extends Incoming implements GrpcStream {
  readonly deadline: number
  readonly #path: string
  #handler = NOBODY
  #cancelTimer = () => {}
  /** The method has ended it; until it is `over`, what was under way is read. */
  #ended = false

  constructor(id: number, host: StreamHost, head: CallHead) {
    super(id, host, head)
    this.#path = head.route.method.path
    this.deadline = head.timeoutMs === Number.POSITIVE_INFINITY ? head.timeoutMs : host.arrivedAt() + head.timeoutMs
  }

  /** Gives the stream to its method. */
  open(method: StreamMethod): void {
    const { clock } = this.host.limits
    if (this.deadline !== Number.POSITIVE_INFINITY)
      this.#cancelTimer = clock.after(Math.max(0, this.deadline - clock.now()), () => this.fail(TIME_IS_UP))
    try {
      this.#handler = method.open(this)
    } catch (caught) {
      this.#fault(caught)
    }
  }

  get peer(): string {
    return this.host.peer
  }

  write(message: Uint8Array): boolean {
    if (this.over || this.#ended) return true
    const room = this.sendMessage(message)
    if (this.queuedBytes > MAX_QUEUED_BYTES) this.host.reset(this.id, ErrorCode.ENHANCE_YOUR_CALM)
    return room
  }

  end(failure?: GrpcFailure): void {
    if (this.over || this.#ended) return
    this.#close()
    if (failure === undefined) this.sendEnd(this.begun ? OK_TRAILERS : OK_ONLY)
    else {
      this.release()
      return this.sendEnd(this.begun ? failureTrailers(failure) : failureOnly(failure))
    }
    if (!this.remoteClosed) this.#cancelTimer = this.host.limits.clock.after(LINGER_MS, () => this.#forsake())
    // What it was held back with is read as well.
    this.resume()
  }

  override pause(): void {
    if (!this.#ended) super.pause()
  }

  /** Ends it without its method, which hears of it. */
  fail(failure: GrpcFailure): void {
    if (this.over) return
    if (this.#ended) return this.#forsake()
    this.end(failure)
    this.#tell()
  }

  /** The connection is to close, and the server goes on. */
  leave(): void {
    if (!this.over && !this.#ended) this.#guard(() => this.#handler.leave?.())
  }

  /** The peer takes it back, or has gone. */
  cancel(): void {
    this.dropQueue()
    if (this.over) return
    const wasEnded = this.#ended
    this.#close()
    this.release()
    if (!wasEnded) this.#tell()
  }

  protected get whenSent(): 'reset' | 'keep' {
    return this.over ? 'reset' : 'keep'
  }

  /** Has had no answer yet, and goes on. */
  override get incomplete(): boolean {
    return !this.over && !this.#ended && !this.begun && !this.remoteClosed
  }

  protected drained(): void {
    if (!this.over && !this.#ended) this.#guard(() => this.#handler.drained?.())
  }

  protected message(bytes: Uint8Array): void {
    try {
      this.#handler.message(bytes)
    } catch (caught) {
      this.#fault(caught)
    }
  }

  protected complete(): void {
    if (this.#ended) this.#forsake()
    else this.#guard(() => this.#handler.halfClosed())
  }

  /** Reads no more of what comes after the end. */
  #forsake(): void {
    if (this.over) return
    this.#cancelTimer()
    this.release()
    // Else the end has yet to be sent, and what becomes of the stream is seen then.
    if (this.queuedBytes === 0) this.host.sent(this.id, this.remoteClosed, 'reset')
  }

  #guard(step: () => void): void {
    try {
      step()
    } catch (caught) {
      this.#fault(caught)
    }
  }

  #tell(): void {
    try {
      this.#handler.closed()
    } catch (caught) {
      this.host.limits.onFault(caught, `${this.#path} threw`)
    }
  }

  #fault(caught: unknown): void {
    this.host.limits.onFault(caught, `${this.#path} threw`)
    if (this.#ended) this.#forsake()
    else this.end(FAULT)
  }

  #close(): void {
    this.#cancelTimer()
    if (!this.#ended) this.head.route.gate?.door.end()
    this.#ended = true
  }
}
