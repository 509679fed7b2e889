// What one request or one connection may cost, however it is put.
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { FrameClient } from '../../helpers/http2/frame-client.ts'
import {
  data,
  ErrorCode,
  Flag,
  frame,
  FrameType,
  grpcMessage,
  headers,
  resetStream,
} from '../../helpers/http2/frames.ts'
import { DROP, ECHO, HOLD, Served } from './served.ts'

const MIB = 1024 * 1024
const RESOURCE_EXHAUSTED = '8'

describe('bounds', () => {
  let served: Served
  let client: FrameClient

  beforeEach(async () => {
    served = new Served({ maxMessageBytes: MIB })
    await served.listen()
    client = await served.client()
  })
  afterEach(() => served.stop())

  /** Sends the header block and the body of a call in frames of the largest size. */
  function send(block: Buffer, body: Buffer): number {
    const stream = client.newStream()
    const parts = Array.from({ length: Math.ceil(body.length / 16_384) }, (_, index) =>
      data(stream, body.subarray(index * 16_384, (index + 1) * 16_384), 0),
    )
    client.send(headers(stream, block), ...parts, data(stream, Buffer.alloc(0)))
    return stream
  }

  const refused = (reason: string) => served.count('grpc_calls_refused_total', reason)

  async function stillServes(): Promise<void> {
    const { body } = await client.response(client.call(ECHO, Buffer.from('hello')))
    expect(body).toEqual(grpcMessage(Buffer.from('hello')))
  }

  it.each(Object.entries(FrameType))(
    'a frame %s of more than 16 KiB ends the connection at its head',
    async (_, type) => {
      const head = frame(type, { stream: 1, length: 16_385, flags: Flag.END_HEADERS })
      client.send(head)
      expect((await client.goodbye()).code).toBe(ErrorCode.FRAME_SIZE_ERROR)
      await client.ended()
    },
  )

  it.each([
    ['as long as', MIB, '0'],
    ['longer than', MIB + 1, RESOURCE_EXHAUSTED],
  ])('a message %s allowed', async (_, size, status) => {
    const { trailers } = await client.response(send(FrameClient.callHeaders(ECHO), grpcMessage(Buffer.alloc(size))))
    expect(trailers['grpc-status']).toBe(status)
    expect(refused('size')).toBe(status === '0' ? 0 : 1)
    await stillServes()
  })

  it('a message that says to be 4 GiB takes no room', async () => {
    const stream = send(
      FrameClient.callHeaders(ECHO),
      Buffer.concat([Buffer.from('00ffffffff', 'hex'), Buffer.alloc(9)]),
    )
    expect((await client.response(stream)).trailers['grpc-status']).toBe(RESOURCE_EXHAUSTED)
    await stillServes()
  })

  it('a compressed message is inflated up to the bound', async () => {
    const block = FrameClient.callHeaders(ECHO, [['grpc-encoding', 'gzip']])
    const ask = async (size: number) => {
      const { trailers, body } = await client.response(send(block, grpcMessage(gzipSync(Buffer.alloc(size)), 1)))
      return { status: trailers['grpc-status'], size: body.length }
    }
    expect(await ask(MIB)).toEqual({ status: '0', size: MIB + 5 })
    expect(await ask(MIB + 1)).toEqual({ status: RESOURCE_EXHAUSTED, size: 0 })
    expect(await ask(50 * MIB)).toEqual({ status: RESOURCE_EXHAUSTED, size: 0 })
    expect(refused('size')).toBe(2)
    await stillServes()
  })

  it('compressed messages that become large are few at a time', async () => {
    const block = FrameClient.callHeaders(DROP, [['grpc-encoding', 'gzip']])
    const bomb = grpcMessage(gzipSync(Buffer.alloc(MIB)), 1)
    let most = 0
    const watch = setInterval(() => {
      most = Math.max(most, process.memoryUsage().arrayBuffers)
    })
    const before = process.memoryUsage().arrayBuffers
    for (let round = 0; round < 4; round++) {
      const streams = Array.from({ length: 200 }, () => send(block, bomb))
      // Some callers go before it is their turn.
      client.send(...streams.slice(150).map((stream) => resetStream(stream)))
      for (const stream of streams.slice(0, 150))
        expect((await client.response(stream)).trailers['grpc-status']).toBe('0')
    }
    clearInterval(watch)
    // Of 200 MiB at once, or more where they are not collected in time.
    expect(most - before).toBeLessThan(100 * MIB)
    expect(served.dropped).toBeLessThan(4 * 175)
    await stillServes()
  })

  it('a compressed message that is large itself is not inflated on the loop, however little it gives', async () => {
    const block = FrameClient.callHeaders(ECHO, [['grpc-encoding', 'gzip']])
    const nothing = Buffer.concat(Array.from({ length: 500 }, () => gzipSync(Buffer.alloc(0))))
    const stream = send(block, grpcMessage(nothing, 1))
    await client.settled()
    expect(client.received.filter((frame) => frame.stream === stream)).toEqual([])
    expect((await client.response(stream)).body).toEqual(grpcMessage(Buffer.alloc(0)))
  })

  it('requests that do not end take a bounded room, also when their messages are there', async () => {
    const streams = Array.from({ length: 20 }, () => {
      const stream = client.newStream()
      client.send(headers(stream, FrameClient.callHeaders(ECHO)))
      return stream
    })
    const message = grpcMessage(Buffer.alloc(MIB))
    for (const stream of streams)
      for (let at = 0; at < message.length; at += 16_384) {
        client.send(data(stream, message.subarray(at, at + 16_384), 0))
        await client.settled()
      }
    const statuses = client.received.filter(({ type }) => type === FrameType.HEADERS).length
    expect(statuses).toBeGreaterThan(0)
    expect(refused('memory')).toBe(statuses)
    // Those that were kept go on when they end, and what they took is there for others.
    const [first = 0] = streams
    client.send(data(first, Buffer.alloc(0)))
    expect((await client.response(first)).trailers['grpc-status']).toBe('0')
    client.send(...streams.slice(1).map((stream) => resetStream(stream)))
    const again = Array.from({ length: 12 }, () => send(FrameClient.callHeaders(ECHO), message))
    for (const stream of again) expect((await client.response(stream)).trailers['grpc-status']).toBe('0')
  })

  it('a header list beyond the bound is refused, and the connection goes on', async () => {
    const value = 'x'.repeat(4_000)
    const entry = Buffer.concat([Buffer.from([0x40, 1, 0x61, 0x7f, 0xa1, 0x1e]), Buffer.from(value)])
    const bomb = Buffer.alloc(12_000, 0x80 | 62)
    const stream = client.newStream()
    client.send(
      headers(stream, Buffer.concat([FrameClient.callHeaders(ECHO), entry, bomb]), Flag.END_HEADERS | Flag.END_STREAM),
    )
    expect((await client.response(stream)).headers[':status']).toBe('431')
    expect(refused('headers')).toBe(1)
    // The entry that the block has made is there, for this connection.
    const again = Buffer.concat([FrameClient.callHeaders(ECHO), Buffer.from([0x80 | 62])])
    expect((await client.response(send(again, grpcMessage(Buffer.from('x'))))).trailers['grpc-status']).toBe('0')
  })

  it.each([
    ['an index behind the tables', 'be'],
    ['EOS in a string', '0085ffffffffff00'],
    ['a table larger than announced', '3fe2ff07'],
  ])('a header block with %s ends the connection', async (_, hex) => {
    client.send(headers(client.newStream(), Buffer.from(hex, 'hex')))
    expect((await client.goodbye()).code).toBe(ErrorCode.COMPRESSION_ERROR)
  })

  it.each([
    ['method', FrameClient.callHeaders('/test.Transport/None'), '12'],
    ['encoding', FrameClient.callHeaders(ECHO, [['grpc-encoding', 'br']]), '12'],
    ['timeout', FrameClient.callHeaders(ECHO, [['grpc-timeout', 'soon']]), '13'],
    ['http', FrameClient.callHeaders(ECHO, [[':method', 'GET']]), undefined],
    ['http', FrameClient.callHeaders(ECHO, [['content-type', 'text/plain']]), undefined],
  ])('a call whose %s is not for us is counted', async (reason, block, status) => {
    const { trailers } = await client.response(send(block, grpcMessage(Buffer.from('x'))))
    expect(trailers['grpc-status']).toBe(status)
    expect(refused(reason)).toBe(1)
    await stillServes()
  })

  it.each([
    ['begins with an unknown flag', Buffer.from([2, 0, 0, 0, 0])],
    ['is cut off', Buffer.from([0, 0, 0, 0, 9, 1])],
    ['is compressed and does not say how', Buffer.from([1, 0, 0, 0, 0])],
  ])('a message that %s is counted', async (_, body) => {
    const { trailers } = await client.response(send(FrameClient.callHeaders(ECHO), body))
    expect(trailers['grpc-status']).toBe('13')
    expect(refused('message')).toBe(1)
  })

  it('who closes its side is gone', async () => {
    client.call(HOLD, Buffer.from('x'))
    await client.settled()
    client.half()
    await client.ended()
    await expect.poll(() => served.count('grpc_connections')).toBe(0)
    // Its answer finds nobody.
    for (const answer of served.held) answer()
  })
})
