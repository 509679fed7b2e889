// Peers that keep the server waiting: each wait has an end, and what is kept meanwhile a bound.
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { FrameClient } from '../../helpers/http2/frame-client.ts'
import {
  data,
  ErrorCode,
  FrameType,
  grpcMessage,
  headers,
  PREFACE,
  resetStream,
  Setting,
  settings,
  windowUpdate,
} from '../../helpers/http2/frames.ts'
import { ECHO, HOLD, POUR, Served } from './served.ts'

const MIB = 1024 * 1024
const LARGEST_WINDOW = 0x7fff_ffff

describe('slow peers', () => {
  let served: Served

  beforeEach(async () => {
    served = new Served()
    await served.listen()
  })
  afterEach(() => served.stop())

  const closed = (reason: string) => served.count('grpc_connections_closed_total', reason)

  const connected = () => expect.poll(() => served.count('grpc_connections')).toBe(1)

  /** Lets time pass until a connection was closed for a reason. */
  async function closes(reason: string, withinMs: number): Promise<void> {
    expect(closed(reason)).toBe(0)
    for (let ms = 0; ms < withinMs && closed(reason) === 0; ms += 1_000) await served.clock.advance(1_000)
    await expect.poll(() => closed(reason)).toBe(1)
  }

  it.each([
    ['nothing', []],
    ['half of the preface', [PREFACE.subarray(0, 10)]],
    ['a preface without SETTINGS', [PREFACE]],
    ['half of SETTINGS', [PREFACE, settings([[Setting.MAX_FRAME_SIZE, 16_384]]).subarray(0, 12)]],
  ])('who says %s is not waited for', async (_, parts) => {
    const client = await served.client({ settings: 'silent', polite: false })
    client.send(...parts)
    await connected()
    await closes('handshake', 30_000)
    await client.ended()
  })

  it('a header block that does not end is not waited for', async () => {
    const client = await served.client({ polite: false })
    client.send(headers(client.newStream(), FrameClient.callHeaders(ECHO), 0))
    await connected()
    await closes('handshake', 30_000)
  })

  it('a request that does not come on is not waited for', async () => {
    const client = await served.client()
    const bodies = [Buffer.alloc(0), grpcMessage(Buffer.alloc(100)).subarray(0, 50), Buffer.from([0])]
    const streams = bodies.map((body) => {
      const stream = client.newStream()
      client.send(headers(stream, FrameClient.callHeaders(ECHO)), data(stream, body, 0))
      return stream
    })
    await client.settled()
    await served.clock.advance(15_000)
    for (const stream of streams) expect((await client.response(stream)).trailers).toMatchObject({ 'grpc-status': '4' })
    expect(served.count('grpc_calls_refused_total', 'slow')).toBe(streams.length)
    expect(client.closed).toBe(false)
  })

  it('who is silent is asked, and closed without an answer', async () => {
    const dead = await served.client({ polite: false })
    await connected()
    await served.clock.advance(65_000)
    await dead.until('PING', ({ type, flags }) => type === FrameType.PING && flags === 0)
    expect(dead.closed).toBe(false)
    await closes('dead', 30_000)
    await dead.ended()
  })

  it('who is silent and answers stays', async () => {
    const client = await served.client()
    await client.settled()
    for (let minutes = 0; minutes < 10; minutes++) {
      await served.clock.advance(61_000)
      await client.settled()
    }
    expect(client.closed).toBe(false)
  })

  it('a call whose caller gives no window is ended', async () => {
    const client = await served.client({ settings: [[Setting.INITIAL_WINDOW_SIZE, 0]] })
    const stream = client.call(ECHO, Buffer.from('hello'))
    await client.settled()
    expect(served.echoed).toBe(1)
    await served.clock.advance(40_000)
    expect(await client.reset(stream)).toBe(ErrorCode.CANCEL)
    expect(served.count('grpc_streams_reset_total', 'stalled')).toBe(1)
  })

  it('a method writes no more than a slow caller takes', async () => {
    const client = await served.client({ settings: [[Setting.INITIAL_WINDOW_SIZE, 1_000]], polite: false })
    const stream = client.newStream()
    client.send(headers(stream, FrameClient.callHeaders(POUR)), data(stream, grpcMessage(Buffer.alloc(0)), 0))
    await client.settled()
    expect(served.poured).toBeLessThan(MIB)
    const before = served.poured
    client.send(windowUpdate(stream, 50_000))
    await client.settled()
    expect(served.poured).toBeGreaterThan(before)
    expect(served.poured - before).toBeLessThan(MIB)
  })

  it('who does not read is read no further, and closed', async () => {
    const client = await served.client({ settings: [[Setting.INITIAL_WINDOW_SIZE, LARGEST_WINDOW]], polite: false })
    client.send(windowUpdate(0, LARGEST_WINDOW - 65_535))
    await client.settled()
    client.stopReading()
    const size = 16_000
    for (let calls = 0; calls < 4_000; calls++) {
      client.call(ECHO, Buffer.alloc(size))
      if (calls % 50 === 0) await new Promise(setImmediate)
    }
    await expect.poll(() => client.unsent).toBeGreaterThan(20 * MIB)
    let before = -1
    const stands = () => before === (before = served.echoed)
    await expect.poll(stands).toBe(true)
    // What the kernel holds for both, and a mebibyte of ours.
    expect(served.echoed * size).toBeLessThan(24 * MIB)
    await closes('stalled', 60_000)
  })

  it('requests that do not come as a whole take a bounded room', async () => {
    const client = await served.client()
    const prefix = Buffer.from([0, 0, 0x3f, 0, 0])
    const streams = Array.from({ length: 50 }, () => {
      const stream = client.newStream()
      client.send(headers(stream, FrameClient.callHeaders(ECHO)), data(stream, prefix, 0))
      return stream
    })
    // Each may become 4 MiB; what has come is what counts.
    const ended = client.until('an answer', ({ type }) => type === FrameType.HEADERS)
    for (let round = 0; round < 70; round++) {
      for (const stream of streams) client.send(data(stream, Buffer.alloc(5_000), 0))
      await client.settled()
    }
    const { stream } = await ended
    expect((await client.response(stream)).trailers).toMatchObject({ 'grpc-status': '8' })
    expect(served.count('grpc_calls_refused_total', 'memory')).toBeGreaterThan(0)
  })

  it('calls that were taken back count for as long as their methods go on', async () => {
    const client = await served.client()
    for (let calls = 0; calls < 300; calls++) {
      client.send(resetStream(client.call(HOLD, Buffer.from('x'))))
    }
    await client.settled()
    expect(served.held.length).toBeLessThanOrEqual(256)
    const refused = client.call(HOLD, Buffer.from('x'))
    expect(await client.reset(refused)).toBe(ErrorCode.REFUSED_STREAM)
    for (const answer of served.held.splice(0)) answer()
    await client.settled()
    const next = client.call(HOLD, Buffer.from('x'))
    await expect.poll(() => served.held.length).toBe(1)
    served.held[0]?.()
    expect((await client.response(next)).trailers['grpc-status']).toBe('0')
  })
})
