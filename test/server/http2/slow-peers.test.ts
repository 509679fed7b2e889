// Peers that take or give slowly: what is kept for them meanwhile has a bound.
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { FrameClient } from '../../helpers/http2/frame-client.ts'
import { data, Flag, FrameType, grpcMessage, headers, Setting, windowUpdate } from '../../helpers/http2/frames.ts'
import { ECHO, POUR, Served } from './served.ts'

const MIB = 1024 * 1024
const LARGEST_WINDOW = 0x7fff_ffff

describe('slow peers', () => {
  let served: Served

  beforeEach(async () => {
    served = new Served()
    await served.listen()
  })
  afterEach(() => served.stop())

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
    for (let seconds = 0; seconds < 30; seconds++) await served.clock.advance(1_000)
    await expect.poll(() => served.count('grpc_connections_closed_total', 'stalled')).toBe(1)
  })

  /** Goes on with many requests and ends none, until one of them is refused. */
  async function hoard(client: FrameClient): Promise<void> {
    const prefix = Buffer.from([0, 0, 0x3f, 0, 0])
    const streams = Array.from({ length: 50 }, () => {
      const stream = client.newStream()
      client.send(headers(stream, FrameClient.callHeaders(ECHO)), data(stream, prefix, 0))
      return stream
    })
    const refused = () => client.received.find(({ type }) => type === FrameType.HEADERS)
    for (let round = 0; round < 70 && refused() === undefined; round++) {
      for (const stream of streams) client.send(data(stream, Buffer.alloc(16_000), 0))
      await client.settled()
    }
    const { trailers } = await client.response(refused()?.stream ?? 0)
    expect(trailers).toMatchObject({ 'grpc-status': '8' })
  }

  it('requests that do not come as a whole take a bounded room', async () => {
    await hoard(await served.client())
    expect(served.count('grpc_calls_refused_total', 'memory')).toBeGreaterThan(0)
  })

  it('who takes all the room that there is leaves some to others', async () => {
    for (let peers = 0; peers < 8; peers++) await hoard(await served.client())
    const client = await served.client()
    const message = grpcMessage(Buffer.alloc(300_000))
    const stream = client.newStream()
    client.send(headers(stream, FrameClient.callHeaders(ECHO)))
    for (let at = 0; at < message.length; at += 16_000) {
      const last = at + 16_000 >= message.length ? Flag.END_STREAM : 0
      const frame = data(stream, message.subarray(at, at + 16_000), last)
      // In pieces, so that neither the frame nor the message is there as a whole.
      client.send(frame.subarray(0, 5_000))
      await client.taken()
      client.send(frame.subarray(5_000))
      await client.settled()
    }
    expect((await client.response(stream)).trailers).toMatchObject({ 'grpc-status': '0' })
  })

  it('answers that wait for windows take a bounded room, and leave some to others', async () => {
    const clients = await Promise.all(
      Array.from({ length: 40 }, () => served.client({ settings: [[Setting.INITIAL_WINDOW_SIZE, 0]] })),
    )
    const message = Buffer.alloc(16_000)
    for (const client of clients)
      for (let round = 0; round < 5; round++) {
        for (let calls = 0; calls < 50; calls++) client.call(ECHO, message)
        await client.settled()
      }
    const held = served.echoed - served.count('grpc_streams_reset_total', 'flood')
    expect(served.echoed).toBe(40 * 250)
    expect(held * 16_000).toBeLessThan(65 * MIB)
    // A call whose window opens after a while.
    const last = await served.client({ settings: [[Setting.INITIAL_WINDOW_SIZE, 0]] })
    const stream = last.call(ECHO, Buffer.from('hello'))
    await last.settled()
    last.send(windowUpdate(stream, 100))
    expect((await last.response(stream)).body).toEqual(grpcMessage(Buffer.from('hello')))
    // What was taken is given back.
    for (const client of clients) client.destroy()
    await expect.poll(() => served.count('grpc_connections_closed_total', 'peer')).toBe(40)
    const again = await served.client({ settings: [[Setting.INITIAL_WINDOW_SIZE, 0]] })
    const before = served.count('grpc_streams_reset_total', 'flood')
    for (let calls = 0; calls < 200; calls++) again.call(ECHO, message)
    await again.settled()
    expect(served.count('grpc_streams_reset_total', 'flood')).toBe(before)
  })
})
