// A request that is answered by its headers alone: it is no call of ours. What comes after them is only counted.

import { ErrorCode } from '../../wire/http2/frames.ts'
import { Outgoing } from './outgoing.ts'
import type { RefusedHead } from './request-head.ts'
import type { StreamHost } from './stream-host.ts'

export class AnsweredCall extends Outgoing {
  readonly #head: RefusedHead
  #length = 0

  constructor(id: number, host: StreamHost, head: RefusedHead) {
    super(id, host)
    this.#head = head
    host.limits.onRefused(head.reason)
  }

  answer(): void {
    const { answer } = this.#head
    if ('failure' in answer) this.sendEnd(answer.failure)
    else this.sendHttp(answer.http, answer.bodiless)
  }

  data(_bytes: Buffer, start: number, end: number, _taken: number, last: boolean): void {
    this.#length += end - start
    const { contentLength } = this.#head
    if (contentLength >= 0 && this.#length > contentLength) this.host.reset(this.id, ErrorCode.PROTOCOL_ERROR)
    else if (last) this.remoteEnd()
  }

  remoteEnd(): void {
    const { contentLength } = this.#head
    if (contentLength >= 0 && this.#length !== contentLength) return this.host.reset(this.id, ErrorCode.PROTOCOL_ERROR)
    this.remoteClosed = true
    if (this.queuedBytes === 0) this.host.sent(this.id, true, 'keep')
  }

  cancel(): void {
    this.dropQueue()
  }

  protected get whenSent(): 'keep' {
    return 'keep'
  }

  protected drained(): void {}
}
