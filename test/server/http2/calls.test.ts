// Calls over the native transport, frame by frame.
import { deflateSync, gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Code } from '../../../src/kernel/status.ts'
import type { Field } from '../../../src/wire/http2/hpack/hpack-error.ts'
import { FrameClient } from '../../helpers/http2/frame-client.ts'
import {
  continuation,
  data,
  ErrorCode,
  Flag,
  frame,
  FrameType,
  grpcMessage,
  headers,
  resetStream,
  Setting,
  settings,
  windowUpdate,
} from '../../helpers/http2/frames.ts'
import { CHAT, SAY, startNative, WAIT } from './support.ts'

const OK = { ':status': '200', 'content-type': 'application/grpc' }
const FRAME_BYTES = 16_384
const text = (value: string) => Buffer.from(value)

/** DATA frames of the usual size, the last of which ends the stream. */
function inFrames(stream: number, bytes: Buffer): Buffer[] {
  const frames: Buffer[] = []
  for (let at = 0; at < bytes.length; at += FRAME_BYTES) {
    const last = at + FRAME_BYTES >= bytes.length
    frames.push(data(stream, bytes.subarray(at, at + FRAME_BYTES), last ? Flag.END_STREAM : 0))
  }
  return frames
}

function callOfMany(client: FrameClient, message: Buffer): number {
  const stream = client.newStream()
  client.send(headers(stream, FrameClient.callHeaders(SAY)), ...inFrames(stream, grpcMessage(message)))
  return stream
}

describe('a unary call', () => {
  it('is answered by one message and trailers', async () => {
    const { open } = await startNative()
    const client = await open()
    expect(await client.response(client.call(SAY, text('hello')))).toEqual({
      headers: OK,
      body: grpcMessage(text('hello')),
      trailers: { 'grpc-status': '0' },
    })
  })

  it('is answered as often as it comes, by blocks that are known and by new ones', async () => {
    const { open } = await startNative()
    const client = await open()
    for (let time = 0; time < 20; time++) {
      const extra: Field[] = time % 3 === 0 ? [['x-time', String(time)]] : []
      const { body } = await client.response(client.call(SAY, text(`hello ${time}`), extra))
      expect(body).toEqual(grpcMessage(text(`hello ${time}`)))
    }
  })

  it('fails with a status whose message is percent-encoded', async () => {
    const { open } = await startNative()
    const client = await open()
    const { headers: only, trailers, body } = await client.response(client.call(SAY, text('fail 100 % – ü\n')))
    expect(trailers).toEqual({
      ...OK,
      'grpc-status': String(Code.ABORTED),
      'grpc-message': 'fail 100 %25 %E2%80%93 %C3%BC%0A',
    })
    expect(only).toEqual(trailers)
    expect(body).toHaveLength(0)
  })

  it('fails with a bounded message, whatever the failure says', async () => {
    const { open } = await startNative()
    const client = await open()
    const { trailers } = await client.response(client.call(SAY, text(`fail ${'é'.repeat(4_000)}`)))
    expect(trailers['grpc-message']?.length).toBeLessThan(4_200)
    expect(decodeURIComponent(trailers['grpc-message'] ?? '')).toMatch(/^fail é+$/)
  })

  it('may come in frames of any size, padded, with its headers in pieces and in trailers', async () => {
    const { open } = await startNative()
    const client = await open()
    const message = grpcMessage(text('x'.repeat(300)))
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 120 }), { maxLength: 8 }),
        fc.integer({ min: 0, max: 40 }),
        fc.boolean(),
        async (sizes, pad, trailers) => {
          const stream = client.newStream()
          const block = FrameClient.callHeaders(SAY)
          client.send(
            headers(stream, block.subarray(0, 5), 0),
            continuation(stream, block.subarray(5, 9)),
            continuation(stream, block.subarray(9), Flag.END_HEADERS),
          )
          let at = 0
          for (const size of sizes) {
            const part = message.subarray(at, at + size)
            client.send(
              frame(FrameType.DATA, {
                stream,
                flags: Flag.PADDED,
                payload: Buffer.concat([Buffer.of(pad), part, Buffer.alloc(pad)]),
              }),
            )
            at += part.length
          }
          client.send(data(stream, message.subarray(at), trailers ? 0 : Flag.END_STREAM))
          if (trailers) client.send(headers(stream, Buffer.of(), Flag.END_HEADERS | Flag.END_STREAM))
          expect((await client.response(stream)).body).toEqual(message)
        },
      ),
      { numRuns: 40 },
    )
  })

  it('is answered in pieces where the windows are small, and never beyond them', async () => {
    const { open } = await startNative()
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 70_000 }),
        fc.array(fc.integer({ min: 1_000, max: 30_000 }), { minLength: 1, maxLength: 5 }),
        async (window, grants) => {
          const client = await open({ settings: [[Setting.INITIAL_WINDOW_SIZE, window]], polite: false })
          const message = Buffer.alloc(60_000, 'abcdefg')
          // One more, that waits for the window of the connection with it.
          const streams = [callOfMany(client, message), callOfMany(client, message)]
          let stream = window
          let connection = 65_535
          const came = (id?: number) =>
            client.received
              .filter((each) => each.type === FrameType.DATA && (id === undefined || each.stream === id))
              .reduce((sum, { payload }) => sum + payload.length, 0)
          for (let turn = 0; came() < 2 * (message.length + 5); turn++) {
            // What waited for room leaves at the end of a turn, behind the answer to a PING.
            await client.settled()
            await client.settled()
            for (const id of streams) expect(came(id)).toBeLessThanOrEqual(stream)
            expect(came()).toBeLessThanOrEqual(connection)
            // Nothing is held back that has room.
            expect(came()).toBe(Math.min(connection, 2 * Math.min(stream, message.length + 5)))
            const grant = grants[turn % grants.length] ?? 1
            for (const id of streams) client.send(windowUpdate(id, grant))
            client.send(windowUpdate(0, grant))
            stream += grant
            connection += grant
          }
          for (const id of streams) expect((await client.response(id)).body).toEqual(grpcMessage(message))
          client.destroy()
        },
      ),
      { numRuns: 15 },
    )
  })

  it('follows changes of the initial window, also below nothing', async () => {
    const { open } = await startNative()
    const client = await open({ settings: [[Setting.INITIAL_WINDOW_SIZE, 100]], polite: false })
    const stream = client.call(SAY, Buffer.alloc(500))
    await client.settled()
    const bytes = () =>
      client.received
        .filter(({ type }) => type === FrameType.DATA)
        .reduce((sum, { payload }) => sum + payload.length, 0)
    expect(bytes()).toBe(100)
    client.send(settings([[Setting.INITIAL_WINDOW_SIZE, 10]]), windowUpdate(stream, 80))
    await client.settled()
    expect(bytes()).toBe(100)
    client.send(settings([[Setting.INITIAL_WINDOW_SIZE, 200]]))
    await client.settled()
    expect(bytes()).toBe(280)
    client.send(windowUpdate(stream, 1_000))
    expect((await client.response(stream)).body).toHaveLength(505)
  })

  it('gets a reply of many frames, each no larger than every peer takes', async () => {
    const { open } = await startNative()
    const client = await open()
    const stream = client.newStream()
    const message = grpcMessage(Buffer.alloc(2_000_000, 'abc'))
    client.send(headers(stream, FrameClient.callHeaders(SAY)))
    for (const part of inFrames(stream, message)) {
      client.send(part)
      // Within the windows: this client does not keep account of them.
      await client.settled()
    }
    expect((await client.response(stream)).body.equals(message)).toBe(true)
    const sizes = client.received.filter(({ type }) => type === FrameType.DATA).map(({ payload }) => payload.length)
    expect(Math.max(...sizes)).toBeLessThanOrEqual(16_384)
  })
})

describe('a request', () => {
  it.each([
    ['GET', [[':method', 'GET']], 405, 'allow', 'POST'],
    ['another type', [['content-type', 'application/json']], 415, 'content-type', 'text/plain'],
    ['gRPC-Web', [['content-type', 'application/grpc-web']], 415, 'content-type', 'text/plain'],
  ] as const)('that is no gRPC is answered in HTTP: %s', async (_what, extra, status, name, value) => {
    const { open } = await startNative()
    const client = await open()
    const { headers: answered, body } = await client.response(client.call(SAY, text('hello'), extra))
    expect(answered).toMatchObject({ ':status': String(status), [name]: value })
    expect(String(body.length)).toBe(answered['content-length'])
  })

  it('by HEAD gets no body', async () => {
    const { open } = await startNative()
    const client = await open()
    const { headers: answered, body } = await client.response(client.call(SAY, text(''), [[':method', 'HEAD']]))
    expect(answered).toMatchObject({ ':status': '405' })
    expect(body).toHaveLength(0)
  })

  it('with headers beyond the bound gets 431, and the connection goes on', async () => {
    const { open } = await startNative()
    const client = await open()
    const stream = client.newStream()
    const block = FrameClient.callHeaders(SAY, [['x-large', 'x'.repeat(70_000)]])
    client.send(headers(stream, block.subarray(0, 16_000), Flag.END_STREAM))
    for (let at = 16_000; at < block.length; at += 16_000)
      client.send(continuation(stream, block.subarray(at, at + 16_000), at + 16_000 < block.length ? 0 : 4))
    expect((await client.response(stream)).headers[':status']).toBe('431')
    expect((await client.response(client.call(SAY, text('hello')))).trailers['grpc-status']).toBe('0')
  })

  it.each([
    ['of an unknown method', '/test.Echo/Nothing', [], Code.UNIMPLEMENTED],
    ['with a timeout that is none', SAY, [['grpc-timeout', '5 s']], Code.INTERNAL],
    ['in an unknown encoding', SAY, [['grpc-encoding', 'snappy']], Code.UNIMPLEMENTED],
  ] as const)('fails in gRPC: %s', async (_what, path, extra, code) => {
    const { open } = await startNative()
    const client = await open()
    const { trailers } = await client.response(client.call(path, text('hello'), extra))
    expect(trailers).toMatchObject({ ...OK, 'grpc-status': String(code) })
    if (extra[0]?.[0] === 'grpc-encoding') expect(trailers['grpc-accept-encoding']).toBe('identity,deflate,gzip')
  })

  it.each([
    ['a name in capitals', [['X-Upper', '1']]],
    ['a field of HTTP/1', [['connection', 'close']]],
    ['a space around a value', [['x-a', ' a']]],
    ['an unknown pseudo-header field', [[':what', '1']]],
    ['TE other than trailers', [['te', 'gzip']]],
    ['an empty path', [[':path', '']]],
    ['a length that is none', [['content-length', '-1']]],
    ['a length that does not fit', [['content-length', '5']]],
  ] as const)('that breaks the rules of HTTP/2 is reset, and the connection goes on: %s', async (_what, extra) => {
    const { open, count } = await startNative()
    const client = await open()
    expect(await client.reset(client.call(SAY, text('hello'), extra))).toBe(ErrorCode.PROTOCOL_ERROR)
    expect(count('grpc_streams_reset_total{protocol}')).toBe(1)
    expect((await client.response(client.call(SAY, text('hello')))).trailers['grpc-status']).toBe('0')
  })

  it('beyond the calls of a connection is refused, those taken back whose methods go on included', async () => {
    const { open, held, count } = await startNative({ maxConcurrentStreams: 3 })
    const client = await open()
    const streams = ['a', 'b', 'c'].map((name) => client.call(WAIT, text(name)))
    expect(await client.reset(client.call(WAIT, text('d')))).toBe(ErrorCode.REFUSED_STREAM)
    client.send(...streams.map((stream) => resetStream(stream)))
    expect(await client.reset(client.call(WAIT, text('e')))).toBe(ErrorCode.REFUSED_STREAM)
    expect(held.map((call) => call.text)).toEqual(['a', 'b', 'c'])
    held[0]?.answer('now')
    await client.settled()
    client.call(WAIT, text('f'))
    await client.settled()
    expect(held.map((call) => call.text)).toEqual(['a', 'b', 'c', 'f'])
    expect(count('grpc_streams_reset_total{refused}')).toBe(2)
  })
})

describe('a message', () => {
  it.each([
    ['gzip', gzipSync],
    ['deflate', deflateSync],
  ] as const)('compressed by %s is read, small or large', async (encoding, compress) => {
    const { open } = await startNative()
    const client = await open()
    for (const size of [10, 300_000]) {
      const plain = Buffer.alloc(size, 'abcdefgh')
      const stream = client.newStream()
      client.send(
        headers(stream, FrameClient.callHeaders(SAY, [['grpc-encoding', encoding]])),
        data(stream, grpcMessage(compress(plain), 1)),
      )
      expect((await client.response(stream)).body.equals(grpcMessage(plain))).toBe(true)
    }
  })

  it.each([
    ['more than is taken', 'gzip', grpcMessage(gzipSync(Buffer.alloc(200_000)), 1), Code.RESOURCE_EXHAUSTED],
    ['nothing that can be inflated', 'gzip', grpcMessage(text('hello'), 1), Code.INTERNAL],
    ['compressed in no way', 'identity', grpcMessage(text('hello'), 1), Code.INTERNAL],
    ['of an unknown flag', 'identity', grpcMessage(text('hello'), 2), Code.INTERNAL],
    ['larger than is taken', 'identity', grpcMessage(Buffer.alloc(100_001)), Code.RESOURCE_EXHAUSTED],
    ['cut off', 'identity', grpcMessage(text('hello')).subarray(0, 8), Code.INTERNAL],
    ['missing', 'identity', Buffer.alloc(0), Code.UNIMPLEMENTED],
    ['doubled', 'identity', Buffer.concat([grpcMessage(text('a')), grpcMessage(text('b'))]), Code.UNIMPLEMENTED],
  ] as const)('fails the call that is %s', async (_what, encoding, bytes, code) => {
    const { open } = await startNative({ maxMessageBytes: 100_000 })
    const client = await open()
    const stream = client.newStream()
    client.send(headers(stream, FrameClient.callHeaders(SAY, [['grpc-encoding', encoding]])))
    for (let at = 0; at < bytes.length; at += 16_384) client.send(data(stream, bytes.subarray(at, at + 16_384), 0))
    client.send(data(stream, Buffer.alloc(0)))
    expect((await client.response(stream)).trailers['grpc-status']).toBe(String(code))
    expect((await client.response(client.call(SAY, text('hello')))).trailers['grpc-status']).toBe('0')
  })

  it('of a stream is read after the one before it, which takes longer to inflate', async () => {
    const { open, chats } = await startNative()
    const client = await open()
    const stream = client.newStream()
    const large = gzipSync(Buffer.alloc(1_000_000, 'a'))
    client.send(
      headers(stream, FrameClient.callHeaders(CHAT, [['grpc-encoding', 'gzip']])),
      data(stream, Buffer.concat([grpcMessage(large, 1), grpcMessage(text('b'))])),
    )
    await expect.poll(() => chats[0]?.halfClosed).toBe(true)
    expect(chats[0]?.heard.map((each) => each.length)).toEqual([1_000_000, 1])
  })
})

describe('a call that is taken back', () => {
  it('frees its place at the door, and what its method answers later goes nowhere', async () => {
    const { open, held, admission } = await startNative()
    const client = await open()
    const stream = client.call(WAIT, text('a'))
    await client.settled()
    expect(admission.view()).toMatchObject({ inFlight: 1 })
    client.send(resetStream(stream))
    await client.settled()
    expect(admission.view()).toMatchObject({ inFlight: 0 })
    held[0]?.answer('late')
    await client.settled()
    expect(client.received.filter((each) => each.stream === stream)).toEqual([])
  })
})
