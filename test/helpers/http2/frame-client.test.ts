// The client against a server that is known to be right: Node's own.
import { once } from 'node:events'
import { createServer, type Http2Server } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { FrameClient } from './frame-client.ts'
import {
  continuation,
  data,
  ErrorCode,
  Flag,
  FrameType,
  frame,
  grpcMessage,
  headers,
  resetStream,
  Setting,
} from './frames.ts'

describe('the client made of frames', () => {
  let server: Http2Server
  let client: FrameClient

  beforeEach(async () => {
    server = createServer({ settings: { maxConcurrentStreams: 10 } })
    server.on('stream', (stream, headers) => {
      stream.on('error', () => {})
      if (headers[':path'] === '/stay') return
      if (headers[':path'] === '/leave') return stream.close(ErrorCode.REFUSED_STREAM)
      stream.respond({ ':status': 200, 'x-was': String(headers['x-is'] ?? '') }, { waitForTrailers: true })
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
      stream.pipe(stream)
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    client = await FrameClient.open({ port: (server.address() as AddressInfo).port })
  })
  afterEach(() => {
    client.destroy()
    server.close()
  })

  it('calls, more than a window at once', async () => {
    const small = client.call('/a.B/C', Buffer.from('hello'), [['x-is', '7']])
    expect(await client.response(small)).toMatchObject({
      headers: { ':status': '200', 'x-was': '7' },
      body: grpcMessage(Buffer.from('hello')),
      trailers: { 'grpc-status': '0' },
    })
    const streams = Array.from({ length: 8 }, () => client.call('/a.B/C', Buffer.alloc(16_000)))
    for (const stream of streams) expect((await client.response(stream)).body).toHaveLength(16_005)
  })

  it('splits a header block, and announces settings', async () => {
    const own = await FrameClient.open(
      { port: (server.address() as AddressInfo).port },
      { settings: [[Setting.INITIAL_WINDOW_SIZE, 10]] },
    )
    const block = FrameClient.callHeaders('/a.B/C')
    const stream = own.newStream()
    own.send(
      headers(stream, block.subarray(0, 3), 0),
      continuation(stream, block.subarray(3, 7)),
      continuation(stream, block.subarray(7), Flag.END_HEADERS),
      data(stream, Buffer.alloc(25)),
    )
    expect((await own.response(stream)).body).toHaveLength(25)
    const sizes = own.received.filter(({ type }) => type === FrameType.DATA).map(({ payload }) => payload.length)
    expect(Math.max(...sizes)).toBe(10)
    own.destroy()
  })

  it('says what came where the server gives up', async () => {
    client.send(frame(FrameType.DATA, { stream: 0, flags: Flag.END_STREAM }))
    await expect(client.response(1)).rejects.toThrow(/without the response on stream 1; it sent .*GOAWAY\(0\) code 1/)
    expect(await client.goodbye()).toMatchObject({ code: ErrorCode.PROTOCOL_ERROR })
    await client.ended()
  })

  it('hears resets, and may send them', async () => {
    expect(await client.reset(client.call('/leave', Buffer.alloc(0)))).toBe(ErrorCode.REFUSED_STREAM)
    const stream = client.call('/stay', Buffer.alloc(0))
    client.send(resetStream(stream))
    await client.settled()
    expect(client.closed).toBe(false)
  })
})
