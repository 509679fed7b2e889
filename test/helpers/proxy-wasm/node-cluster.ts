// A cluster of nodes in this process, as Envoy would reach them: real services of the node, on ways that take time and
// break.

import { GrpcFailure, type GrpcService, type GrpcStreamHandler } from '../../../src/server/grpc-service.ts'
import type { FakeClock } from '../clock.ts'
import { Way } from '../way.ts'
import type { CallEvents, Cluster, StreamEvents, UpstreamStream } from './cluster.ts'

const UNAVAILABLE = 14
const UNIMPLEMENTED = 12
const DEADLINE_EXCEEDED = 4
const PEER = '127.0.0.1:1'

/** What a host of the cluster is for those who ask it. */
export type HostState =
  | 'up'
  /** Health checks have found it away: it is not asked. */
  | 'away'
  /** It is asked, and whoever asks hears at once that it cannot be reached. */
  | 'refusing'
  /** It is asked, and nothing is heard of it: what is sent either way arrives when it is back. */
  | 'silent'

interface NodeHost {
  readonly services: () => readonly GrpcService[]
  state: HostState
  readonly streams: Set<NodeStream>
}

/** Who reads along what a node sends over one stream. */
export interface StreamWatch {
  /** A message arrives; what is delivered may be another one, or none. */
  message(bytes: Uint8Array, deliver: (bytes: Uint8Array) => void): void
  /** The stream is over, whoever ended it. */
  over(): void
}

export interface NodeClusterOptions {
  readonly clock: FakeClock
  /** By node: its services now. */
  readonly nodes: readonly (() => readonly GrpcService[])[]
  /** How long a message is on its way, in ms, each one anew; no time unless told. */
  readonly takesMs?: () => number
  /** Reads along over each stream, by the number of its node. */
  readonly watch?: (node: number) => StreamWatch
}

export class NodeCluster implements Cluster {
  readonly #options: NodeClusterOptions
  readonly #hosts: readonly NodeHost[]
  #next = 0
  /** Streams that were opened, and calls that were made, by node. */
  readonly opened: number[]
  readonly called: number[]

  constructor(options: NodeClusterOptions) {
    this.#options = options
    this.#hosts = options.nodes.map((services) => ({ services, state: 'up', streams: new Set() }))
    this.opened = this.#hosts.map(() => 0)
    this.called = this.#hosts.map(() => 0)
  }

  /** Streams that are open, of one node or of all. */
  openStreams(index?: number): number {
    return this.#hosts.reduce(
      (sum, { streams }, at) => sum + (index === undefined || at === index ? streams.size : 0),
      0,
    )
  }

  /** Whether all nodes can be reached. */
  get isWhole(): boolean {
    return this.#hosts.every(({ state }) => state === 'up')
  }

  /** How a node is reached from now on; streams to it break, but those to one that is silent. */
  set(index: number, state: HostState): void {
    const host = this.#host(index)
    host.state = state
    if (state === 'away' || state === 'refusing') this.cut(index)
    else if (state === 'up') for (const stream of host.streams) stream.goOn()
  }

  /** Breaks all streams to a node: what is under way is lost. */
  cut(index: number): void {
    for (const stream of this.#host(index).streams) stream.break('connection termination')
  }

  open(path: string, events: StreamEvents): UpstreamStream | undefined {
    const chosen = this.#choose()
    if (chosen === undefined) return undefined
    const { host, index } = chosen
    this.opened[index] = (this.opened[index] ?? 0) + 1
    const stream: NodeStream = new NodeStream(
      { ...this.#options, isSilent: () => host.state === 'silent', watch: this.#options.watch?.(index) ?? UNWATCHED },
      events,
      () => host.streams.delete(stream),
    )
    host.streams.add(stream)
    if (host.state === 'refusing') stream.break('connection refused')
    else stream.begin(host.services(), path)
    return stream
  }

  call(path: string, request: Uint8Array, timeoutMs: number, events: CallEvents): (() => void) | undefined {
    const { clock, takesMs = noTime } = this.#options
    const chosen = this.#choose()
    if (chosen === undefined) return undefined
    const { host, index } = chosen
    this.called[index] = (this.called[index] ?? 0) + 1
    let isOver = false
    const end = (tell: () => void) => {
      if (isOver) return
      isOver = true
      stopTimer()
      events.later(tell)
    }
    const stopTimer =
      timeoutMs === 0
        ? () => undefined
        : clock.after(timeoutMs, () => end(() => events.failed(DEADLINE_EXCEEDED, 'upstream request timeout')))
    if (host.state === 'refusing') end(() => events.failed(UNAVAILABLE, 'connection refused'))
    const method = host
      .services()
      .flatMap(({ methods }) => methods)
      .find((each) => each.path === path)
    if (method?.kind !== 'unary') end(() => events.failed(UNIMPLEMENTED, ''))
    else if (host.state === 'up') {
      const deadline = timeoutMs === 0 ? Number.POSITIVE_INFINITY : clock.now() + timeoutMs
      const replied = (reply: Uint8Array | GrpcFailure) =>
        clockAfter(clock, takesMs(), () =>
          end(() => (reply instanceof GrpcFailure ? events.failed(reply.code, reply.details) : events.answered(reply))),
        )
      clockAfter(clock, takesMs(), () => {
        const reply = method.answer(Uint8Array.from(request), { deadline, peer: PEER })
        if (reply instanceof Promise) void reply.then(replied)
        else replied(reply)
      })
    }
    return () => end(() => undefined)
  }

  /** The next node in turn that is not known to be away. */
  #choose(): { readonly host: NodeHost; readonly index: number } | undefined {
    for (const _ of this.#hosts) {
      const index = this.#next++ % this.#hosts.length
      const host = this.#host(index)
      if (host.state !== 'away') return { host, index }
    }
    return undefined
  }

  #host(index: number): NodeHost {
    return this.#hosts[index] as NodeHost
  }
}

const noTime = () => 0

/** At once where it takes no time. */
function clockAfter(clock: FakeClock, ms: number, work: () => void): void {
  if (ms === 0) work()
  else clock.after(ms, work)
}

type StreamOptions = Pick<NodeClusterOptions, 'clock' | 'takesMs'> & {
  readonly isSilent: () => boolean
  readonly watch: StreamWatch
}

const UNWATCHED: StreamWatch = { message: (bytes, deliver) => deliver(bytes), over: () => undefined }

class NodeStream implements UpstreamStream {
  readonly #options: StreamOptions
  readonly #events: StreamEvents
  readonly #onOver: () => void
  readonly #up: Way
  readonly #down: Way
  #handler: GrpcStreamHandler | undefined
  #isOver = false
  /** What has not arrived, for the node is silent. */
  readonly #held: (() => void)[] = []

  constructor(options: StreamOptions, events: StreamEvents, onOver: () => void) {
    this.#options = options
    this.#events = events
    this.#onOver = onOver
    this.#up = new Way(options.clock)
    this.#down = new Way(options.clock)
  }

  begin(services: readonly GrpcService[], path: string): void {
    const method = services.flatMap(({ methods }) => methods).find((each) => each.path === path)
    if (method?.kind !== 'stream') return this.#ended(UNIMPLEMENTED, '')
    this.#handler = method.open({
      deadline: Number.POSITIVE_INFINITY,
      peer: PEER,
      write: (written) => {
        const message = Uint8Array.from(written)
        this.#arrive(() => this.#options.watch.message(message, (bytes) => this.#events.message(bytes)))
        return true
      },
      end: (failure) => this.#arrive(() => this.#ended(failure?.code ?? 0, failure?.details ?? '')),
      pause: () => undefined,
      resume: () => undefined,
    })
  }

  send(message: Uint8Array, isLast: boolean): void {
    if (this.#isOver) return
    this.#pass(this.#up, () => {
      if (message.length > 0) this.#handler?.message(Uint8Array.from(message))
      if (isLast) this.#handler?.halfClosed()
    })
  }

  reset(): void {
    this.#over()
  }

  /** The node is there again: all that was held back arrives. */
  goOn(): void {
    // What is sent meanwhile comes behind it.
    for (let next = this.#held.shift(); next !== undefined; next = this.#held.shift()) next()
  }

  #pass(way: Way, arrive: () => void): void {
    way.send(this.#takesMs(), () => {
      if (this.#options.isSilent() || this.#held.length > 0) this.#held.push(() => this.#isOver || arrive())
      else arrive()
    })
  }

  /** The connection is gone: the caller hears of it, and so does the node. */
  break(why: string): void {
    if (this.#isOver) return
    this.#over()
    this.#events.later(() => this.#events.closed(UNAVAILABLE, why))
  }

  #arrive(work: () => void): void {
    if (this.#isOver) return
    this.#pass(this.#down, () => this.#events.later(() => !this.#isOver && work()))
  }

  #ended(status: number, message: string): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#onOver()
    this.#options.watch.over()
    this.#events.later(() => this.#events.closed(status, message))
  }

  #over(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#up.close()
    this.#down.close()
    this.#handler?.closed()
    this.#onOver()
    this.#options.watch.over()
  }

  #takesMs(): number {
    return (this.#options.takesMs ?? noTime)()
  }
}
