// An HTTP/1.1 client for one POST after another on a connection, as cheap as it can be.

import { connect } from 'node:net'
import type { Address, Connection, ConnectionEvents, Ended } from './connection.ts'
import { decisionOfCode } from './doors.ts'
import { OutputBuffer } from './output-buffer.ts'
import { type RequestTemplate, writeRequest } from './request-template.ts'

/** The caller has gone, and its answer is still to come. */
const GONE = -1

export interface HttpConnectionOptions {
  readonly address: Address
  readonly path: string
  readonly request: RequestTemplate
  readonly events: ConnectionEvents
  /** Whether an answer names its status, as Intermix does; every 200 is `allow` without it. */
  readonly decides: boolean
}

/**
 * Opens a connection. A caller that goes leaves it occupied until the answer has come: closing and opening connections
 * would cost this driver more than the server.
 */
export function connectHttp({ address, path, request, events, decides }: HttpConnectionOptions): Connection {
  const head = [`POST ${path} HTTP/1.1`, `host: ${address.host}`, 'content-type: application/json']
  const start = Buffer.from(`${[...head, `content-length: ${request.bytes.length}`].join('\r\n')}\r\n\r\n`)
  const out = new OutputBuffer()
  const socket = connect({ ...address, noDelay: true })
  let current: number | undefined
  let closed = false
  let text = ''
  const end = (how: Ended, why?: string) => {
    const call = current
    current = undefined
    text = ''
    if (call !== undefined && call !== GONE) events.ended(call, how, why)
  }
  const gone = (why: string): void => {
    if (closed) return
    closed = true
    events.lost(why)
    end('failed', why)
    events.read(connection)
  }
  socket.setEncoding('latin1')
  socket.on('data', (chunk) => {
    text += String(chunk)
    const headEnd = text.indexOf('\r\n\r\n')
    if (headEnd < 0) return
    const answer = text.slice(0, headEnd)
    const length = fieldOf(answer, 'content-length')
    if (length === undefined) {
      gone('an answer without a content-length, which this client cannot read')
      socket.destroy()
      return
    }
    if (text.length < headEnd + 4 + Number(length)) return
    const [how, why] = meaningOf(answer, decides)
    end(how, why ?? text.slice(headEnd + 4, headEnd + 200))
    events.read(connection)
  })
  socket.on('error', (error) => gone(String(error)))
  socket.on('close', () => gone('the connection was closed'))
  const connection: Connection = {
    free: () => !closed && current === undefined,
    closed: () => closed,
    send(call, key) {
      current = call
      out.add(start)
      out.used(writeRequest(request, out.room(request.bytes.length), out.position, key))
    },
    cancel(call) {
      if (call === current) current = GONE
    },
    flush() {
      const bytes = out.take()
      if (bytes.length > 0 && !closed) socket.write(bytes)
    },
    close() {
      closed = true
      socket.destroy()
    },
  }
  return connection
}

function meaningOf(answer: string, decides: boolean): readonly [Ended, string?] {
  const status = answer.slice(9, 12)
  if (status === '200')
    return [decides ? decisionOfCode(Number(fieldOf(answer, 'x-intermix-status'))) : 'allow', status]
  if (status === '503') return ['shed']
  return [status === '404' ? 'missing' : 'failed']
}

function fieldOf(head: string, name: string): string | undefined {
  let at = head.indexOf(`\n${name}: `)
  if (at < 0) at = head.toLowerCase().indexOf(`\n${name}: `)
  if (at < 0) return undefined
  const end = head.indexOf('\r', at)
  return head.slice(at + name.length + 3, end < 0 ? undefined : end)
}
