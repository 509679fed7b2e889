// A pool of two nodes, one of which is none: every check has its answer in time, and the node is asked again when it is well.
import { createServer, type Server, type Socket } from 'node:net'
import { once } from 'node:events'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { RevocationCallers } from '../../../src/cache/revocation-callers.ts'
import { Revocations } from '../../../src/cache/revocations.ts'
import { NodePool } from '../../../src/client/nodes/node-pool.ts'
import { ComposedNews } from '../../../src/compose/node-news.ts'
import { MapBag } from '../../../src/kernel/attribute-bag.ts'
import { systemClock } from '../../../src/kernel/system-clock.ts'
import { dependencies } from '../../server/fixtures.ts'
import { createGrpcServer } from '../../server/transport.ts'
import * as frames from '../../helpers/http2/frames.ts'
import { fields, HEAD } from '../../helpers/http2/frame-server.ts'
import { servedCalmly } from './served-calmly.ts'

const { Flag, frame, FrameType, ping, resetStream, Setting, settings } = frames
const TIMEOUT_MS = 1_500

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
})

const greeted =
  (...more: readonly Buffer[]) =>
  (socket: Socket) => {
    socket.write(Buffer.concat([settings(), ...more]))
    socket.resume()
  }
const goAway = (last: number, code: number) => {
  const payload = Buffer.alloc(8)
  payload.writeUInt32BE(last)
  payload.writeUInt32BE(code, 4)
  return frame(FrameType.GOAWAY, { payload })
}

/** What a server does with its connections. */
const KINDS: readonly (readonly [string, (socket: Socket) => void])[] = [
  ['ends them', (socket) => socket.end()],
  ['resets them', (socket) => socket.resetAndDestroy()],
  ['says nothing', (socket) => socket.resume()],
  ['does not read', (socket) => socket.pause()],
  ['speaks HTTP/1.1', (socket) => socket.end('HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n')],
  ['speaks nonsense', (socket) => socket.write(Buffer.alloc(100, 0xff))],
  ['stops within a frame', (socket) => socket.write(settings().subarray(0, 5))],
  ['ends within a frame', (socket) => socket.end(settings().subarray(0, 5))],
  ['greets, and says no more', greeted()],
  ['greets, and ends its side', (socket) => socket.resume().end(settings())],
  ['opens no window', (socket) => socket.resume().write(settings([[Setting.INITIAL_WINDOW_SIZE, 0]]))],
  ['takes no streams', (socket) => socket.resume().write(settings([[Setting.MAX_CONCURRENT_STREAMS, 0]]))],
  ['goes at once', greeted(goAway(0, 0))],
  ['goes soon, and says no more', greeted(goAway(0x7fff_ffff, 0))],
  ['goes with an error', greeted(goAway(0, 2))],
  ['refuses the stream', greeted(resetStream(1, 7))],
  ['has nothing for the path', greeted(fields(1, [...HEAD, ['grpc-status', '12']], Flag.END_STREAM))],
  ['is a proxy without servers', greeted(fields(1, [[':status', '503']], Flag.END_STREAM))],
  [
    'is a site',
    greeted(
      fields(1, [
        [':status', '200'],
        ['content-type', 'text/html'],
      ]),
    ),
  ],
  ['answers nonsense', greeted(fields(1, HEAD), frames.data(1, frames.grpcMessage(Buffer.alloc(99, 0xff)), 0))],
  ['begins a message, and says no more', greeted(fields(1, HEAD), frames.data(1, Buffer.of(0, 0, 0, 9, 9), 0))],
  ['PINGs', greeted(...Array.from({ length: 5_000 }, () => ping()))],
]

async function listening(onSocket: (socket: Socket) => void, port = 0) {
  const sockets = new Set<Socket>()
  const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.once('close', () => sockets.delete(socket))
    onSocket(socket)
  })
  await once(server.listen(port, '127.0.0.1'), 'listening')
  const close = async () => {
    for (const socket of sockets) socket.destroy()
    if (server.listening) await once(server.close(), 'close')
  }
  ends.push(close)
  return { port: (server.address() as { port: number }).port, sockets, close }
}

async function node(port = 0) {
  const given = dependencies()
  const revocations = new Revocations()
  const news = new ComposedNews({
    revocations,
    callers: new RevocationCallers({ clock: systemClock, revocations }),
    service: { outOfTouchMs: () => 0 },
    partitionMaxAgeMs: 30_000,
    normalizes: true,
    allowedAmbiguities: new Set(),
    state: () => undefined,
  })
  const server = createGrpcServer(servedCalmly({ ...given, news } as ReturnType<typeof dependencies>))
  const own = await server.listen({ host: '127.0.0.1', port })
  ends.push(() => server.drain(0))
  return { port: own, given }
}

describe('a pool, where one of two nodes', () => {
  let well: Awaited<ReturnType<typeof node>>

  beforeEach(async () => {
    well = await node()
  })

  function pooled(ports: readonly number[]) {
    const pool = new NodePool({ clock: systemClock, random: Math.random, connectTimeoutMs: 300, caller: 'sidecar-1' })
    ends.push(() => pool[Symbol.dispose]())
    pool.setMembers(ports.map((port) => ({ id: `127.0.0.1:${port}`, address: { host: '127.0.0.1', port } })))
    const ask = async (affinity: string) =>
      (await pool.ask({ bag: MapBag.of({ 'request.path': '/' }), timeoutMs: TIMEOUT_MS, affinity, tenant: '' })).answer
        .status.code
    return ask
  }

  it.each(KINDS)('%s, has all checks answered, and asks it again when it is well', async (_, onSocket) => {
    let connections = 0
    const ill = await listening((socket) => {
      connections++
      onSocket(socket)
    })
    const ask = pooled([well.port, ill.port])
    const keys = Array.from({ length: 12 }, (_, i) => `key ${i}`)
    for (let round = 0; round < 3; round++) expect(await Promise.all(keys.map(ask))).toEqual(keys.map(() => 0))
    expect(connections).toBeGreaterThan(0)
    expect(ill.sockets.size).toBeLessThanOrEqual(8)
    await ill.close()
    const healed = await node(ill.port)
    await expect
      .poll(
        async () => {
          await Promise.all(keys.map(ask))
          return healed.given.check.asked.length
        },
        { timeout: 12_000 },
      )
      .toBeGreaterThan(0)
  })
})
