// How gRPC goes over HTTP/2: what a call begins with, and its messages, each with five bytes before it, its length among them.

import type { Field } from '../../wire/http2/hpack/hpack-error.ts'

const HEAD_BYTES = 5
/** The header of a timeout has eight digits. */
const MAX_TIMEOUT_MS = 99_999_999

/** The fields that a call begins with. @param to where it goes: a host and a port, or a socket's path */
export function callFields(
  to: { readonly path: string } | { readonly host: string; readonly port: number; readonly tls?: unknown },
  path: string,
  timeoutMs?: number,
): readonly Field[] {
  const isTls = 'tls' in to && to.tls !== undefined
  const timeout = timeoutMs === undefined ? undefined : Math.min(MAX_TIMEOUT_MS, Math.max(1, Math.floor(timeoutMs)))
  return [
    [':method', 'POST'],
    [':scheme', isTls ? 'https' : 'http'],
    [':authority', authorityOf(to)],
    [':path', path],
    ['content-type', 'application/grpc'],
    ['te', 'trailers'],
    ...(timeout === undefined ? [] : [['grpc-timeout', `${timeout}m`] as const]),
  ]
}

function authorityOf(to: { readonly path: string } | { readonly host: string; readonly port: number }): string {
  if ('path' in to) return 'localhost'
  return `${to.host.includes(':') ? `[${to.host}]` : to.host}:${to.port}`
}

/** A message as it is sent. */
export function framed(message: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(HEAD_BYTES + message.length)
  bytes[0] = 0
  bytes.writeUInt32BE(message.length, 1)
  bytes.set(message, HEAD_BYTES)
  return bytes
}

/** Why fields are no gRPC: a proxy between may answer by itself, or something else be there. `undefined` where they may be */
export function notGrpc(said: ReadonlyMap<string, string>): string | undefined {
  const status = said.get(':status') ?? '200'
  if (status !== '200') return `it answers with HTTP status ${status}`
  const type = said.get('content-type') ?? 'application/grpc'
  return /^application\/grpc(?![^+; ])/i.test(type) ? undefined : `it answers with ${type.slice(0, 100)}`
}

/** The text of a status, which travels percent-encoded. */
export function readableDetails(details: string): string {
  try {
    return decodeURIComponent(details)
  } catch {
    return details
  }
}

/** What the beginnings of several messages may take of memory together. */
export class RoomForMessages {
  readonly #maxBytes: number
  #bytes = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** @throws MessageRefused where that is too much */
  change(bytes: number): void {
    this.#bytes += bytes
    if (bytes > 0 && this.#bytes > this.#maxBytes)
      throw new MessageRefused(`messages that have come in part take ${this.#bytes} bytes; ${this.#maxBytes} are taken`)
  }
}

/** What a peer sends is not what was asked for, whatever it says. */
export class MessageRefused extends Error {}

const NOTHING: Buffer = Buffer.alloc(0)

/** Finds messages in what comes in pieces. */
export class IncomingMessages {
  readonly #maxBytes: number
  readonly #room: RoomForMessages | undefined
  /** The beginning of a message: as much of it as has come. */
  #kept: Buffer = NOTHING
  #have = 0

  /**
   * @param maxBytes a longer message is not waited for
   * @param room for what is waited for here and elsewhere
   */
  constructor(maxBytes: number, room?: RoomForMessages) {
    this.#maxBytes = maxBytes
    this.#room = room
  }

  /** Whether a message has come in part. */
  get isWithin(): boolean {
    return this.#have > 0
  }

  /** Nothing more is waited for. */
  end(): void {
    this.#keep(NOTHING)
    this.#have = 0
  }

  /** Hands each message that is complete to `onMessage`. @throws MessageRefused for one that is compressed, or too long */
  read(bytes: Buffer, onMessage: (message: Buffer) => void): void {
    let rest = this.#have === 0 ? bytes : this.#joined(bytes)
    while (rest.length >= HEAD_BYTES) {
      const length = rest.readUInt32BE(1)
      if (rest[0] !== 0) throw new MessageRefused('a compressed message came, and none was asked for')
      if (length > this.#maxBytes)
        throw new MessageRefused(`a message of ${length} bytes came; ${this.#maxBytes} are taken`)
      if (rest.length < HEAD_BYTES + length) break
      onMessage(rest.subarray(HEAD_BYTES, HEAD_BYTES + length))
      rest = rest.subarray(HEAD_BYTES + length)
    }
    if (rest.length === this.#have) return
    this.#keep(rest.length === 0 ? NOTHING : Buffer.from(rest))
    this.#have = rest.length
  }

  #keep(bytes: Buffer): void {
    const before = this.#kept.length
    this.#kept = bytes
    this.#room?.change(bytes.length - before)
  }

  /** What is kept with these bytes behind it. Room is doubled, so that a byte is copied a few times at most. */
  #joined(bytes: Buffer): Buffer {
    const have = this.#have + bytes.length
    if (have > this.#kept.length) {
      const larger = Buffer.allocUnsafe(Math.max(have, 2 * this.#kept.length))
      this.#kept.copy(larger, 0, 0, this.#have)
      this.#keep(larger)
    }
    bytes.copy(this.#kept, this.#have)
    this.#have = have
    return this.#kept.subarray(0, have)
  }
}
