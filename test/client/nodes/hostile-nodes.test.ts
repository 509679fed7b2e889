// Links before servers that are no nodes, or broken ones: what they are made of is frames.
import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { callFields } from '../../../src/client/nodes/grpc-messages.ts'
import { Http2Session } from '../../../src/client/nodes/http2-session.ts'
import { NodeLink } from '../../../src/client/nodes/node-link.ts'
import type { IntermixError } from '../../../src/kernel/errors.ts'
import { systemClock } from '../../../src/kernel/system-clock.ts'
import { FakeClock } from '../../helpers/clock.ts'
import * as frames from '../../helpers/http2/frames.ts'
import { answer, FrameServer, type FrameServerOptions } from '../../helpers/http2/frame-server.ts'

const { FrameType, Setting } = frames
const METHOD = '/test.Echo/Say'
const BYTES = Buffer.from('abc')
const LARGEST = 0x7fff_ffff
/** Windows that never end. */
const OPEN = [
  frames.settings([[Setting.INITIAL_WINDOW_SIZE, LARGEST]]),
  frames.windowUpdate(0, LARGEST - 65_535),
] as const

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
})

async function served(options: FrameServerOptions): Promise<FrameServer> {
  const server = await FrameServer.start(options)
  ends.push(() => server.close())
  return server
}

const OPTIONS = { clock: systemClock, random: Math.random, connectTimeoutMs: 5_000, onLeaving: () => undefined }

function linked({ address }: FrameServer): NodeLink {
  const link = new NodeLink({ ...OPTIONS, address })
  ends.push(() => link[Symbol.dispose]())
  return link
}

/** Writes until neither the socket nor the peer takes more. */
async function fill(session: Http2Session): Promise<void> {
  const stream = session.request(HEAD, silent)
  while (stream.unsent < 4_000_000) {
    stream.write(Buffer.alloc(500_000))
    await turns()
  }
}

/** A session, and what becomes of it. */
function sessionTo({ address: { host, port } }: FrameServer, { clock = systemClock, firstId = 1 } = {}) {
  const lost = Promise.withResolvers<unknown>()
  const settled = Promise.withResolvers<void>()
  const socket = connect(port, host)
  const events = { settled: () => settled.resolve(), lost: (cause: unknown) => lost.resolve(cause) }
  const session = new Http2Session(socket, events, clock, firstId)
  ends.push(() => session.destroy())
  socket.ref()
  return { session, socket, settled: settled.promise, lost: lost.promise }
}

/** Time for sockets. */
async function turns(): Promise<void> {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => void setImmediate(resolve))
}

const silent = { headers: () => undefined, data: () => undefined, ended: () => undefined, failed: () => undefined }
const HEAD = callFields({ host: 'a.test', port: 1 }, METHOD)

describe('a link, before a node that does not read', () => {
  it.each([
    ['PINGs', frames.ping()],
    ['SETTINGS', frames.settings()],
  ])('holds few acknowledgements of its %s', async (_, frame) => {
    const server = await served({})
    const { settled, lost } = sessionTo(server)
    await settled
    const [peer] = server.peers
    peer?.socket.pause()
    const many = Buffer.concat(Array.from({ length: 4_000 }, () => frame))
    let bytes = 0
    while (peer?.socket.writable === true && bytes < 16_000_000) {
      bytes += many.length
      if (!peer.socket.write(many))
        await new Promise((resolve) => peer.socket.once('drain', resolve).once('close', resolve))
    }
    expect(bytes).toBeLessThan(16_000_000)
    expect(String(await lost)).toContain('more acknowledged than it reads')
  })

  it('holds nothing of calls that have ended, however many there were', async () => {
    const server = await served({ open: (peer) => peer.send(...OPEN) })
    const { session, settled } = sessionTo(server)
    await settled
    server.peers[0]?.socket.pause()
    const last = session.request(HEAD, silent)
    for (let i = 0; i < 200; i++) {
      const stream = session.request(HEAD, silent)
      stream.end(Buffer.alloc(1_000_000))
      await new Promise((resolve) => void setImmediate(resolve))
      stream.reset(8)
    }
    expect(session.unsent).toBeLessThan(3_000_000)
    // It goes on when the node does.
    last.end(BYTES)
    server.peers[0]?.socket.resume()
    await expect.poll(() => server.peers[0]?.count(FrameType.DATA, last.id)).toBe(1)
  })

  it('sends what has queued up meanwhile without moving it again and again', { timeout: 8_000 }, async () => {
    const count = 200_000
    const server = await served({ open: (peer) => peer.send(frames.settings([[Setting.INITIAL_WINDOW_SIZE, 0]])) })
    const { session, settled } = sessionTo(server)
    await settled
    const stream = session.request(HEAD, silent)
    for (let i = 0; i < count; i++) stream.write(Buffer.from(BYTES))
    stream.end()
    const [peer] = server.peers
    peer?.send(frames.windowUpdate(0, LARGEST - 65_535))
    peer?.send(frames.windowUpdate(stream.id, LARGEST))
    await expect.poll(() => stream.isDrained, { timeout: 7_000 }).toBe(true)
    await expect.poll(() => peer?.count(FrameType.DATA, stream.id)).toBeGreaterThanOrEqual(count)
  })
})

/** Takes no new streams from now on. */
const goes = frames.frame(FrameType.GOAWAY, { payload: Buffer.from([0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0]) })

describe('a link', () => {
  const { REFUSED_STREAM, CANCEL } = frames.ErrorCode
  const leaves = frames.frame(FrameType.GOAWAY, { payload: Buffer.from([0, 0, 0, 1, 0, 0, 0, 0]) })
  it.each([
    ['refuses it', (stream: number) => frames.resetStream(stream, REFUSED_STREAM), 1],
    ['goes, and says that it has not begun it', () => leaves, 2],
  ])('makes a call once more where the node %s', async (_, say, connections) => {
    let asked = 0
    const server = await served({
      take: (peer, { type, stream }) => {
        if (type === FrameType.HEADERS && stream > 1) peer.send(asked++ === 0 ? say(stream) : answer(stream, BYTES))
      },
    })
    const link = linked(server)
    expect(Buffer.from(await link.call(METHOD, BYTES, 5_000))).toEqual(BYTES)
    expect([asked, server.peers.length]).toEqual([2, connections])
  })

  it('goes over a socket of Unix, which may be away for a while', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'intermix-hostile-'))
    ends.push(() => rm(folder, { recursive: true, force: true }))
    const path = join(folder, 'node.sock')
    const link = new NodeLink({ ...OPTIONS, address: { path } })
    ends.push(() => link[Symbol.dispose]())
    const call = async () => Buffer.from(await link.call(METHOD, BYTES, 5_000))
    await expect(call()).rejects.toMatchObject({ code: 'BACKEND_FAILED', cause: { code: 'ENOENT' } })
    const server = await served({
      listen: { path },
      take: (peer, { type, stream }) => {
        if (type === FrameType.HEADERS && stream > 1) peer.send(answer(stream, BYTES))
      },
    })
    await expect.poll(() => call().catch(String)).toEqual(BYTES)
    server.close()
    await expect.poll(() => call().catch((error: unknown) => (error as IntermixError).code)).toBe('BACKEND_FAILED')
  })

  it.each([
    ['refuses it again', REFUSED_STREAM, 2],
    ['may have begun it', CANCEL, 1],
  ])('lets a call fail where the node %s', async (_, code, times) => {
    const server = await served({
      take: (peer, { type, stream }) => {
        if (type === FrameType.HEADERS && stream > 1) peer.send(frames.resetStream(stream, code))
      },
    })
    const link = linked(server)
    await expect(link.call(METHOD, BYTES, 5_000)).rejects.toMatchObject({ code: 'BACKEND_FAILED', retryable: true })
    expect(server.peers[0]?.count(FrameType.HEADERS)).toBe(1 + times)
  })

  it('begins no more streams than any server takes before it has said how many that are', async () => {
    const server = await served({ open: () => undefined })
    const { session, settled } = sessionTo(server)
    for (let i = 0; i < 150; i++) session.request(HEAD, silent)
    await expect.poll(() => server.peers[0]?.count(FrameType.HEADERS)).toBe(100)
    server.peers[0]?.send(frames.settings())
    await settled
    await expect.poll(() => server.peers[0]?.count(FrameType.HEADERS)).toBe(150)
  })
})

describe('a link, before a node that goes', () => {
  it('has few connections, although each is left as soon as it is asked over', async () => {
    const server = await served({
      take: (peer, { type }) => {
        if (type === FrameType.HEADERS) peer.send(goes)
      },
    })
    const link = linked(server)
    const asked: Promise<unknown>[] = []
    for (let i = 0; i < 60; i++) {
      asked.push(link.call(METHOD, BYTES, 10_000).catch((error: unknown) => error))
      // The node has left this connection when the next one is asked.
      await turns()
    }
    expect(server.open).toBeLessThanOrEqual(8)
    link[Symbol.dispose]()
    const codes = (await Promise.all(asked)).map((error) => (error as IntermixError).code)
    expect(new Set(codes)).toEqual(new Set(['CANCELLED', 'BACKEND_FAILED']))
  })

  it('ends a connection whose peer only sends, however much', async () => {
    const server = await served({ open: (peer) => peer.send(...OPEN) })
    const clock = new FakeClock()
    const { session, socket, settled } = sessionTo(server, { clock })
    await settled
    const [peer] = server.peers
    peer?.socket.pause()
    await fill(session)
    let ended = false
    session.end(() => (ended = true))
    for (let i = 0; i < 5; i++) {
      peer?.send(frames.ping())
      await clock.advance(900)
    }
    expect([ended, clock.pending]).toEqual([false, 1])
    peer?.send(frames.ping())
    await clock.advance(600)
    await expect.poll(() => ended).toBe(true)
    expect([socket.destroyed, clock.pending]).toEqual([true, 0])
  })

  it('waits for nothing more when it has ended its side, whether or not it reads', async () => {
    const server = await served({ open: (peer) => peer.send(...OPEN), allowHalfOpen: true })
    const { session, settled, lost } = sessionTo(server)
    await settled
    const [peer] = server.peers
    peer?.socket.pause()
    await fill(session)
    peer?.socket.end()
    expect(await lost).toBeUndefined()
  })

  it('begins no more streams than there are numbers', async () => {
    const server = await served({})
    const { session, settled } = sessionTo(server, { firstId: LARGEST - 2 })
    await settled
    const [one, two] = [session.request(HEAD, silent), session.request(HEAD, silent)]
    expect([one.id, two.id, session.isClosed]).toEqual([LARGEST - 2, LARGEST, true])
    expect(() => session.request(HEAD, silent)).toThrow('takes no more streams')
    await expect.poll(() => server.peers[0]?.count(FrameType.HEADERS, LARGEST)).toBe(1)
  })
})
