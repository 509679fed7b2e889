// What gRPC answers are made of on the wire, as whole frames whose stream is put in when they are sent. None of them needs
// HPACK's dynamic table, so that each is made once for all connections.

import type { GrpcFailure } from '../grpc-service.ts'
import { encodeFields } from '../../wire/http2/hpack/encode-fields.ts'
import { Flag, frame, FrameType, HEAD_BYTES } from '../../wire/http2/frames.ts'

type Fields = readonly (readonly [name: string, value: string])[]

/** Encodings of messages that we read. */
const ACCEPTED_ENCODINGS = 'identity,deflate,gzip'
/** So that headers fit into one frame, whatever a failure says. */
const MAX_MESSAGE_CHARACTERS = 4_096

const NO_TABLE = 0x20

const RESPONSE: Fields = [
  [':status', '200'],
  ['content-type', 'application/grpc'],
]
const OK: Fields = [['grpc-status', '0']]

function headers(fields: Fields, flags: number = 0): Buffer {
  return frame(FrameType.HEADERS, Flag.END_HEADERS | flags, 0, encodeFields(fields))
}

/** A frame of headers that begins with a change of the table's size to none (RFC 7541, section 6.3). */
export function withoutTable(headers: Buffer): Buffer {
  const block = Buffer.concat([Buffer.from([NO_TABLE]), headers.subarray(HEAD_BYTES)])
  return frame(FrameType.HEADERS, headers[4] ?? 0, 0, block)
}

/** What comes before the first message. */
export const RESPONSE_HEADERS = headers(RESPONSE)
/** What comes after the last message of a call that went well. */
export const OK_TRAILERS = headers(OK, Flag.END_STREAM)

/** The headers of a unary reply, the head of its DATA frame and the prefix of its message. */
export const UNARY_HEAD = Buffer.concat([
  RESPONSE_HEADERS,
  frame(FrameType.DATA, 0, 0, new Uint8Array(0)),
  Buffer.alloc(5),
])
/** Where the head of the DATA frame begins. */
export const UNARY_HEAD_DATA = UNARY_HEAD.length - 5 - HEAD_BYTES
/** The whole answer of a call that went well without a message. */
export const OK_ONLY = headers([...RESPONSE, ...OK], Flag.END_STREAM)

/** The end of a call that failed after messages were sent. */
export function failureTrailers(failure: GrpcFailure): Buffer {
  return headers(statusFields(failure), Flag.END_STREAM)
}

/** The whole answer of a call that failed before. */
export function failureOnly(failure: GrpcFailure): Buffer {
  return headers([...RESPONSE, ...statusFields(failure)], Flag.END_STREAM)
}

/** The answer to a call whose messages are encoded in a way that we do not read. */
export function unreadableEncoding(failure: GrpcFailure): Buffer {
  const accepted = ['grpc-accept-encoding', ACCEPTED_ENCODINGS] as const
  return headers([...RESPONSE, ...statusFields(failure), accepted], Flag.END_STREAM)
}

/** An answer to what is no gRPC: headers, and a text that says so in a DATA frame. */
export interface HttpAnswer {
  readonly headers: Buffer
  readonly body: Buffer
}

export function httpAnswer(status: number, text: string, more: Fields = []): HttpAnswer {
  const body = Buffer.from(`${text}\n`)
  const described = [['content-type', 'text/plain'], ['content-length', String(body.length)], ...more] as const
  return { headers: headers([[':status', String(status)], ...described]), body }
}

function statusFields({ code, details }: GrpcFailure): Fields {
  return [
    ['grpc-status', String(code)],
    ['grpc-message', percentEncoded(details)],
  ]
}

/** As gRPC's HTTP/2 mapping has it: what is not printable ASCII, and `%`, as the octets of its UTF-8. */
function percentEncoded(text: string): string {
  let encoded = ''
  for (const octet of Buffer.from(text.slice(0, MAX_MESSAGE_CHARACTERS))) {
    if (encoded.length >= MAX_MESSAGE_CHARACTERS) break
    const plain = octet >= 0x20 && octet <= 0x7e && octet !== 0x25
    encoded += plain ? String.fromCharCode(octet) : `%${octet.toString(16).toUpperCase().padStart(2, '0')}`
  }
  return encoded
}
