// The peer's side of a stream: DATA frames become messages (gRPC over HTTP/2: a flag, a length and the message).

import type { GrpcFailure } from '../grpc-service.ts'
import { Code } from '../../kernel/status.ts'
import { DEFAULT_WINDOW, ErrorCode, readUint32, windowUpdate } from '../../wire/http2/frames.ts'
import { HeldBytes } from './held-bytes.ts'
import { inflateLarge, inflateMessage, tooLarge } from './inflate.ts'
import { Outgoing } from './outgoing.ts'
import { PartialMessage, PREFIX_BYTES } from './partial-message.ts'
import { RefusedCall } from './refused-call.ts'
import type { CallHead } from './request-head.ts'
import type { StreamHost } from './stream-host.ts'

/** Bytes taken, after which the peer is given them again. */
const UPDATE_BYTES = DEFAULT_WINDOW >> 1

/** Looks (of a second) for which a message may be under way. */
const MAX_LOOKS = 10
const TOO_SLOW = new RefusedCall('slow', Code.DEADLINE_EXCEEDED, 'the request has not come as a whole in time')
const TOO_MUCH = new RefusedCall('memory', Code.RESOURCE_EXHAUSTED, 'too much is being received at once')

export abstract class Incoming extends Outgoing {
  /** Nothing is read or said any more: the call has ended, or the peer has taken it back. */
  over = false
  protected readonly head: CallHead
  /** Bytes of the body so far. */
  #length = 0
  /** What the peer may send before it is given more. */
  #window = DEFAULT_WINDOW
  #partial: PartialMessage | undefined
  /** What has come while the stream is not read. */
  #held: HeldBytes | undefined
  /** What was kept for the method until its request is whole. */
  #keptBytes = 0
  #paused = false
  #inflating = false
  /** The method is handed messages: it may pause and resume meanwhile. */
  #isReading = false
  /** Looks in a row that a message was waited for. */
  #looks = 0
  #allRead = false

  constructor(id: number, host: StreamHost, head: CallHead) {
    super(id, host)
    this.head = head
  }

  /** One message, whose bytes are nobody else's. */
  protected abstract message(bytes: Uint8Array): void
  /** The peer has sent all, and it was read. */
  protected abstract complete(): void
  /** Ends the call. */
  protected abstract fail(failure: GrpcFailure): void

  /** Whether the peer has yet to send of its request. */
  get incomplete(): boolean {
    return !this.over && !this.remoteClosed
  }

  /** Looks, every second, whether what the method waits for comes. */
  check(): void {
    if (this.over || this.#paused || this.#inflating || this.remoteClosed || !this.waitsForMessage) this.#looks = 0
    else if (++this.#looks > MAX_LOOKS) this.#refuse(TOO_SLOW)
  }

  /** Whether the peer has begun what it is to go on with at once. */
  protected get waitsForMessage(): boolean {
    return this.#partial !== undefined
  }

  /** Takes the payload of a DATA frame. `taken` is its size with padding, which counts for the window. */
  data(bytes: Buffer, start: number, end: number, taken: number, last: boolean): void {
    this.#window -= taken
    this.#length += end - start
    const { contentLength } = this.head
    if (this.#window < 0) return this.host.reset(this.id, ErrorCode.FLOW_CONTROL_ERROR)
    if (contentLength >= 0 && (this.#length > contentLength || (last && this.#length !== contentLength)))
      return this.host.reset(this.id, ErrorCode.PROTOCOL_ERROR)
    if (last) this.remoteClosed = true
    if (this.over) return
    const at = this.#read(bytes, start, end)
    if (at < end) this.#hold(bytes, at, end)
    if (last) this.#whenAllRead()
    else this.#giveWindow()
  }

  /** The peer has ended its side with headers. */
  remoteEnd(): void {
    const { contentLength } = this.head
    if (contentLength >= 0 && this.#length !== contentLength) return this.host.reset(this.id, ErrorCode.PROTOCOL_ERROR)
    this.remoteClosed = true
    this.#whenAllRead()
  }

  pause(): void {
    this.#paused = true
  }

  resume(): void {
    this.#paused = false
    this.#readHeld()
  }

  /** A message as it can be kept until the request ends; `undefined` where there is no room for it, and the call has failed. */
  protected keep(message: Uint8Array): Uint8Array | undefined {
    if (!this.host.budget.takeForMessage(message.length)) {
      this.#refuse(TOO_MUCH)
      return undefined
    }
    this.#keptBytes += message.length
    return apart(message)
  }

  /** The request is whole, or will not be. */
  protected kept(): void {
    if (this.#keptBytes === 0) return
    this.host.budget.give(this.#keptBytes)
    this.#keptBytes = 0
  }

  /** Lets go of what was read and not used. */
  protected release(): void {
    this.over = true
    this.#partial?.release()
    this.#partial = undefined
    this.#held?.release()
    this.kept()
  }

  #refuse(call: RefusedCall): void {
    if (!this.over) this.host.limits.onRefused(call.reason)
    this.fail(call)
  }

  /** Reads as long as the method takes messages. @returns up to where */
  #read(bytes: Buffer, start: number, end: number): number {
    this.#isReading = true
    let at = start
    while (at < end && !this.over && !this.#paused && !this.#inflating)
      at = this.#partial === undefined ? this.#readWhole(bytes, at, end) : this.#readPart(this.#partial, bytes, at, end)
    this.#isReading = false
    return this.over ? end : at
  }

  /** Reads a message that is there as a whole, or begins with a part. @returns where it ends. */
  #readWhole(bytes: Buffer, at: number, end: number): number {
    const { maxMessageBytes } = this.host.limits
    if (end - at >= PREFIX_BYTES) {
      const begin = at + PREFIX_BYTES
      const size = readUint32(bytes, at + 1)
      if (size > maxMessageBytes) {
        this.#refuse(tooLarge(maxMessageBytes))
        return end
      }
      if (begin + size <= end) {
        this.#deliver(bytes[at] as number, this.#own(bytes, begin, begin + size))
        return begin + size
      }
    }
    this.#partial = new PartialMessage(this.host.budget)
    return at
  }

  #readPart(partial: PartialMessage, bytes: Buffer, at: number, end: number): number {
    const { maxMessageBytes } = this.host.limits
    const until = partial.fill(bytes, at, end)
    if (until < 0) this.#refuse(TOO_MUCH)
    else if ((partial.size ?? 0) > PREFIX_BYTES + maxMessageBytes) this.#refuse(tooLarge(maxMessageBytes))
    else {
      const { whole } = partial
      if (whole === undefined) return until
      partial.release()
      this.#partial = undefined
      this.#deliver(whole[0] as number, whole.subarray(PREFIX_BYTES))
      return until
    }
    return end
  }

  /** A view of what the socket gave, or a copy where it is kept for longer than the call. */
  #own(bytes: Buffer, start: number, end: number): Uint8Array {
    const view = bytes.subarray(start, end)
    return this.head.route.keepsMessages ? apart(view) : view
  }

  #deliver(flag: number, bytes: Uint8Array): void {
    this.#looks = 0
    if (flag === 0) return this.message(bytes)
    if (flag !== 1)
      return this.#refuse(new RefusedCall('message', Code.INTERNAL, `a message begins with the flag ${flag}`))
    const { encoding } = this.head
    const { maxMessageBytes } = this.host.limits
    const inflated = inflateMessage(bytes, encoding, maxMessageBytes)
    if (inflated !== undefined) return this.#take(inflated)
    if (!this.host.budget.takeForMessage(bytes.length)) return this.#refuse(TOO_MUCH)
    this.#inflating = true
    inflateLarge(bytes, encoding, maxMessageBytes, {
      wanted: () => !this.over,
      done: (later) => {
        this.host.budget.give(bytes.length)
        this.#inflating = false
        if (this.over || later === undefined) return
        this.#take(later)
        this.#readHeld()
      },
    })
  }

  #take(inflated: Buffer | RefusedCall): void {
    if (inflated instanceof RefusedCall) this.#refuse(inflated)
    else this.message(inflated)
  }

  #hold(bytes: Buffer, start: number, end: number): void {
    this.#held ??= new HeldBytes(this.host.budget)
    if (!this.#held.add(bytes, start, end)) this.#refuse(TOO_MUCH)
  }

  #readHeld(): void {
    if (this.#isReading) return
    this.#held?.read((bytes, from, to) => this.#read(bytes, from, to))
    this.#giveWindow()
    this.#whenAllRead()
  }

  #giveWindow(): void {
    const taken = DEFAULT_WINDOW - this.#window
    if (this.over || this.remoteClosed || this.#paused || taken < UPDATE_BYTES) return
    this.#window = DEFAULT_WINDOW
    this.host.output.write(windowUpdate(this.id, taken))
  }

  #whenAllRead(): void {
    if (!this.remoteClosed || this.over || this.#paused || this.#inflating || this.#allRead) return
    if (this.#isReading || (this.#held?.length ?? 0) > 0) return
    this.#allRead = true
    if (this.#partial === undefined) this.complete()
    else this.#refuse(new RefusedCall('message', Code.INTERNAL, 'the last message is cut off'))
  }
}

/** The message, or a copy where it would keep alive much else. */
function apart(message: Uint8Array): Uint8Array {
  return 2 * message.length < message.buffer.byteLength ? Buffer.from(message) : message
}
