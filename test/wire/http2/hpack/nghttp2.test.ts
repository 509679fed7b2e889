// Node's own HTTP/2 (nghttp2) at the other end of the wire: its encoder against our decoder, our encoders against its decoder.
import { once } from 'node:events'
import { type ClientHttp2Session, connect, type OutgoingHttpHeaders } from 'node:http2'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { HpackDecoder } from '../../../../src/wire/http2/hpack/decoder.ts'
import { encodeFields } from '../../../../src/wire/http2/hpack/encode-fields.ts'
import { HpackEncoder } from '../../../../src/wire/http2/hpack/encoder.ts'
import type { Field } from '../../../../src/wire/http2/hpack/hpack-error.ts'
import { decodeAll } from './collect.ts'

const HEADERS = 1
const SETTINGS = 4
const END_STREAM_AND_HEADERS = 5
const PREFACE_BYTES = 24
const FRAME_HEADER_BYTES = 9
const LIMITS = { maxTableBytes: 4096, maxListBytes: 1 << 20 }

function frame(type: number, flags: number, stream: number, payload: Uint8Array): Buffer {
  const head = Buffer.alloc(FRAME_HEADER_BYTES)
  head.writeUIntBE(payload.length, 0, 3)
  head.writeUInt8(type, 3)
  head.writeUInt8(flags, 4)
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}

/** A server of one connection: what it was asked, by our decoder; it answers with blocks that the test gives. */
function serve(socket: Socket, requests: Field[][], answer: () => Buffer): void {
  const decoder = new HpackDecoder(LIMITS)
  let held = Buffer.alloc(0)
  let skipped = false
  socket.write(frame(SETTINGS, 0, 0, Buffer.alloc(0)))
  socket.on('error', () => {})
  socket.on('data', (chunk) => {
    held = Buffer.concat([held, chunk])
    if (!skipped && held.length >= PREFACE_BYTES) {
      held = held.subarray(PREFACE_BYTES)
      skipped = true
    }
    if (!skipped) return
    while (held.length >= FRAME_HEADER_BYTES) {
      const end = FRAME_HEADER_BYTES + held.readUIntBE(0, 3)
      if (held.length < end) return
      const [type, flags, stream] = [held.readUInt8(3), held.readUInt8(4), held.readUInt32BE(5)]
      const payload = held.subarray(FRAME_HEADER_BYTES, end)
      held = held.subarray(end)
      if (type === SETTINGS && flags === 0) socket.write(frame(SETTINGS, 1, 0, Buffer.alloc(0)))
      if (type !== HEADERS) continue
      // Behind the five octets of a priority, where there is one.
      requests.push(decodeAll(decoder, (flags & 0x20) === 0 ? payload : payload.subarray(5)))
      socket.write(frame(HEADERS, END_STREAM_AND_HEADERS, stream, answer()))
    }
  })
}

const name = fc.constantFrom('x-a', 'x-b', 'accept', 'user-agent', 'grpc-timeout', `x-${'n'.repeat(100)}`)
const value = fc.oneof(
  fc.constantFrom('', 'a', '1999m', 'z'.repeat(2000)),
  // nghttp2 drops white space at the ends.
  fc.string({ unit: fc.constantFrom(...'a b c X Y Z 0 1 9 / . - _ ~ é ! " % &'.split(' ')), maxLength: 60 }),
)
const headers = fc.dictionary(name, value, { maxKeys: 6 })

describe('beside nghttp2', () => {
  let server: Server
  let client: ClientHttp2Session
  const requests: Field[][] = []
  let answer = encodeFields([])

  beforeAll(async () => {
    server = createServer((socket) => serve(socket, requests, () => answer)).listen(0, '127.0.0.1')
    await once(server, 'listening')
    client = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  })
  afterAll(() => {
    client.destroy()
    server.close()
  })

  async function ask(fields: OutgoingHttpHeaders): Promise<Record<string, unknown>> {
    const stream = client.request({ ':method': 'POST', ':path': '/a.B/C', ...fields }, { endStream: true })
    const [response] = (await once(stream, 'response')) as [Record<string, unknown>]
    return response
  }

  it.each(['with a table', 'without a table'] as const)('headers come through both ways, %s', async (kind) => {
    const encoder = new HpackEncoder()
    // One table for the life of a connection: the cases without it come second.
    await fc.assert(
      fc.asyncProperty(headers, headers, async (asked, answered) => {
        requests.length = 0
        const fields: Field[] = [[':status', '200'], ...Object.entries(answered)]
        answer = kind === 'with a table' ? encoder.encode(fields) : encodeFields(fields)
        const response = await ask(asked)
        expect(response).toMatchObject({ ':status': 200, ...answered })
        const seen = requests[0] ?? []
        expect(Object.fromEntries(seen)).toMatchObject({ ':method': 'POST', ':path': '/a.B/C', ...asked })
        expect(seen).toHaveLength(4 + Object.keys(asked).length)
      }),
      { numRuns: 300 },
    )
  })
})
