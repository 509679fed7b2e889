// A call of one message that gets one message.

import { FAULT } from '../grpc-gate.ts'
import { type GrpcCall, GrpcFailure, type GrpcReply, type UnaryMethod } from '../grpc-service.ts'
import { Code } from '../../kernel/status.ts'
import { Incoming } from './incoming.ts'
import { failureOnly } from './replies.ts'
import type { CallHead } from './request-head.ts'
import type { StreamHost } from './stream-host.ts'

const NO_REQUEST = new GrpcFailure(Code.UNIMPLEMENTED, 'this method takes one request message, and none came')
const SECOND_REQUEST = new GrpcFailure(
  Code.UNIMPLEMENTED,
  'this method takes one request message, and a second one came',
)

const TIME_IS_UP = new GrpcFailure(Code.DEADLINE_EXCEEDED, 'the deadline has passed')
/** Methods know the deadline and keep to it; this is for those that do not. */
const GRACE_MS = 1_000

export class UnaryCall extends Incoming implements GrpcCall {
  readonly deadline: number
  readonly #method: UnaryMethod
  #request: Uint8Array | undefined
  #answering = false

  constructor(id: number, host: StreamHost, head: CallHead, method: UnaryMethod) {
    super(id, host, head)
    this.#method = method
    this.deadline = head.timeoutMs === Number.POSITIVE_INFINITY ? head.timeoutMs : host.arrivedAt() + head.timeoutMs
  }

  get peer(): string {
    return this.host.peer
  }

  /** The peer takes it back, or has gone. What the method still does is done for nobody. */
  cancel(): void {
    this.dropQueue()
    if (this.over) return
    if (this.#answering) this.host.orphaned(1)
    this.#close()
  }

  fail(failure: GrpcFailure): void {
    if (this.over) return
    if (this.#answering) this.host.orphaned(1)
    this.#refuse(failure)
  }

  override check(): void {
    super.check()
    if (this.over || this.host.limits.clock.now() < this.deadline + GRACE_MS) return
    this.fail(TIME_IS_UP)
  }

  /** A request that has begun is to come. */
  protected override get waitsForMessage(): boolean {
    return true
  }

  protected get whenSent(): 'discard' {
    return 'discard'
  }

  protected drained(): void {}

  protected message(bytes: Uint8Array): void {
    if (this.#request !== undefined) this.fail(SECOND_REQUEST)
    // Most requests end with their message; others are not to take more room than those that have yet to come.
    else this.#request = this.remoteClosed ? bytes : this.keep(bytes)
  }

  protected complete(): void {
    const request = this.#request
    if (request === undefined) return this.fail(NO_REQUEST)
    this.#request = undefined
    this.kept()
    let replied: GrpcReply | Promise<GrpcReply>
    try {
      replied = this.#method.answer(request, this)
    } catch (caught) {
      return this.#fault(caught)
    }
    if (!(replied instanceof Promise)) return this.#reply(replied)
    this.#answering = true
    replied.then(
      (later) => {
        if (this.#settled()) this.#reply(later)
      },
      (caught: unknown) => {
        this.#settled()
        this.#fault(caught)
      },
    )
  }

  /** @returns whether the answer is still waited for. */
  #settled(): boolean {
    this.#answering = false
    if (this.over) this.host.orphaned(-1)
    return !this.over
  }

  #fault(caught: unknown): void {
    this.host.limits.onFault(caught, `${this.#method.path} threw`)
    if (!this.over) this.#refuse(FAULT)
  }

  #reply(replied: GrpcReply): void {
    if (replied instanceof GrpcFailure) return this.#refuse(replied)
    this.#close()
    this.sendReply(replied)
  }

  #refuse(failure: GrpcFailure): void {
    this.#close()
    this.sendEnd(failureOnly(failure))
  }

  #close(): void {
    this.release()
    this.head.route.gate?.door.end()
  }
}
