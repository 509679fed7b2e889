// Our side of a stream: what is sent, within the windows that the peer gives (RFC 9113, section 5.2), in frames of bounded size.

import { ErrorCode, Flag, FRAME_BYTES, MAX_31_BITS, writeUint32 } from '../../wire/http2/frames.ts'
import { PREFIX_BYTES } from './partial-message.ts'
import { type HttpAnswer, OK_TRAILERS, RESPONSE_HEADERS } from './replies.ts'
import type { StreamHost, Waiting, WhenSent } from './stream-host.ts'

/** Bytes that wait, of a stream or of its connection, beyond which whoever writes is asked to stop. */
const HIGH_BYTES = 16_384

/** A frame of so much is worth the WINDOW_UPDATEs that made room for it. */
const PAGE_BYTES = 1_024

/** What a call costs beside its bytes while they wait. */
const WAITING_BYTES = 1_024

export abstract class Outgoing implements Waiting {
  readonly id: number
  /** The peer sends no more. */
  remoteClosed = false
  protected readonly host: StreamHost
  /** The peer's window less the one that all streams begin with. */
  #credit = 0
  #headersSent = false
  /** What waits for room, in order, whole or from `#from` on for the first. */
  #queue: Uint8Array[] | undefined
  #from = 0
  #queuedBytes = 0
  /** What was taken of the budget for it. */
  #budgetBytes = 0
  /** Nothing more is sent. */
  #dropped = false
  /** What comes after the queue. `data`: the last frame of the queue is the last. */
  #end: Buffer | 'data' | undefined
  #full = false
  /** Looks of the connection's sweep since which nothing could be sent. */
  #stalled = 0

  constructor(id: number, host: StreamHost) {
    this.id = id
    this.host = host
  }

  /** Bytes that wait for room. */
  get queuedBytes(): number {
    return this.#queuedBytes
  }

  /** The peer takes so many bytes more. */
  grant(increment: number): void {
    this.#credit += increment
    if (this.#window() > MAX_31_BITS) this.host.reset(this.id, ErrorCode.FLOW_CONTROL_ERROR)
    else this.windowOpened()
  }

  /** The window may have become larger. */
  windowOpened(): void {
    if (this.#queuedBytes > 0 && this.#window() > 0) this.host.wait(this)
  }

  /** The window is larger than allowed, since all streams begin with a larger one. */
  get overflows(): boolean {
    return this.#window() > MAX_31_BITS
  }

  pump(): void {
    const first = this.#queue?.[0]
    if (first === undefined || this.#queue === undefined) return
    const room = Math.min(this.#window(), this.host.sendWindow, FRAME_BYTES)
    if (room <= 0) return
    this.#stalled = 0
    const until = Math.min(first.length, this.#from + room)
    const bytes = first.subarray(this.#from, until)
    if (until === first.length) {
      this.#queue.shift()
      this.#giveBack(first.length + WAITING_BYTES)
    }
    this.#from = until === first.length ? 0 : until
    const last = this.#queue.length === 0
    this.#sendHeaders()
    this.#spend(bytes.length)
    // A window that opens by the byte makes us as much work as one that opens by the page.
    if (until === first.length || bytes.length >= PAGE_BYTES) this.host.dataSent()
    this.#queuedBytes -= bytes.length
    this.host.output.data(this.id, last && this.#end === 'data' ? Flag.END_STREAM : 0, bytes)
    if (!last) return this.windowOpened()
    this.#queue = undefined
    if (this.#end !== undefined) this.#finish(this.#end)
    else if (this.#full) this.outputDrained()
  }

  /** What was sent has been taken, or is in the peer's hands. */
  outputDrained(): void {
    this.#full = false
    if (this.#queue === undefined) this.drained()
  }

  /** Looks whether a stream whose end waits for room gets on; `looks` in a row without are too many. */
  stalledFor(looks: number): boolean {
    if (this.#end === undefined || this.#queuedBytes === 0) return false
    return ++this.#stalled > looks
  }

  /** All was taken that waited, after `sendMessage` said that it was too much. */
  protected abstract drained(): void
  /** What becomes of what the peer still sends when we have ended before it. */
  protected abstract get whenSent(): WhenSent

  /** A whole unary reply. */
  protected sendReply(message: Uint8Array): void {
    const size = PREFIX_BYTES + message.length
    if (!this.#fits(size)) {
      this.sendMessage(message)
      this.sendEnd(OK_TRAILERS)
      return
    }
    this.#spend(size)
    this.host.output.unary(this.id, message)
    this.host.sent(this.id, this.remoteClosed, this.whenSent)
  }

  /** @returns false where more waits than is good; `drained` follows. */
  protected sendMessage(message: Uint8Array): boolean {
    const size = PREFIX_BYTES + message.length
    if (this.#fits(size)) {
      this.#sendHeaders()
      this.#spend(size)
      this.host.output.message(this.id, message)
      this.host.dataSent()
      if (this.host.output.unsent <= HIGH_BYTES) return true
      this.host.waitForOutput(this)
      return false
    }
    const framed = Buffer.allocUnsafeSlow(size)
    framed[0] = 0
    writeUint32(framed, 1, message.length)
    framed.set(message, PREFIX_BYTES)
    this.#enqueue(framed)
    this.#full = this.#queuedBytes > HIGH_BYTES
    return !this.#full
  }

  /** Whether anything of an answer was sent or waits. */
  protected get begun(): boolean {
    return this.#headersSent || this.#queue !== undefined
  }

  /** A frame of headers with END_STREAM, after all that waits. */
  protected sendEnd(trailers: Buffer): void {
    if (this.#dropped) return
    this.#end = trailers
    if (this.#queue === undefined) this.#finish(trailers)
  }

  protected sendHttp({ headers, body }: HttpAnswer, bodiless: boolean): void {
    this.#headersSent = true
    if (bodiless) {
      const alone = Buffer.from(headers)
      alone[4] = Flag.END_HEADERS | Flag.END_STREAM
      return this.#finish(alone)
    }
    this.host.output.writeFor(this.id, headers)
    this.#end = 'data'
    this.#enqueue(body)
  }

  /** Sends nothing more, also of what waits. */
  protected dropQueue(): void {
    this.#dropped = true
    this.#queue = undefined
    this.#queuedBytes = 0
    this.#full = false
    this.#giveBack(this.#budgetBytes)
  }

  #window(): number {
    return this.host.initialWindow + this.#credit
  }

  #fits(size: number): boolean {
    const { host } = this
    return (
      this.#queue === undefined &&
      size <= FRAME_BYTES &&
      size <= host.sendWindow &&
      size <= this.#window() &&
      !host.output.full
    )
  }

  #spend(bytes: number): void {
    this.#credit -= bytes
    this.host.sendWindow -= bytes
  }

  #sendHeaders(): void {
    if (this.#headersSent) return
    this.#headersSent = true
    this.host.output.writeFor(this.id, RESPONSE_HEADERS)
  }

  #giveBack(bytes: number): void {
    if (bytes === 0) return
    this.#budgetBytes -= bytes
    this.host.unsentBudget.give(bytes)
  }

  #enqueue(bytes: Uint8Array): void {
    const cost = bytes.length + WAITING_BYTES
    // Who gives no window is sent no answer.
    if (!this.host.unsentBudget.take(cost)) return this.host.reset(this.id, ErrorCode.ENHANCE_YOUR_CALM)
    this.#budgetBytes += cost
    this.#queue ??= []
    this.#queue.push(bytes)
    this.#queuedBytes += bytes.length
    this.windowOpened()
  }

  #finish(end: Buffer | 'data'): void {
    if (end !== 'data') this.host.output.writeFor(this.id, end)
    this.host.sent(this.id, this.remoteClosed, this.whenSent)
  }
}
