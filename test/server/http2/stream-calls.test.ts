// Calls of several messages over the native transport, frame by frame.
import { describe, expect, it } from 'vitest'
import { Code } from '../../../src/kernel/status.ts'
import { GrpcFailure } from '../../../src/server/grpc-service.ts'
import { FakeClock } from '../../helpers/clock.ts'
import { FrameClient } from '../../helpers/http2/frame-client.ts'
import { data, ErrorCode, FrameType, grpcMessage, headers, resetStream } from '../../helpers/http2/frames.ts'
import { CHAT, startNative } from './support.ts'

const OK = { ':status': '200', 'content-type': 'application/grpc' }
const text = (value: string) => Buffer.from(value)

describe('a stream', () => {
  async function chatting() {
    const clock = new FakeClock()
    const native = await startNative({ clock })
    const client = await native.open()
    const stream = client.newStream()
    client.send(
      headers(stream, FrameClient.callHeaders(CHAT, [['grpc-timeout', '5S']])),
      data(stream, grpcMessage(text('a')), 0),
    )
    await client.settled()
    const [chat] = native.chats
    if (chat === undefined) throw new Error('no stream came')
    return { ...native, clock, client, stream, chat }
  }

  it('sends headers with the first message, and trailers alone where there was none', async () => {
    const { client, stream, chat } = await chatting()
    chat.stream.write(text('b'))
    chat.stream.end(new GrpcFailure(Code.DATA_LOSS, 'gone'))
    expect(await client.response(stream)).toEqual({
      headers: OK,
      body: grpcMessage(text('b')),
      trailers: { 'grpc-status': String(Code.DATA_LOSS), 'grpc-message': 'gone' },
    })
    // It had not ended its side.
    expect(await client.reset(stream)).toBe(ErrorCode.NO_ERROR)
  })

  it('that its method has ended well is read for what was under way', async () => {
    const { client, stream, chat, clock } = await chatting()
    chat.stream.pause()
    client.send(data(stream, Buffer.concat([grpcMessage(text('b')), grpcMessage(text('c'))]), 0))
    await client.settled()
    expect(chat.heard.join('')).toBe('a')
    chat.stream.end()
    expect(chat.heard.join('')).toBe('abc')
    expect((await client.response(stream)).trailers['grpc-status']).toBe('0')
    // The peer may not know yet.
    client.send(data(stream, grpcMessage(text('d')), 0))
    await client.settled()
    expect(chat.heard.join('')).toBe('abcd')
    const resets = () => client.received.filter((each) => each.type === FrameType.RST_STREAM)
    expect(resets()).toEqual([])
    await clock.advance(1_000)
    expect(await client.reset(stream)).toBe(ErrorCode.NO_ERROR)
    client.send(data(stream, grpcMessage(text('e')), 0))
    await client.settled()
    expect(chat).toMatchObject({ heard: ['a', 'b', 'c', 'd'], closed: false, halfClosed: false })
  })

  it.each([
    ['the end', (stream: number) => data(stream, grpcMessage(text('b'))), 'ab'],
    ['a reset', (stream: number) => resetStream(stream), 'a'],
  ])('that both have ended, the peer by %s, is over', async (_how, last, heard) => {
    const { client, stream, chat, clock } = await chatting()
    chat.stream.end()
    await client.response(stream)
    client.send(last(stream))
    await client.settled()
    await clock.advance(1_000)
    await client.settled()
    expect(client.received.filter((each) => each.type === FrameType.RST_STREAM)).toEqual([])
    expect(chat).toMatchObject({ closed: false, halfClosed: false })
    expect(chat.heard.join('')).toBe(heard)
  })

  it('that its peer has ended while it was paused is read to its end when its method ends it', async () => {
    const { client, stream, chat } = await chatting()
    chat.stream.pause()
    client.send(data(stream, Buffer.concat([grpcMessage(text('b')), grpcMessage(text('c'))])))
    await client.settled()
    chat.stream.end()
    expect(chat.heard.join('')).toBe('abc')
    expect((await client.response(stream)).trailers['grpc-status']).toBe('0')
  })

  it('ends with its deadline, of which its method hears', async () => {
    const { clock, client, stream, chat } = await chatting()
    await clock.advance(4_999)
    expect(chat.closed).toBe(false)
    await clock.advance(1)
    expect(chat.closed).toBe(true)
    expect((await client.response(stream)).trailers['grpc-status']).toBe(String(Code.DEADLINE_EXCEEDED))
  })

  it('is not read while it is paused, and its peer is held back', async () => {
    const { client, stream, chat } = await chatting()
    chat.stream.pause()
    const message = grpcMessage(Buffer.alloc(995, 'x'))
    for (let sent = 0; sent < 60; sent++) client.send(data(stream, message, 0))
    await client.settled()
    expect(chat.heard).toHaveLength(1)
    const updates = () =>
      client.received.filter((each) => each.type === FrameType.WINDOW_UPDATE && each.stream === stream)
    expect(updates()).toEqual([])
    chat.stream.resume()
    expect(chat.heard).toHaveLength(61)
    await client.settled()
    expect(updates()).toHaveLength(1)
  })

  it('is paused in the midst of what has come', async () => {
    const { client, stream, chat } = await chatting()
    const { heard, stream: own } = chat
    // Pauses after each message, as access logs do in an overload.
    const push = heard.push.bind(heard)
    heard.push = (...items: string[]) => {
      own.pause()
      return push(...items)
    }
    client.send(data(stream, Buffer.concat(['b', 'c', 'd'].map((each) => grpcMessage(text(each))))))
    await client.settled()
    for (const so of [2, 3, 4]) {
      expect(heard).toHaveLength(so)
      expect(chat.halfClosed).toBe(false)
      own.resume()
    }
    expect(heard.join('')).toBe('abcd')
    expect(chat.halfClosed).toBe(true)
  })

  it('that fills its window beyond what was given is reset', async () => {
    const { client, stream, chat } = await chatting()
    chat.stream.pause()
    for (let sent = 0; sent < 5; sent++) client.send(data(stream, Buffer.alloc(16_000), 0))
    expect(await client.reset(stream)).toBe(ErrorCode.FLOW_CONTROL_ERROR)
    expect(chat.closed).toBe(true)
  })

  it('tells a method that writes more than is taken, and again when it was', async () => {
    const { client, stream, chat } = await chatting()
    client.stopReading()
    let written = 0
    while (chat.stream.write(Buffer.alloc(1_000)) && written < 10_000) written++
    expect(written).toBeGreaterThan(5)
    expect(written).toBeLessThan(100)
    expect(chat.drained).toBe(0)
    client.read()
    await expect.poll(() => chat.drained).toBe(1)
    chat.stream.end()
    expect((await client.response(stream)).trailers['grpc-status']).toBe('0')
  })

  it('is cut off where its method does not heed that', async () => {
    const { client, stream, chat, count } = await chatting()
    for (let mebibyte = 0; mebibyte < 6; mebibyte++) chat.stream.write(Buffer.alloc(1024 * 1024))
    expect(await client.reset(stream)).toBe(ErrorCode.ENHANCE_YOUR_CALM)
    expect(chat.closed).toBe(true)
    expect(count('grpc_streams_reset_total{flood}')).toBe(1)
  })

  it('closes when its connection is gone', async () => {
    const { client, chat } = await chatting()
    client.destroy()
    await expect.poll(() => chat.closed).toBe(true)
  })
})
