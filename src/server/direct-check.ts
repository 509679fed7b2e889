// The short way of POST /v1/check: from Node's HTTP server to the door and back. Router, hooks and replies of a framework cost
// more than the answer does; requests that are in any way unusual go through them all the same.

import type { IncomingMessage, ServerResponse } from 'node:http'
import { CHECK_PATH, type CheckDoor, type CheckResponse } from './check-route.ts'

/** Takes a request, or says that it does not. */
export type DirectHandler = (request: IncomingMessage, response: ServerResponse) => boolean

/** Takes POST /v1/check as it is, with a body that says how long it is: something, and no more than `maxBodyBytes`. */
export function directCheck(door: CheckDoor, maxBodyBytes: number): DirectHandler {
  return (request, response) => {
    if (request.url !== CHECK_PATH || request.method !== 'POST') return false
    const { 'content-length': written, 'transfer-encoding': coding, expect } = request.headers
    const length = Number(written)
    if (!(length > 0 && length <= maxBodyBytes) || coding !== undefined || expect !== undefined) return false
    receive(request, length, (body) => {
      const answered = door.answer(body, request.socket.remoteAddress)
      if (answered instanceof Promise) void answered.then((later) => send(response, later))
      else send(response, answered)
    })
    return true
  }
}

/** Node's parser hands over exactly what the length says; where the connection ends before, there is nobody to answer. */
function receive(request: IncomingMessage, length: number, take: (body: Buffer) => void): void {
  let first: Buffer | undefined
  let more: Buffer[] | undefined
  request.on('data', (chunk: Buffer) => {
    if (first === undefined) first = chunk
    else (more ??= [first]).push(chunk)
  })
  request.on('end', () => take(more === undefined ? (first ?? Buffer.alloc(0)) : Buffer.concat(more, length)))
}

function send(response: ServerResponse, { status, headers, body }: CheckResponse): void {
  response.writeHead(status, [...headers, 'content-length', Buffer.byteLength(body)] as string[])
  // As text it goes out in one write with the head.
  response.end(body)
}
