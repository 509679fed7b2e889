// One unary gRPC call over a connection that is there: its message and the answer are bytes.

import { type ClientHttp2Session, type ClientHttp2Stream, constants, type IncomingHttpHeaders } from 'node:http2'
import { onExpiry } from '../../kernel/deadline.ts'
import { type ErrorCode, IntermixError } from '../../kernel/errors.ts'
import type { Clock } from '../../kernel/ports.ts'
import { Code, codeName } from '../../kernel/status.ts'
import { framed, IncomingMessages, MessageRefused, type RoomForMessages } from './grpc-messages.ts'

/** What a node answers to a call is short: that it has taken reports, or what it grants of rate limits. */
const MAX_ANSWER_BYTES = 1024 * 1024
/** The header of a timeout has eight digits. */
const MAX_TIMEOUT_MS = 99_999_999
const MAX_DETAILS = 1_000

export interface UnaryCall {
  readonly clock: Clock
  readonly session: ClientHttp2Session
  /** `/<service>/<method>`. */
  readonly path: string
  readonly message: Uint8Array
  readonly timeoutMs: number
  /** For answers of all calls over the connection. */
  readonly room: RoomForMessages
  /** The node sends what no answer may be. */
  readonly onRefused: (error: MessageRefused) => void
  /** Called once: with the answer, or with why there is none. */
  readonly ended: (outcome: Uint8Array | IntermixError) => void
}

/** Begins a call. The returned function ends it, with an error for who waits. @throws IntermixError where the connection has ended */
export function beginUnaryCall(call: UnaryCall): (error: IntermixError) => void {
  const { clock, session, path, message, timeoutMs, room } = call
  const http2 = requested(session, path, timeoutMs)
  const messages = new IncomingMessages(MAX_ANSWER_BYTES, room)
  let answer: Uint8Array | undefined
  let isOver = false
  const end = (outcome: Uint8Array | IntermixError) => {
    if (isOver) return
    isOver = true
    cancelTimeout()
    messages.end()
    if (outcome instanceof IntermixError) http2.close(constants.NGHTTP2_CANCEL)
    call.ended(outcome)
  }
  const failed = (why: string, cause?: unknown) =>
    end(new IntermixError('BACKEND_FAILED', `the node did not answer a call: ${why}`, { cause }))
  const cancelTimeout = onExpiry(clock, timeoutMs, () =>
    end(new IntermixError('DEADLINE_EXCEEDED', 'the node gave no answer in time')),
  )
  const judge = (headers: IncomingHttpHeaders) => {
    const { 'grpc-status': status, 'grpc-message': details } = headers
    if (status === undefined) return
    if (status !== '0') end(failureOf(Number(status), details))
    else if (answer === undefined) failed('it sent no message')
    else end(answer)
  }
  http2.once('response', (headers) => {
    const { ':status': status } = headers
    if (status !== undefined && status !== 200) failed(`HTTP status ${status}`)
    else judge(headers)
  })
  http2.on('data', (bytes: Buffer) => {
    if (isOver) return
    try {
      messages.read(bytes, (read) => (answer = read))
    } catch (error) {
      if (error instanceof MessageRefused) call.onRefused(error)
      failed(error instanceof Error ? error.message : String(error), error)
    }
  })
  http2.once('trailers', judge)
  http2.on('error', (error) => failed('the connection failed', error))
  http2.once('close', () => failed('the call was ended'))
  http2.end(framed(message))
  return end
}

function requested(session: ClientHttp2Session, path: string, timeoutMs: number): ClientHttp2Stream {
  try {
    return session.request({
      [constants.HTTP2_HEADER_METHOD]: 'POST',
      [constants.HTTP2_HEADER_PATH]: path,
      'content-type': 'application/grpc',
      'grpc-timeout': `${Math.min(MAX_TIMEOUT_MS, Math.max(1, Math.floor(timeoutMs)))}m`,
      te: 'trailers',
    })
  } catch (cause) {
    throw new IntermixError('BACKEND_FAILED', 'the node cannot be called: the connection has ended', { cause })
  }
}

/** What a node's status means to who called it. */
const CODES: Readonly<Record<number, ErrorCode>> = {
  [Code.CANCELLED]: 'CANCELLED',
  [Code.INVALID_ARGUMENT]: 'INVALID_REQUEST',
  [Code.DEADLINE_EXCEEDED]: 'DEADLINE_EXCEEDED',
  [Code.NOT_FOUND]: 'NOT_FOUND',
  [Code.PERMISSION_DENIED]: 'BACKEND_REFUSED',
  [Code.UNAUTHENTICATED]: 'BACKEND_REFUSED',
  [Code.RESOURCE_EXHAUSTED]: 'OVERLOADED',
  [Code.UNAVAILABLE]: 'OVERLOADED',
}

function failureOf(code: number, details: string | string[] | undefined): IntermixError {
  const text = typeof details === 'string' && details !== '' ? readable(details) : codeName(code)
  // gRPC has one code for too much at once, which passes, and for a message that no attempt makes smaller.
  const isTooLarge = code === Code.RESOURCE_EXHAUSTED && / larger than /.test(text)
  const kind = isTooLarge ? 'TOO_LARGE' : (CODES[code] ?? 'BACKEND_FAILED')
  return new IntermixError(kind, text.slice(0, MAX_DETAILS), { backend: 'answered' })
}

/** The text of a status travels percent-encoded. */
function readable(details: string): string {
  try {
    return decodeURIComponent(details)
  } catch {
    return details
  }
}
