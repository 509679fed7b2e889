// Windows of both sides, byte by byte, before a server that is made of frames.
import { connect } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { callFields } from '../../../src/client/nodes/grpc-messages.ts'
import { Http2Session } from '../../../src/client/nodes/http2-session.ts'
import { systemClock } from '../../../src/kernel/system-clock.ts'
import * as frames from '../../helpers/http2/frames.ts'
import { fields, type FramePeer, FrameServer, HEAD } from '../../helpers/http2/frame-server.ts'

const { data, Flag, frame, FrameType, Setting, settings, windowUpdate } = frames
const LARGEST = 0x7fff_ffff
const FIELDS = callFields({ host: 'a.test', port: 1 }, '/test.Echo/Say')

const ends: (() => unknown)[] = []
afterEach(() => {
  for (const end of ends.splice(0).toReversed()) end()
})

/** A session with a server that has settings. */
async function opened(...values: readonly (readonly [setting: number, value: number])[]) {
  const server = await FrameServer.start({ open: (each) => each.send(settings(values)) })
  ends.push(() => server.close())
  const settled = Promise.withResolvers<void>()
  const lost: unknown[] = []
  const socket = connect(server.address.port, '127.0.0.1')
  const events = { settled: () => settled.resolve(), lost: (cause: unknown) => void lost.push(cause) }
  const session = new Http2Session(socket, events, systemClock)
  ends.push(() => session.destroy())
  await settled.promise
  const [peer] = server.peers
  if (peer === undefined) throw new Error('a connection is there')
  const begin = () => {
    let bytes = 0
    const stream = session.request(FIELDS, {
      headers: () => undefined,
      data: (chunk) => (bytes += chunk.length),
      ended: () => undefined,
      failed: () => undefined,
    })
    return { stream, received: () => bytes }
  }
  return { peer, begin, lost }
}

/** Bytes that have come of a stream, or of all. */
function sent(peer: FramePeer, stream?: number): number {
  const isOf = (each: frames.Frame) => each.type === FrameType.DATA && (stream === undefined || each.stream === stream)
  return peer.received.filter(isOf).reduce((sum, { payload }) => sum + payload.length, 0)
}

/** All that was sent before has been handled, and what follows from it is here: it has answered a PING. */
async function handled(peer: FramePeer): Promise<void> {
  const before = peer.count(FrameType.PING)
  peer.send(frames.ping())
  await expect.poll(() => peer.count(FrameType.PING)).toBe(before + 1)
}

describe('what a session sends', () => {
  it('is never more than the window of the connection', async () => {
    const { peer, begin } = await opened([Setting.INITIAL_WINDOW_SIZE, LARGEST])
    const streams = [begin(), begin(), begin()].map(({ stream }) => stream)
    for (const stream of streams) stream.end(Buffer.alloc(100_000, 1))
    await handled(peer)
    let room = 65_535
    expect(sent(peer)).toBe(room)
    for (const more of [1, 1, 40_000, 16_384, 3]) {
      peer.send(windowUpdate(0, more))
      room += more
      await handled(peer)
      expect(sent(peer)).toBe(room)
    }
    peer.send(windowUpdate(0, LARGEST))
    await handled(peer)
    expect(streams.map(({ id }) => sent(peer, id))).toEqual([100_000, 100_000, 100_000])
  })

  it('waits for windows that settings have made less than nothing', async () => {
    const { peer, begin } = await opened([Setting.INITIAL_WINDOW_SIZE, 1_000])
    const { stream } = begin()
    stream.write(Buffer.alloc(5_000))
    await handled(peer)
    expect(sent(peer)).toBe(1_000)
    peer.send(settings([[Setting.INITIAL_WINDOW_SIZE, 100]]))
    peer.send(windowUpdate(stream.id, 900))
    await handled(peer)
    expect(sent(peer)).toBe(1_000)
    peer.send(windowUpdate(stream.id, 1))
    await handled(peer)
    expect(sent(peer)).toBe(1_001)
    peer.send(settings([[Setting.INITIAL_WINDOW_SIZE, 101]]))
    await handled(peer)
    expect(sent(peer)).toBe(1_002)
    // What begins now has the new window; its end needs none.
    const other = begin().stream
    other.end(Buffer.alloc(101))
    const empty = begin().stream
    empty.end()
    await handled(peer)
    expect([sent(peer, other.id), peer.count(FrameType.DATA, empty.id)]).toEqual([101, 1])
  })
})

describe('what a session takes', () => {
  const CHUNK = Buffer.alloc(16_384)
  const given = ({ received }: FramePeer, stream: number) =>
    received
      .filter((each) => each.type === FrameType.WINDOW_UPDATE && each.stream === stream)
      .reduce((sum, { payload }) => sum + payload.readUInt32BE(), 0)

  it('is given back, padding and all, of streams that are over too', async () => {
    const { peer, begin, lost } = await opened()
    const first = given(peer, 0)
    const [one, two, three] = [begin(), begin(), begin()]
    for (const { stream } of [one, two, three]) peer.send(fields(stream.id, HEAD))
    await handled(peer)
    two.stream.reset(8)
    const payload = Buffer.alloc(256, 255)
    const padded = frame(FrameType.DATA, { stream: three.stream.id, flags: Flag.PADDED, payload })
    const padding = Array.from({ length: 16 }, () => padded)
    let bytes = 0
    for (let i = 0; i < 640; i++) {
      peer.send(data(one.stream.id, CHUNK, 0), data(two.stream.id, CHUNK, 0), ...padding)
      bytes += 2 * CHUNK.length + 16 * 256
      if (i % 64 === 63) await handled(peer)
    }
    await handled(peer)
    expect(given(peer, 0) - first).toBeGreaterThan(bytes - 2 * 1024 * 1024)
    expect(given(peer, one.stream.id)).toBeGreaterThan(640 * CHUNK.length - 2 * 1024 * 1024)
    expect(given(peer, two.stream.id)).toBe(0)
    expect([one.received(), two.received(), three.received()]).toEqual([640 * CHUNK.length, 0, 0])
    expect(lost).toEqual([])
  })
})
