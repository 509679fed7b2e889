// The client's side of HTTP/2, before Node's own server and before peers that are none.
import { once } from 'node:events'
import { createServer as createHttp2, type Http2Server, type ServerHttp2Stream, type Settings } from 'node:http2'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { callFields } from '../../../src/client/nodes/grpc-messages.ts'
import { Http2Session } from '../../../src/client/nodes/http2-session.ts'
import { systemClock } from '../../../src/kernel/system-clock.ts'
import { goAway, settings } from '../../../src/wire/http2/frames.ts'

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
})

const TO = { host: 'a.test', port: 1 }

async function sessionTo(server: Server | Http2Server) {
  await once(server.listen(0, '127.0.0.1'), 'listening')
  ends.push(() => server.close())
  const lost = Promise.withResolvers<unknown>()
  const settled = Promise.withResolvers<void>()
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  const session = new Http2Session(
    socket,
    { settled: () => settled.resolve(), lost: (cause) => lost.resolve(cause) },
    systemClock,
  )
  ends.push(() => session.destroy())
  // The session itself keeps no process alive.
  socket.ref()
  return { session, settled: settled.promise, lost: lost.promise }
}

function nodeServer(options: Settings, take: (stream: ServerHttp2Stream, path: string) => void) {
  const server = createHttp2({ settings: options })
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {})
    take(stream, String(headers[':path']))
  })
  server.on('session', (peer) => ends.push(() => peer.destroy()))
  return server
}

/** Asks `path`, and collects what comes. */
function ask(session: Http2Session, path: string, body?: Uint8Array) {
  const chunks: Buffer[] = []
  const said: Record<string, string>[] = []
  const { promise, resolve } = Promise.withResolvers<{ body: Buffer; said: typeof said; error?: Error }>()
  const over = (error?: Error) => resolve({ body: Buffer.concat(chunks), said, ...(error && { error }) })
  const stream = session.request(callFields(TO, path, 1_000), {
    headers: (fields) => said.push(Object.fromEntries(fields)),
    data: (bytes) => chunks.push(Buffer.from(bytes)),
    ended: () => over(),
    failed: over,
  })
  if (body !== undefined) stream.end(body)
  return { stream, over: promise }
}

const echo = (stream: ServerHttp2Stream) => {
  stream.respond({ ':status': 200 }, { waitForTrailers: true })
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0', 'x-long': 'a'.repeat(20_000) }))
  stream.pipe(stream)
}

describe('a session of HTTP/2', () => {
  it('sends and takes far more than the windows hold, and headers of several frames', async () => {
    const { session } = await sessionTo(nodeServer({ initialWindowSize: 1_000 }, echo))
    const bodies = [10_000_000, 300_000, 0].map((length) => Buffer.alloc(length, 'abcdefg'))
    const answers = await Promise.all(bodies.map((body) => ask(session, '/echo', body).over))
    for (const [at, { body, said }] of answers.entries()) {
      expect(body.equals(bodies[at] ?? Buffer.alloc(0))).toBe(true)
      expect([said[0]?.[':status'], said[1]?.['grpc-status'], said[1]?.['x-long']?.length]).toEqual([
        '200',
        '0',
        20_000,
      ])
    }
  })

  it('begins no more streams at once than the peer takes', async () => {
    let [open, most] = [0, 0]
    const server = nodeServer({ maxConcurrentStreams: 2 }, (stream) => {
      most = Math.max(most, ++open)
      stream.on('close', () => open--)
      echo(stream)
    })
    const { session, settled } = await sessionTo(server)
    await settled
    const answers = await Promise.all(Array.from({ length: 20 }, () => ask(session, '/', Buffer.from('x')).over))
    expect(answers.map(({ body }) => String(body))).toEqual(answers.map(() => 'x'))
    expect(most).toBeLessThanOrEqual(2)
  })

  it('tells of a stream that is reset, and goes on with others', async () => {
    const server = nodeServer({}, (stream, path) => (path === '/reset' ? stream.close(7) : echo(stream)))
    const { session } = await sessionTo(server)
    const reset = await ask(session, '/reset', Buffer.from('x')).over
    expect(reset.error?.message).toContain('reset the stream (7)')
    expect(String((await ask(session, '/', Buffer.from('y')).over).body)).toBe('y')
  })

  it('takes a call back, and is closed for more when the peer goes', async () => {
    const gone = Promise.withResolvers<number>()
    const server = nodeServer({}, (stream, path) => {
      if (path !== '/wait') return echo(stream)
      stream.on('close', () => gone.resolve(stream.rstCode))
      stream.session?.goaway(0, stream.id ?? 0)
    })
    const { session } = await sessionTo(server)
    const { stream } = ask(session, '/wait', Buffer.from('x'))
    await expect.poll(() => session.isClosed).toBe(true)
    expect(() => ask(session, '/')).toThrow('takes no more streams')
    stream.reset(8)
    expect(await gone.promise).toBe(8)
  })

  it.each([
    ['does not speak HTTP/2', (socket: Socket) => socket.write('HTTP/1.1 400 Bad Request\r\n\r\n'), /bytes|SETTINGS/],
    ['begins with no SETTINGS', (socket: Socket) => socket.write(goAway(0, 0, '')), /first frame is not SETTINGS/],
    [
      'goes with an error',
      (socket: Socket) => socket.write(Buffer.concat([settings([]), goAway(0, 2, '')])),
      /ended the connection \(2\)/,
    ],
  ])('is lost to a peer that %s', async (_, speak, why) => {
    const server = createServer((socket) => {
      socket.on('error', () => {})
      ends.push(() => socket.destroy())
      speak(socket)
    })
    const { lost } = await sessionTo(server)
    expect(String(await lost)).toMatch(why)
  })
})
