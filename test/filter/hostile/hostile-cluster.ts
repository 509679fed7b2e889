// A cluster behind which somebody sits who sends whatever he likes in place of what nodes say.

import { WireReader } from '../../../src/wire/wire-reader.ts'
import type { FakeClock } from '../../helpers/clock.ts'
import type { Cluster, StreamEvents, UpstreamStream } from '../../helpers/proxy-wasm/cluster.ts'

/** Who is told what the filter asks and gets, by the number of the stream. */
export interface Listener {
  asked(stream: number, id: number, check: Buffer): void
  delivered(stream: number, message: Uint8Array): void
  over(stream: number): void
}

/** What becomes of a message of a node: others in its place, or none, each after some time. */
export type Tamper = (message: Buffer) => readonly { readonly bytes: Uint8Array; readonly afterMs: number }[]

interface Open {
  readonly upstream: UpstreamStream
  readonly events: StreamEvents
}

export class HostileCluster implements Cluster {
  readonly #inner: Cluster
  readonly #clock: FakeClock
  readonly #listener: Listener
  readonly #open = new Map<number, Open>()
  tamper: Tamper = (bytes) => [{ bytes, afterMs: 0 }]
  /** Whether nodes hear that streams are left, and end them. */
  tellsEnds = true
  /** Streams that were opened. */
  opened = 0

  constructor(inner: Cluster, clock: FakeClock, listener: Listener) {
    this.#inner = inner
    this.#clock = clock
    this.#listener = listener
  }

  get streams(): readonly number[] {
    return [...this.#open.keys()]
  }

  open(path: string, events: StreamEvents): UpstreamStream | undefined {
    const stream = ++this.opened
    const upstream = this.#inner.open(path, {
      ...events,
      message: (bytes) => {
        for (const changed of this.tamper(Buffer.from(bytes))) {
          if (changed.afterMs === 0) this.#deliver(stream, changed.bytes)
          else this.#clock.after(changed.afterMs, () => this.send(stream, changed.bytes))
        }
      },
      closed: (status, message) => {
        if (!this.#open.has(stream)) return
        this.#end(stream)
        events.closed(status, message)
      },
    })
    if (upstream === undefined) return undefined
    this.#open.set(stream, { upstream, events })
    return {
      send: (message, isLast) => {
        for (const { id, check } of checksOf(message)) this.#listener.asked(stream, id, check)
        if (this.tellsEnds || !isLast) upstream.send(message, isLast)
      },
      reset: () => {
        this.#end(stream)
        upstream.reset()
      },
    }
  }

  call(...given: Parameters<Cluster['call']>): (() => void) | undefined {
    return this.#inner.call(...given)
  }

  /** Something arrives that no node has sent. */
  send(stream: number, bytes: Uint8Array): void {
    this.#open.get(stream)?.events.later(() => this.#deliver(stream, bytes))
  }

  /** A stream ends, with any status. */
  close(stream: number, status: number): void {
    const known = this.#open.get(stream)
    if (known === undefined) return
    this.#end(stream)
    known.upstream.reset()
    known.events.later(() => known.events.closed(status, 'gone'))
  }

  #deliver(stream: number, bytes: Uint8Array): void {
    const known = this.#open.get(stream)
    if (known === undefined) return
    this.#listener.delivered(stream, bytes)
    known.events.message(bytes)
  }

  #end(stream: number): void {
    if (this.#open.delete(stream)) this.#listener.over(stream)
  }
}

const CHECKS = (4 << 3) | 2

/** The checks of intermix.v1.CheckBatch, with their ids. */
function checksOf(message: Uint8Array): readonly { readonly id: number; readonly check: Buffer }[] {
  const reader = new WireReader(message)
  const checks: { id: number; check: Buffer }[] = []
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag !== CHECKS) {
      reader.skip(tag)
      continue
    }
    const end = reader.enter()
    const check = Buffer.from(reader.bytes.subarray(reader.pos, end))
    const inner = new WireReader(check)
    checks.push({ id: inner.tag() === 1 << 3 ? inner.varint32() >>> 0 : 0, check })
    reader.pos = end
  }
  return checks
}
