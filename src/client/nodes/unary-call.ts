// One unary gRPC call over a connection that is there: its message and the answer are bytes.

import { onExpiry } from '../../kernel/deadline.ts'
import { type ErrorCode, IntermixError, messageOf } from '../../kernel/errors.ts'
import type { Clock } from '../../kernel/ports.ts'
import { Code, codeName } from '../../kernel/status.ts'
import { ErrorCode as Reset } from '../../wire/http2/frames.ts'
import type { Field } from '../../wire/http2/hpack/hpack-error.ts'
import {
  framed,
  IncomingMessages,
  MessageRefused,
  notGrpc,
  readableDetails,
  type RoomForMessages,
} from './grpc-messages.ts'
import type { Http2Session } from './http2-session.ts'
import type { Http2Stream, StreamEvents } from './http2-stream.ts'

/** What a node answers to a call is short: that it has taken reports, or what it grants of rate limits. */
const MAX_ANSWER_BYTES = 1024 * 1024
const MAX_DETAILS = 1_000

export interface UnaryCall {
  readonly clock: Clock
  readonly session: Http2Session
  /** What it begins with. */
  readonly fields: readonly Field[]
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
  const { clock, session, fields, message, timeoutMs, room } = call
  const messages = new IncomingMessages(MAX_ANSWER_BYTES, room)
  let answer: Uint8Array | undefined
  let isOver = false
  const end = (outcome: Uint8Array | IntermixError) => {
    if (isOver) return
    isOver = true
    cancelTimeout()
    messages.end()
    if (outcome instanceof IntermixError) http2.reset(Reset.CANCEL)
    call.ended(outcome)
  }
  const failed = (why: string, cause?: unknown) =>
    end(new IntermixError('BACKEND_FAILED', `the node did not answer a call: ${why}`, { cause }))
  const refused = (error: unknown) => {
    if (error instanceof MessageRefused && !isOver) call.onRefused(error)
    failed(messageOf(error), error)
  }
  const judge = (said: ReadonlyMap<string, string>) => {
    const status = said.get('grpc-status')
    if (status === undefined) return
    if (status !== '0') end(failureOf(Number(status), said.get('grpc-message')))
    else if (answer === undefined || messages.isWithin) failed('it sent no whole message')
    else end(answer)
  }
  const http2 = requested(session, fields, {
    headers(said) {
      const why = notGrpc(said)
      if (why === undefined) judge(said)
      else failed(why)
    },
    data(bytes) {
      if (isOver) return
      try {
        messages.read(bytes, (read) => {
          if (answer !== undefined) throw new MessageRefused('it sent two messages')
          answer = read
        })
      } catch (error) {
        refused(error)
      }
    },
    failed: (error) => (error instanceof MessageRefused ? refused(error) : failed('the connection failed', error)),
    ended: () => failed('the call was ended'),
  })
  const cancelTimeout = onExpiry(clock, timeoutMs, () =>
    end(new IntermixError('DEADLINE_EXCEEDED', 'the node gave no answer in time')),
  )
  http2.end(framed(message))
  return end
}

function requested(session: Http2Session, fields: readonly Field[], events: StreamEvents): Http2Stream {
  try {
    return session.request(fields, events)
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

function failureOf(code: number, details: string | undefined): IntermixError {
  const text = details !== undefined && details !== '' ? readableDetails(details) : codeName(code)
  // gRPC has one code for too much at once, which passes, and for a message that no attempt makes smaller.
  const isTooLarge = code === Code.RESOURCE_EXHAUSTED && / larger than /.test(text)
  const kind = isTooLarge ? 'TOO_LARGE' : (CODES[code] ?? 'BACKEND_FAILED')
  return new IntermixError(kind, text.slice(0, MAX_DETAILS), { backend: 'answered' })
}
