// A gRPC client made of HTTP/2 frames: it costs a few microseconds a call, so that it can ask for more than a server can
// answer from the other core of the same machine. One call type, fixed headers, no compression of headers.

import { connect } from 'node:net'
import { EXT_AUTHZ_PATH } from '../ext-authz-path.ts'
import type { Connection, Ended } from './target.ts'

const DATA = 0
const HEADERS = 1
const RST_STREAM = 3
const SETTINGS = 4
const PING = 6
const GOAWAY = 7
const WINDOW_UPDATE = 8
const END_STREAM = 1
const END_HEADERS = 4
const ACK = 1
const MAX_CONCURRENT_STREAMS = 3
const CANCEL = 8

/** `grpc-status` as HPACK's Huffman code writes it; with a header table of size 0, it is written out each time. */
const STATUS_NAME = huffman({
  g: '100110',
  r: '101100',
  p: '101011',
  c: '00100',
  '-': '010110',
  s: '01000',
  t: '01001',
  a: '00011',
  u: '101101',
})

/** Servers write it in either way. */
const STATUS_NAMES = [STATUS_NAME, Buffer.from('grpc-status')]

function huffman(codes: Readonly<Record<string, string>>): Buffer {
  const bits = Array.from('grpc-status')
    .map((letter) => codes[letter] ?? '')
    .join('')
  const padded = bits.padEnd(Math.ceil(bits.length / 8) * 8, '1')
  return Buffer.from((padded.match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2)))
}

function frame(type: number, flags: number, stream: number, body: Buffer): Buffer {
  const head = Buffer.alloc(9)
  head.writeUIntBE(body.length, 0, 3)
  head[3] = type
  head[4] = flags
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, body])
}

function field(name: string, value: string): Buffer {
  const text = (part: string) => Buffer.concat([Buffer.from([part.length]), Buffer.from(part)])
  return Buffer.concat([Buffer.from([0]), text(name), text(value)])
}

const SETTINGS_BODY = Buffer.from([0, 1, 0, 0, 0, 0, 0, 4, 0x7f, 0xff, 0xff, 0xff])
const PREFACE = Buffer.concat([
  Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  frame(SETTINGS, 0, 0, SETTINGS_BODY),
  frame(WINDOW_UPDATE, 0, 0, Buffer.from([0x3f, 0, 0, 0])),
])

/** Opens a connection; `messages` are the requests by key, `onEnd` hears of each call that has ended. */
export function connectGrpc(options: {
  readonly host: string
  readonly port: number
  readonly timeoutMs: number
  readonly messages: readonly Buffer[]
  readonly onEnd: (call: number, ended: Ended) => void
}): Connection {
  const { host, port, timeoutMs, messages, onEnd } = options
  const block = Buffer.concat([
    Buffer.from([0x83, 0x86]),
    field(':path', EXT_AUTHZ_PATH),
    field(':authority', host),
    field('content-type', 'application/grpc'),
    field('te', 'trailers'),
    field('grpc-timeout', `${timeoutMs}m`),
  ])
  const heads = frame(HEADERS, END_HEADERS, 0, block)
  const bodies = messages.map((message) => {
    const prefix = Buffer.alloc(5)
    prefix.writeUInt32BE(message.length, 1)
    return frame(DATA, END_STREAM, 0, Buffer.concat([prefix, message]))
  })
  const socket = connect({ host, port, noDelay: true })
  const out: Buffer[] = [PREFACE]
  const streams = new Map<number, number>()
  const calls = new Map<number, number>()
  let maxStreams = 100
  let nextStream = 1
  let rest: Buffer = Buffer.alloc(0)
  let closed = false

  const end = (stream: number, ended: Ended) => {
    const call = streams.get(stream)
    if (call === undefined) return
    streams.delete(stream)
    calls.delete(call)
    onEnd(call, ended)
  }
  const statusOf = (body: Buffer): Ended => {
    const name = STATUS_NAMES.find((each) => body.includes(each))
    if (name === undefined) return 'failed'
    const from = body.indexOf(name) + name.length
    const code = body.toString('latin1', from + 1, from + 1 + (body[from] ?? 0))
    return code === '0' ? 'answered' : code === '14' ? 'shed' : code === '4' ? 'expired' : 'failed'
  }
  const read = (type: number, flags: number, stream: number, body: Buffer) => {
    if (type === HEADERS && (flags & END_STREAM) !== 0) end(stream, statusOf(body))
    else if (type === RST_STREAM) end(stream, 'failed')
    else if (type === SETTINGS && (flags & ACK) === 0) {
      for (let at = 0; at + 6 <= body.length; at += 6)
        if (body.readUInt16BE(at) === MAX_CONCURRENT_STREAMS) maxStreams = body.readUInt32BE(at + 2)
      out.push(frame(SETTINGS, ACK, 0, Buffer.alloc(0)))
    } else if (type === PING && (flags & ACK) === 0) out.push(frame(PING, ACK, 0, Buffer.from(body)))
    else if (type === GOAWAY) closed = true
  }
  socket.on('data', (chunk) => {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    let at = 0
    while (bytes.length - at >= 9) {
      const length = bytes.readUIntBE(at, 3)
      if (bytes.length - at < 9 + length) break
      const body = bytes.subarray(at + 9, at + 9 + length)
      read(bytes[at + 3] ?? 0, bytes[at + 4] ?? 0, bytes.readUInt32BE(at + 5), body)
      at += 9 + length
    }
    rest = bytes.subarray(at)
  })
  socket.on('error', () => {})
  socket.on('close', () => {
    closed = true
    for (const stream of streams.keys()) end(stream, 'failed')
  })
  return {
    free: () => !closed && streams.size < maxStreams,
    closed: () => closed,
    send(call, key) {
      const stream = nextStream
      nextStream += 2
      streams.set(stream, call)
      calls.set(call, stream)
      const head = Buffer.from(heads)
      head.writeUInt32BE(stream, 5)
      const body = Buffer.from(bodies[key % bodies.length] ?? Buffer.alloc(0))
      body.writeUInt32BE(stream, 5)
      out.push(head, body)
    },
    cancel(call) {
      const stream = calls.get(call)
      if (stream === undefined) return
      calls.delete(call)
      streams.delete(stream)
      out.push(frame(RST_STREAM, 0, stream, Buffer.from([0, 0, 0, CANCEL])))
    },
    flush() {
      if (out.length > 0 && !closed) socket.write(Buffer.concat(out.splice(0)))
    },
    close: () => socket.destroy(),
  }
}
