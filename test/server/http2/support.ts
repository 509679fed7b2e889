// A native server with methods for tests of the transport, and clients made of frames.
import { afterEach } from 'vitest'
import { Code } from '../../../src/kernel/status.ts'
import { GrpcFailure, type GrpcService, type GrpcStream } from '../../../src/server/grpc-service.ts'
import { createNativeServer, type NativeServerOptions } from '../../../src/server/http2/server.ts'
import { FrameClient, type FrameClientOptions } from '../../helpers/http2/frame-client.ts'
import { dependencies } from '../fixtures.ts'

export const SAY = '/test.Echo/Say'
export const WAIT = '/test.Echo/Wait'
export const CHAT = '/test.Echo/Chat'

/** A call that is answered when the test says so. */
interface Held {
  readonly text: string
  readonly deadline: number
  answer(text: string): void
}

/** A stream as its method sees it. */
export interface Chat {
  readonly stream: GrpcStream
  readonly heard: string[]
  closed: boolean
  halfClosed: boolean
  left: boolean
  drained: number
}

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
})

/** Ends something after the test. */
export function atEnd(end: () => unknown): void {
  ends.push(end)
}

/** Says back, waits for the test, or hands the stream to it. */
export async function startNative(options: Partial<NativeServerOptions> & { readonly path?: string } = {}) {
  const given = dependencies()
  const held: Held[] = []
  const chats: Chat[] = []
  const echo: GrpcService = {
    name: 'test.Echo',
    methods: [
      {
        kind: 'unary',
        path: SAY,
        answer(request) {
          const text = Buffer.from(request).toString()
          return text.startsWith('fail') ? new GrpcFailure(Code.ABORTED, text) : request
        },
      },
      {
        kind: 'unary',
        path: WAIT,
        door: { name: 'test', priority: 'check' },
        answer: (request, { deadline }) =>
          new Promise((resolve) =>
            held.push({
              text: Buffer.from(request).toString(),
              deadline,
              answer: (text) => resolve(Buffer.from(text)),
            }),
          ),
      },
      {
        kind: 'stream',
        path: CHAT,
        open(stream) {
          const chat: Chat = { stream, heard: [], closed: false, halfClosed: false, left: false, drained: 0 }
          chats.push(chat)
          return {
            message: (bytes) => void chat.heard.push(Buffer.from(bytes).toString()),
            halfClosed: () => {
              chat.halfClosed = true
            },
            closed: () => {
              chat.closed = true
            },
            leave: () => {
              chat.left = true
            },
            drained: () => void chat.drained++,
          }
        },
      },
    ],
  }
  const { path, ...rest } = options
  const server = createNativeServer({ ...given, services: [echo], ...rest })
  const port = await server.listen({ host: '127.0.0.1', port: 0, ...(path !== undefined && { path }) })
  atEnd(() => server.drain(0))
  const open = async (client: FrameClientOptions = {}) => {
    const opened = await FrameClient.open({ port }, client)
    atEnd(() => opened.destroy())
    return opened
  }
  const count = (name: string) => given.meter.counts.get(name) ?? 0
  return { ...given, server, port, open, held, chats, count }
}
