// A TCP proxy that misbehaves on command: what a slow, silent or breaking network does to a connection.
import { connect, createServer, type Server, type Socket } from 'node:net'

/** A proxy between a test and a server on this machine. */
export interface FlakyProxy {
  readonly port: number
  /** Connections that are open now. */
  readonly connections: number
  /** Chunks that have arrived and wait to be passed on. */
  readonly held: number
  /** Delays every chunk in each direction by `ms`; 0 ends it. Applies to open connections too. */
  setLatency(ms: number): void
  /** While on, connections are accepted and stay open, and no byte passes; bytes that wait pass once it is off. */
  setBlackhole(on: boolean): void
  /** Resets (TCP RST) every open connection; new ones work. */
  reset(): void
  /** Refuses connections and resets the open ones, until `listen`. */
  refuse(): Promise<void>
  /** Listens again on the same port after `refuse`. */
  listen(): Promise<void>
  close(): Promise<void>
}

export interface Target {
  readonly host: string
  readonly port: number
}

/** Starts a proxy on a free port of 127.0.0.1 in front of `target`. */
export async function startFlakyProxy(target: Target): Promise<FlakyProxy> {
  const proxy = new NetFlakyProxy(target)
  await proxy.listen()
  return proxy
}

class NetFlakyProxy implements FlakyProxy {
  readonly #target: Target
  readonly #pairs = new Set<readonly [Socket, Socket]>()
  #server: Server | undefined
  #port = 0
  #latencyMs = 0
  #held = 0
  #open: Promise<void> = Promise.resolve()
  #release: (() => void) | undefined

  constructor(target: Target) {
    this.#target = target
  }

  get port(): number {
    return this.#port
  }

  get connections(): number {
    return this.#pairs.size
  }

  get held(): number {
    return this.#held
  }

  setLatency(ms: number): void {
    this.#latencyMs = ms
  }

  setBlackhole(on: boolean): void {
    if (on === (this.#release !== undefined)) return
    this.#release?.()
    this.#release = undefined
    if (!on) return
    this.#open = new Promise((resolve) => {
      this.#release = resolve
    })
  }

  reset(): void {
    for (const [client, upstream] of this.#pairs) {
      client.resetAndDestroy()
      upstream.resetAndDestroy()
    }
  }

  async refuse(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    this.reset()
    await new Promise<void>((resolve) => (server === undefined ? resolve() : server.close(() => resolve())))
  }

  async listen(): Promise<void> {
    const server = createServer({ allowHalfOpen: true }, (client) => this.#join(client))
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(this.#port, '127.0.0.1', resolve)
    })
    const address = server.address()
    if (address === null || typeof address === 'string') throw new Error('a TCP server without a port')
    this.#port = address.port
    this.#server = server
  }

  async close(): Promise<void> {
    this.setBlackhole(false)
    await this.refuse()
  }

  #join(client: Socket): void {
    const upstream = connect({ ...this.#target, allowHalfOpen: true })
    const pair = [client, upstream] as const
    this.#pairs.add(pair)
    this.#pump(client, upstream)
    this.#pump(upstream, client)
    for (const socket of pair) {
      socket.setNoDelay(true)
      // An error is always followed by `close`; an orderly end travels with the bytes, in `#pump`.
      socket.on('error', () => undefined)
      socket.on('close', (failed) => {
        if (failed) for (const end of pair) end.destroy()
        if (pair.every((end) => end.destroyed)) this.#pairs.delete(pair)
      })
    }
  }

  /** Carries chunks in order; each waits for the latency of its arrival and for the blackhole to end. */
  #pump(from: Socket, to: Socket): void {
    let last: Promise<void> = Promise.resolve()
    const send = (deliver: () => void) => {
      const due = performance.now() + this.#latencyMs
      const before = last
      this.#held += 1
      last = (async () => {
        await before
        await this.#open
        const wait = due - performance.now()
        if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait))
        this.#held -= 1
        if (!to.destroyed) deliver()
      })()
    }
    from.on('data', (chunk) => send(() => to.write(chunk)))
    from.on('end', () => send(() => to.end()))
  }
}
