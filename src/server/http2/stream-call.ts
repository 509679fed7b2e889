// A call of any number of messages either way.

import { FAULT } from '../grpc-gate.ts'
import { GrpcFailure, type GrpcStream, type GrpcStreamHandler, type StreamMethod } from '../grpc-service.ts'
import { Code } from '../../kernel/status.ts'
import { ErrorCode } from './frames.ts'
import { Incoming } from './incoming.ts'
import { failureOnly, failureTrailers, OK_ONLY, OK_TRAILERS } from './replies.ts'
import type { CallHead } from './request-head.ts'
import type { StreamHost } from './stream-host.ts'

const TIME_IS_UP = new GrpcFailure(Code.DEADLINE_EXCEEDED, 'the deadline has passed')
/** What may wait for a peer that does not read: a method that heeds `write` stays far below. */
const MAX_QUEUED_BYTES = 4 * 1024 * 1024

/** Between `open` and the method's handler nothing is read. */
const NOBODY: GrpcStreamHandler = { message() {}, halfClosed() {}, closed() {} }

export class StreamCall extends Incoming implements GrpcStream {
  readonly deadline: number
  readonly #path: string
  #handler = NOBODY
  #cancelDeadline = () => {}

  constructor(id: number, host: StreamHost, head: CallHead) {
    super(id, host, head)
    this.#path = head.route.method.path
    this.deadline = head.timeoutMs === Number.POSITIVE_INFINITY ? head.timeoutMs : host.arrivedAt() + head.timeoutMs
  }

  /** Gives the stream to its method. */
  open(method: StreamMethod): void {
    const { clock } = this.host.limits
    if (this.deadline !== Number.POSITIVE_INFINITY)
      this.#cancelDeadline = clock.after(Math.max(0, this.deadline - clock.now()), () => this.fail(TIME_IS_UP))
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
    if (this.over) return true
    const room = this.sendMessage(message)
    if (this.queuedBytes > MAX_QUEUED_BYTES) this.host.reset(this.id, ErrorCode.ENHANCE_YOUR_CALM)
    return room
  }

  end(failure?: GrpcFailure): void {
    if (this.over) return
    this.#close()
    if (failure === undefined) this.sendEnd(this.begun ? OK_TRAILERS : OK_ONLY)
    else this.sendEnd(this.begun ? failureTrailers(failure) : failureOnly(failure))
  }

  /** Ends it without its method, which hears of it. */
  fail(failure: GrpcFailure): void {
    if (this.over) return
    this.end(failure)
    this.#tell()
  }

  /** The peer takes it back, or has gone. */
  cancel(): void {
    this.dropQueue()
    if (this.over) return
    this.#close()
    this.#tell()
  }

  protected get whenSent(): 'reset' {
    return 'reset'
  }

  /** Has had no answer yet, and goes on. */
  override get incomplete(): boolean {
    return !this.over && !this.begun && !this.remoteClosed
  }

  protected drained(): void {
    if (this.over) return
    try {
      this.#handler.drained?.()
    } catch (caught) {
      this.#fault(caught)
    }
  }

  protected message(bytes: Uint8Array): void {
    try {
      this.#handler.message(bytes)
    } catch (caught) {
      this.#fault(caught)
    }
  }

  protected complete(): void {
    try {
      this.#handler.halfClosed()
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
    this.end(FAULT)
  }

  #close(): void {
    this.#cancelDeadline()
    this.release()
    this.head.route.gate?.door.end()
  }
}
