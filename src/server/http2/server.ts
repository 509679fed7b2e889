// The native gRPC server: HTTP/2 of our own over TCP, TLS and Unix sockets.

import { createServer, type Server, type Socket } from 'node:net'
import {
  GRPC_CALLS_REFUSED_TOTAL,
  GRPC_CONNECTIONS,
  GRPC_CONNECTIONS_CLOSED_TOTAL,
  GRPC_STREAMS_RESET_TOTAL,
} from '../../kernel/metrics/grpc.ts'
import { createFailureLog } from '../failure-log.ts'
import {
  type GrpcServer,
  type GrpcServerOptions,
  LINGER_MS,
  MAX_CONCURRENT_STREAMS,
  MAX_MESSAGE_BYTES,
} from '../grpc-server.ts'
import { Connection, type ConnectionOptions } from './connection.ts'
import { type ConnectionTimes, TIMES } from './connection-care.ts'
import type { CloseReason } from '../../wire/http2/connection-error.ts'
import { ErrorCode } from '../../wire/http2/frames.ts'
import { listen } from '../listen.ts'
import { MemoryBudget } from '../../wire/http2/memory-budget.ts'
import { HeadReader } from './request-head.ts'
import { routesOf } from './routes.ts'
import { tls as tlsModule } from '../../kernel/late-modules.ts'
import { TlsListener } from '../../tls/tls-listener.ts'

/** How often it is looked whether peers keep to their times. */
const LOOK_MS = 1_000
/** How long a drain waits for peers to say that they know of it: those that are busy are late, and would lose what they begin. */
const KNOWN_MS = 1_000
/** Connections at once; one costs some 10 kB. */
const MAX_CONNECTIONS = 20_000
const MIB = 1024 * 1024
/** For requests that have not come as a whole: of one connection, and of all. */
const CONNECTION_BYTES = 16 * MIB
const ALL_BYTES = 64 * MIB

type ResetError = (typeof GRPC_STREAMS_RESET_TOTAL)['labels']['error'][number]

const RESET_ERRORS: Readonly<Record<number, ResetError>> = {
  [ErrorCode.PROTOCOL_ERROR]: 'protocol',
  [ErrorCode.FLOW_CONTROL_ERROR]: 'flow-control',
  [ErrorCode.STREAM_CLOSED]: 'closed',
  [ErrorCode.REFUSED_STREAM]: 'refused',
  [ErrorCode.CANCEL]: 'stalled',
  [ErrorCode.ENHANCE_YOUR_CALM]: 'flood',
}

export interface NativeServerOptions extends GrpcServerOptions {
  /** Times that differ from the usual. */
  readonly times?: Partial<ConnectionTimes>
}

/** All services on one port. */
export function createNativeServer(options: NativeServerOptions): GrpcServer {
  return new NativeServer(options)
}

class NativeServer implements GrpcServer {
  readonly #options: NativeServerOptions
  readonly #connectionOptions: ConnectionOptions
  readonly #connections = new Set<Connection>()
  readonly #tls: TlsListener | undefined
  readonly #closed: (reason: CloseReason | 'limit') => void
  readonly #gauge: (count: number) => void
  readonly #onFault: (caught: unknown, message: string) => void
  #listener: Server | undefined
  #cancelLook: (() => void) | undefined
  #draining = false
  #drained: Promise<void> | undefined

  constructor(options: NativeServerOptions) {
    const { clock, random, meter, admission, services, defaultTimeoutMs } = options
    const maxMessageBytes = options.maxMessageBytes ?? MAX_MESSAGE_BYTES
    const closed = meter.counter(GRPC_CONNECTIONS_CLOSED_TOTAL)
    const resets = meter.counter(GRPC_STREAMS_RESET_TOTAL)
    const refused = meter.counter(GRPC_CALLS_REFUSED_TOTAL)
    const gauge = meter.gauge(GRPC_CONNECTIONS)()
    this.#closed = (reason) => closed({ reason }).add()
    this.#gauge = (count) => gauge.set(count)
    this.#options = options
    const maxConcurrentStreams = options.maxConcurrentStreams ?? MAX_CONCURRENT_STREAMS
    const onFault = createFailureLog(options)
    this.#onFault = onFault
    const { tls } = options
    this.#tls =
      tls && new TlsListener({ ...options, listener: 'grpc', files: tls, onRefused: () => this.#closed('handshake') })
    this.#connectionOptions = {
      clock,
      random,
      limits: {
        clock,
        maxMessageBytes,
        budgetBytes: Math.max(CONNECTION_BYTES, 2 * maxMessageBytes),
        onFault,
        onRefused: (reason) => refused({ reason }).add(),
      },
      unsentBudget: new MemoryBudget(Math.max(ALL_BYTES, 8 * maxMessageBytes)),
      budget: new MemoryBudget(Math.max(ALL_BYTES, 8 * maxMessageBytes)),
      heads: new HeadReader(routesOf(services, admission)),
      times: { ...TIMES, maxAgeMs: options.maxConnectionAgeMs ?? TIMES.maxAgeMs, ...options.times },
      maxConcurrentStreams,
      mostCalls: () => this.#connections.size * maxConcurrentStreams,
      defaultTimeoutMs,
      waitedMs: () => admission.waitedMs(),
      countReset: (code) => resets({ error: RESET_ERRORS[code] ?? 'protocol' }).add(),
      onClose: (connection, reason) => this.#onClose(connection, reason),
    }
  }

  async listen(address: Parameters<GrpcServer['listen']>[0]): Promise<number> {
    const listener = await this.#createListener()
    this.#listener = listener
    listener.maxConnections = this.#options.maxConnections ?? MAX_CONNECTIONS
    // Else the parent of several processes would hand on what none takes for ever.
    Object.assign(listener, { dropMaxConnection: true })
    listener.on('drop', () => this.#closed('limit'))
    const port = await listen(listener, address)
    listener.on('error', (error) => this.#onFault(error, 'the gRPC listener failed'))
    return port
  }

  retire(): void {
    for (const service of this.#options.services) service.retire?.()
  }

  drain(deadlineMs: number): Promise<void> {
    this.#drained ??= this.#drain(deadlineMs)
    return this.#drained
  }

  async #createListener(): Promise<Server> {
    const tls = this.#tls
    const take = (socket: Socket) => this.#take(socket)
    if (tls === undefined) return createServer({ noDelay: true }, take)
    const server = tlsModule().createServer({ ...tls.serverOptions, ALPNProtocols: ['h2'] }, take)
    tls.attach(server)
    await tls.start()
    return server
  }

  #take(socket: Socket): void {
    const connection = new Connection(socket, this.#connectionOptions)
    this.#connections.add(connection)
    this.#gauge(this.#connections.size)
    if (this.#draining) connection.retire('drain')
    else this.#cancelLook ??= this.#options.clock.after(LOOK_MS, this.#look)
  }

  #onClose(connection: Connection, reason: CloseReason): void {
    this.#connections.delete(connection)
    this.#closed(reason)
    this.#gauge(this.#connections.size)
  }

  readonly #look = (): void => {
    const { clock } = this.#options
    const now = clock.monotonic()
    for (const connection of this.#connections) connection.check(now)
    this.#cancelLook = this.#connections.size === 0 ? undefined : clock.after(LOOK_MS, this.#look)
  }

  async #drain(deadlineMs: number): Promise<void> {
    const { clock, services } = this.#options
    const listener = this.#listener
    this.#draining = true
    // From now on the deadline of the drain is the only one.
    this.#cancelLook?.()
    this.retire()
    this.#tls?.stop()
    for (const connection of this.#connections) connection.retire('drain')
    const cancelEnds = clock.after(Math.min(LINGER_MS, deadlineMs / 2), () => {
      for (const service of services) service.drain?.()
      for (const connection of this.#connections) connection.failIncomplete()
    })
    const cancelFinish = clock.after(Math.min(KNOWN_MS, deadlineMs / 2), () => {
      for (const connection of this.#connections) connection.finish('drain')
      this.#tls?.endHandshakes()
    })
    const cancelDeadline = clock.after(deadlineMs, () => {
      for (const connection of this.#connections) connection.destroy('drain')
      this.#tls?.endConnections()
    })
    // Calls back when all its sockets are closed.
    if (listener !== undefined) await new Promise<void>((resolve) => listener.close(() => resolve()))
    cancelEnds()
    cancelFinish()
    cancelDeadline()
  }
}
