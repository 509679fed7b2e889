// Answers what Node's HTTP parser gives up on: there is no request yet, only a socket.

import type { Socket } from 'node:net'
import { IntermixError } from '../kernel/errors.ts'
import { RefusedRequest } from '../kernel/refused-request.ts'

/** Answers 431 for headers beyond the bound, 408 for what took too long, 400 otherwise, and ends the connection. */
export function refuseUnreadable(
  caught: Error & { readonly code?: string },
  socket: Socket,
  maxHeaderBytes: number,
  refused: (error: IntermixError, peer: string | undefined) => void,
): void {
  if (caught.code === 'ECONNRESET' || socket.destroyed) return
  const { status, error } = refusalOf(caught, maxHeaderBytes)
  if (status !== 408) refused(error, socket.remoteAddress)
  if (socket.writable) {
    const body = JSON.stringify({ error: { code: error.code, message: error.message, problems: [] } })
    const head = [
      `HTTP/1.1 ${status} ${REASONS[status]}`,
      'content-type: application/json; charset=utf-8',
      `content-length: ${Buffer.byteLength(body)}`,
      'connection: close',
    ]
    socket.write(`${head.join('\r\n')}\r\n\r\n${body}`)
  }
  socket.destroySoon()
}

const REASONS = { 400: 'Bad Request', 408: 'Request Timeout', 431: 'Request Header Fields Too Large' }

interface Unreadable {
  readonly status: keyof typeof REASONS
  readonly error: IntermixError
}

function refusalOf({ code, message }: Error & { readonly code?: string }, maxHeaderBytes: number): Unreadable {
  if (code === 'HPE_HEADER_OVERFLOW') {
    const text = `the request line and headers have more than ${maxHeaderBytes} bytes`
    return { status: 431, error: new RefusedRequest('too-large', text, 'raise --max-header-bytes') }
  }
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    return {
      status: 408,
      error: new IntermixError('INVALID_REQUEST', 'the request did not come within the time for it'),
    }
  }
  return { status: 400, error: new IntermixError('INVALID_REQUEST', `not a valid HTTP request: ${message}`) }
}
