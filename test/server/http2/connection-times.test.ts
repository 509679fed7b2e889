// The times of a connection, by a clock that the test moves.
import { connect } from 'node:net'
import { describe, expect, it } from 'vitest'
import { Code } from '../../../src/kernel/status.ts'
import type { NativeServerOptions } from '../../../src/server/http2/server.ts'
import { FakeClock } from '../../helpers/clock.ts'
import { FrameClient } from '../../helpers/http2/frame-client.ts'
import {
  data,
  ErrorCode,
  Flag,
  frame,
  FrameType,
  grpcMessage,
  headers,
  PREFACE,
  Setting,
  settings,
} from '../../helpers/http2/frames.ts'
import { atEnd, CHAT, SAY, startNative, WAIT } from './support.ts'

const SECOND = 1_000
const HELLO = Buffer.from('hello')

async function timed(options: Partial<NativeServerOptions> = {}) {
  const clock = new FakeClock()
  const native = await startNative({ clock, ...options })
  const closed = (reason: string) => native.count(`grpc_connections_closed_total{${reason}}`)
  return { ...native, clock, closed }
}

describe('a connection', () => {
  it.each([
    ['nothing', Buffer.alloc(0)],
    ['half a preface', Buffer.from('PRI * HTTP/2.0\r\n')],
    ['the preface alone', PREFACE],
    ['half of SETTINGS', Buffer.concat([PREFACE, settings([[Setting.MAX_FRAME_SIZE, 16_384]]).subarray(0, 12)])],
  ])('that begins with %s is closed after a while', async (_what, bytes) => {
    const { clock, port, closed, count } = await timed()
    const socket = connect({ port, host: '127.0.0.1' })
    atEnd(() => socket.destroy())
    socket.write(bytes)
    await expect.poll(() => count('grpc_connections{}')).toBe(1)
    await clock.advance(9 * SECOND)
    expect(count('grpc_connections{}')).toBe(1)
    await clock.advance(4 * SECOND)
    await expect.poll(() => closed('handshake')).toBe(1)
  })

  it('is closed where a header block does not end', async () => {
    const { clock, open, closed } = await timed()
    const client = await open()
    await client.settled()
    client.send(headers(client.newStream(), FrameClient.callHeaders(SAY), 0))
    await clock.advance(13 * SECOND)
    await expect.poll(() => closed('handshake')).toBe(1)
  })

  it('whose peer is silent is asked whether it is there, and closed where it is not', async () => {
    const { clock, open, closed } = await timed()
    const there = await open()
    const dead = await open({ polite: false })
    await Promise.all([there.settled(), dead.settled()])
    const pings = (client: FrameClient) =>
      client.received.filter(({ type, flags }) => type === FrameType.PING && flags === 0).length
    await clock.advance(62 * SECOND)
    await expect.poll(() => [pings(there), pings(dead)]).toEqual([1, 1])
    await there.settled()
    await clock.advance(21 * SECOND)
    await dead.ended()
    expect(there.closed).toBe(false)
    await expect.poll(() => closed('dead')).toBe(1)
  })

  it('without calls is asked to go after an hour', async () => {
    const { clock, open, closed } = await timed({ times: { keepaliveMs: Number.POSITIVE_INFINITY } })
    const client = await open()
    await client.settled()
    await clock.advance(3_602 * SECOND)
    expect(await client.goodbye()).toMatchObject({ code: ErrorCode.NO_ERROR, debug: 'idle' })
    await client.settled()
    await clock.advance(SECOND)
    await client.ended()
    await expect.poll(() => closed('idle')).toBe(1)
  })

  it('that is old enough is asked to go; what it has begun is answered, and so is what is under way', async () => {
    const { clock, open, held, closed } = await timed({ maxConnectionAgeMs: 30 * SECOND })
    const client = await open({ polite: false })
    const before = client.call(WAIT, Buffer.from('a'))
    await client.settled()
    // Three quarters of the jitter: random is 0.25.
    await clock.advance(29 * SECOND)
    expect(client.received.some(({ type }) => type === FrameType.GOAWAY)).toBe(false)
    await clock.advance(2 * SECOND)
    expect(await client.goodbye()).toMatchObject({ lastStream: 0x7fff_ffff, code: ErrorCode.NO_ERROR, debug: 'age' })
    const underWay = client.call(SAY, HELLO)
    expect((await client.response(underWay)).trailers['grpc-status']).toBe('0')
    const ping = await client.until('PING', ({ type, flags }) => type === FrameType.PING && flags === 0)
    // A peer answers before it sends what it had begun.
    client.send(pingAnswer(ping.payload))
    const last = client.call(SAY, HELLO)
    expect((await client.response(last)).trailers['grpc-status']).toBe('0')
    await clock.advance(100)
    await client.settled()
    const goodbyes = client.received.filter(({ type }) => type === FrameType.GOAWAY)
    expect(goodbyes.map(({ payload }) => payload.readUInt32BE())).toEqual([0x7fff_ffff, last])
    held[0]?.answer('b')
    expect((await client.response(before)).body).toEqual(grpcMessage(Buffer.from('b')))
    await client.ended()
    await expect.poll(() => closed('age')).toBe(1)
  })

  it('whose stream does not end is cut off a while after that', async () => {
    const { clock, open, chats, closed } = await timed({ maxConnectionAgeMs: 30 * SECOND })
    const client = await open()
    client.send(headers(client.newStream(), FrameClient.callHeaders(CHAT)))
    await client.settled()
    await clock.advance(31 * SECOND)
    expect(await client.goodbye()).toMatchObject({ debug: 'age' })
    // It was asked to end: access logs do.
    expect(chats[0]).toMatchObject({ left: true, closed: false })
    await clock.advance(62 * SECOND)
    await client.ended()
    expect(chats[0]?.closed).toBe(true)
    await expect.poll(() => closed('age')).toBe(1)
  })

  it('whose stream ends when it is asked to closes then', async () => {
    const { clock, open, chats, closed } = await timed({ maxConnectionAgeMs: 30 * SECOND })
    const client = await open()
    const stream = client.newStream()
    client.send(headers(stream, FrameClient.callHeaders(CHAT)))
    await client.settled()
    await clock.advance(31 * SECOND)
    await client.goodbye()
    chats[0]?.stream.end()
    client.send(data(stream, grpcMessage(HELLO)))
    expect((await client.response(stream)).trailers['grpc-status']).toBe('0')
    await clock.advance(SECOND)
    await client.ended()
    expect(chats[0]).toMatchObject({ heard: [HELLO.toString()], closed: false })
    await expect.poll(() => closed('age')).toBe(1)
  })

  it('whose peer goes closes when its calls are answered', async () => {
    const { open, held, closed } = await timed()
    const client = await open()
    const stream = client.call(WAIT, Buffer.from('a'))
    client.send(frame(FrameType.GOAWAY, { payload: Buffer.alloc(8) }))
    await client.settled()
    held[0]?.answer('b')
    expect((await client.response(stream)).body).toEqual(grpcMessage(Buffer.from('b')))
    await client.ended()
    await expect.poll(() => closed('peer')).toBe(1)
  })

  it('beyond the bound is closed as it comes', async () => {
    const { open, port, closed } = await timed({ maxConnections: 2 })
    const clients = [await open(), await open()]
    for (const client of clients) await client.settled()
    const third = await FrameClient.open({ port })
    await third.ended()
    await expect.poll(() => closed('limit')).toBe(1)
    for (const client of clients) await client.settled()
  })
})

describe('a call', () => {
  it('whose request does not come as a whole fails, and frees its place', async () => {
    const { clock, open, admission, count } = await timed()
    const client = await open()
    const stream = client.newStream()
    client.send(headers(stream, FrameClient.callHeaders(WAIT)), data(stream, Buffer.alloc(3), 0))
    await client.settled()
    expect(admission.view()).toMatchObject({ inFlight: 1 })
    await clock.advance(12 * SECOND)
    expect((await client.response(stream)).trailers['grpc-status']).toBe(String(Code.DEADLINE_EXCEEDED))
    expect(admission.view()).toMatchObject({ inFlight: 0 })
    expect(count('grpc_calls_refused_total{slow}')).toBe(1)
  })

  it('whose method forgets its deadline ends a little after it', async () => {
    const { clock, open, held } = await timed()
    const client = await open()
    const stream = client.call(WAIT, HELLO, [['grpc-timeout', '3S']])
    await client.settled()
    expect((held[0]?.deadline ?? 0) - clock.now()).toBeGreaterThan(2.9 * SECOND)
    await clock.advance(2.9 * SECOND)
    expect(client.received.filter((each) => each.stream === stream)).toEqual([])
    await clock.advance(3 * SECOND)
    expect((await client.response(stream)).trailers['grpc-status']).toBe(String(Code.DEADLINE_EXCEEDED))
  })

  it('whose answer the peer does not take is reset', async () => {
    const { clock, open, count } = await timed()
    const client = await open({ settings: [[Setting.INITIAL_WINDOW_SIZE, 3]], polite: false })
    const stream = client.call(SAY, HELLO)
    await client.settled()
    // A keep-alive is not answered by a client that is not polite: it speaks itself.
    for (let time = 0; time < 4; time++) {
      await clock.advance(10 * SECOND)
      await client.settled()
    }
    expect(await client.reset(stream)).toBe(ErrorCode.CANCEL)
    expect(count('grpc_streams_reset_total{stalled}')).toBe(1)
  })
})

function pingAnswer(payload: Buffer): Buffer {
  return Buffer.concat([Buffer.of(0, 0, 8, FrameType.PING, Flag.ACK, 0, 0, 0, 0), payload])
}
