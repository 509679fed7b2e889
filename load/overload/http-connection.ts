// An HTTP/1.1 client for one POST after another on a connection, as cheap as it can be.

import { connect } from 'node:net'
import type { Connection, Ended } from './target.ts'

/** The caller has gone, and its answer is still to come. */
const GONE = -1

/**
 * Opens a connection. A caller that goes leaves it occupied until the answer has come: closing and opening connections
 * would cost this driver more than the server.
 */
export function connectHttp(options: {
  readonly host: string
  readonly port: number
  readonly path: string
  readonly bodies: readonly string[]
  readonly onEnd: (call: number, ended: Ended) => void
}): Connection {
  const { host, port, path, bodies, onEnd } = options
  const requests = bodies.map((body) => {
    const head = [`POST ${path} HTTP/1.1`, `host: ${host}`, 'content-type: application/json']
    return `${[...head, `content-length: ${Buffer.byteLength(body)}`].join('\r\n')}\r\n\r\n${body}`
  })
  const socket = connect({ host, port, noDelay: true })
  let current: number | undefined
  let closed = false
  let text = ''
  let out = ''
  const end = (ended: Ended) => {
    const call = current
    current = undefined
    text = ''
    if (call !== undefined && call !== GONE) onEnd(call, ended)
  }
  socket.setEncoding('latin1')
  socket.on('data', (chunk) => {
    text += String(chunk)
    const headEnd = text.indexOf('\r\n\r\n')
    if (headEnd < 0) return
    const length = Number(/content-length: (\d+)/i.exec(text)?.[1] ?? 0)
    if (text.length < headEnd + 4 + length) return
    const status = text.slice(9, 12)
    end(status === '200' ? 'answered' : status === '503' ? 'shed' : 'failed')
  })
  socket.on('error', () => {})
  socket.on('close', () => {
    closed = true
    end('failed')
  })
  return {
    free: () => !closed && current === undefined,
    closed: () => closed,
    send(call, key) {
      current = call
      out += requests[key % requests.length] ?? ''
    },
    cancel(call) {
      if (call === current) current = GONE
    },
    flush() {
      if (out === '' || closed) return
      socket.write(out)
      out = ''
    },
    close: () => socket.destroy(),
  }
}
