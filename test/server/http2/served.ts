// A native server of services that tests of the transport need, on a free port.
import type { GrpcServer, GrpcServerOptions } from '../../../src/server/grpc-server.ts'
import type { GrpcReply, GrpcService, GrpcStream } from '../../../src/server/grpc-service.ts'
import { createNativeServer } from '../../../src/server/http2/server.ts'
import { FakeClock } from '../../helpers/clock.ts'
import { FrameClient, type FrameClientOptions } from '../../helpers/http2/frame-client.ts'
import { dependencies } from '../fixtures.ts'

export const ECHO = '/test.Transport/Echo'
export const DROP = '/test.Transport/Drop'
export const HOLD = '/test.Transport/Hold'
export const POUR = '/test.Transport/Pour'

/** A server under attack, and what it was made to do. */
export class Served {
  readonly given = dependencies()
  /** What the server may do is bounded by time: none passes but here. */
  readonly clock = new FakeClock()
  /** Calls of `Echo` that were answered. */
  echoed = 0
  /** Calls of `Drop`, which says nothing to what it hears. */
  dropped = 0
  /** Calls of `Hold` under way: each is answered when its function is called. */
  readonly held: (() => void)[] = []
  /** Bytes that calls of `Pour` could write, which write until they are told to stop. */
  poured = 0
  port = 0
  readonly #server: GrpcServer
  readonly #clients: FrameClient[] = []

  constructor(options: Partial<GrpcServerOptions> = {}) {
    const { given, clock } = this
    this.#server = createNativeServer({ ...given, clock, ...options, services: [this.#service()] })
  }

  async listen(): Promise<void> {
    this.port = await this.#server.listen({ host: '127.0.0.1', port: 0 })
  }

  /** A client that is closed with the server. */
  async client(options: FrameClientOptions = {}): Promise<FrameClient> {
    const client = await FrameClient.open({ port: this.port }, options)
    this.#clients.push(client)
    return client
  }

  /** A counter of the server's meter. */
  count(name: string, ...labels: readonly string[]): number {
    return this.given.meter.counts.get(`${name}{${labels.join()}}`) ?? 0
  }

  async stop(): Promise<void> {
    for (const client of this.#clients) client.destroy()
    const drained = this.#server.drain(0)
    await this.clock.advance(1_000)
    await drained
  }

  #service(): GrpcService {
    return {
      name: 'test.Transport',
      methods: [
        {
          kind: 'unary',
          path: ECHO,
          answer: (request) => {
            this.echoed++
            return request
          },
        },
        {
          kind: 'unary',
          path: DROP,
          answer: () => {
            this.dropped++
            return Buffer.alloc(0)
          },
        },
        {
          kind: 'unary',
          path: HOLD,
          answer: (request) => new Promise<GrpcReply>((resolve) => this.held.push(() => resolve(request))),
        },
        {
          kind: 'stream',
          path: POUR,
          open: (stream) => {
            const pour = () => this.#pour(stream)
            return { message: pour, drained: pour, halfClosed: () => {}, closed: () => {} }
          },
        },
      ],
    }
  }

  #pour(stream: GrpcStream): void {
    const drop = Buffer.alloc(10_000)
    let room = true
    while (room) {
      room = stream.write(drop)
      this.poured += drop.length
    }
  }
}
