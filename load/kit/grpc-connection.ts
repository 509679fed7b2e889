// Unary gRPC calls of one method, all with the same headers: one or two microseconds a call, so that the driver can ask for more
// than a server can answer from the other core of the same machine.

import * as frames from '../../test/helpers/http2/frames.ts'
import { Flag, FrameType } from '../../test/helpers/http2/frames.ts'
import type { Address, Connection, ConnectionEvents, Ended } from './connection.ts'
import { FRAME_HEAD_BYTES, Http2Client, writeFrameHead } from './http2-client.ts'
import type { ReplyHeaders } from './reply-headers.ts'
import { type RequestTemplate, writeRequest } from './request-template.ts'

const MESSAGE_HEAD_BYTES = 5

export interface GrpcConnectionOptions {
  readonly address: Address
  readonly path: string
  readonly timeoutMs: number
  readonly request: RequestTemplate
  readonly events: ConnectionEvents
  /** What an answer says; every answer that is OK is `allow` without it. */
  readonly decision?: ((bytes: Buffer, start: number, end: number) => Ended) | undefined
}

interface Call {
  readonly number: number
  decided: Ended
  /** Bytes of the message so far, where its frame was not the last. */
  message: Buffer | undefined
}

/** Opens a connection. What is sent before it is there waits for it. */
export function connectGrpc(options: GrpcConnectionOptions): Connection {
  return new GrpcConnection(options)
}

class GrpcConnection implements Connection {
  readonly #options: GrpcConnectionOptions
  readonly #client: Http2Client
  readonly #calls = new Map<number, Call>()
  readonly #streams = new Map<number, number>()
  readonly #dataBytes: number

  constructor(options: GrpcConnectionOptions) {
    this.#options = options
    const { address, path, timeoutMs, request } = options
    this.#dataBytes = MESSAGE_HEAD_BYTES + request.bytes.length
    this.#client = new Http2Client({ address, path, fields: [['grpc-timeout', `${timeoutMs}m`]], events: this })
  }

  free(): boolean {
    const client = this.#client
    return !client.isClosed && this.#calls.size < client.maxStreams && client.window >= this.#dataBytes
  }

  closed(): boolean {
    return this.#client.isClosed
  }

  send(call: number, key: number): void {
    const { request } = this.#options
    const { stream, target, at: start } = this.#client.open(FRAME_HEAD_BYTES + this.#dataBytes)
    this.#calls.set(stream, { number: call, decided: 'allow', message: undefined })
    this.#streams.set(call, stream)
    const head = { length: this.#dataBytes, type: FrameType.DATA, flags: Flag.END_STREAM, stream }
    const at = writeFrameHead(target, start, head)
    target[at] = 0
    target.writeUInt32BE(request.bytes.length, at + 1)
    this.#client.out.used(writeRequest(request, target, at + MESSAGE_HEAD_BYTES, key))
    this.#client.sent(this.#dataBytes)
  }

  cancel(call: number): void {
    const stream = this.#streams.get(call)
    if (stream === undefined) return
    this.#streams.delete(call)
    this.#calls.delete(stream)
    this.#client.out.add(frames.resetStream(stream))
    this.flush()
  }

  flush(): void {
    this.#client.flush()
  }

  close(): void {
    this.#client.close()
  }

  headers(stream: number, said: ReplyHeaders, isLast: boolean): void {
    if (said.end !== undefined) this.#finish(stream, said.end, said.why)
    else if (isLast)
      this.#finish(stream, this.#calls.get(stream)?.decided ?? 'allow', 'the answer says neither allow nor deny')
  }

  data(stream: number, bytes: Buffer, start: number, end: number): void {
    const call = this.#calls.get(stream)
    const { decision } = this.#options
    if (decision === undefined || call === undefined) return
    const part = bytes.subarray(start, end)
    const whole = call.message === undefined ? part : Buffer.concat([call.message, part])
    if (whole.length >= MESSAGE_HEAD_BYTES && whole.length >= MESSAGE_HEAD_BYTES + whole.readUInt32BE(1))
      call.decided = decision(whole, MESSAGE_HEAD_BYTES, whole.length)
    else call.message = whole
  }

  reset(stream: number, code: number): void {
    this.#finish(stream, 'failed', `reset with ${code}`)
  }

  goAway(last: number): void {
    for (const stream of this.#calls.keys()) if (stream > last) this.#finish(stream, 'shed', 'GOAWAY')
  }

  gone(why: string): void {
    this.#options.events.lost(why)
    for (const stream of this.#calls.keys()) this.#finish(stream, 'failed', why)
    this.#options.events.read(this)
  }

  read(): void {
    this.#options.events.read(this)
    if (this.#client.isClosed && this.#calls.size === 0) this.#client.end()
  }

  #finish(stream: number, how: Ended, why: string): void {
    const call = this.#calls.get(stream)
    if (call === undefined) return
    this.#calls.delete(stream)
    this.#streams.delete(call.number)
    this.#options.events.ended(call.number, how, why)
  }
}
