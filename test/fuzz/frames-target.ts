// Fuzzes a whole connection of the native transport, from the octets that it reads to those that it writes.

import type { Clock } from '../../src/kernel/ports.ts'
import { Flag, type Frame, FrameReader, FrameType, PREFACE, Setting } from '../helpers/http2/frames.ts'
import { Admission } from '../../src/server/admission.ts'
import type { GrpcService } from '../../src/server/grpc-service.ts'
import { Connection } from '../../src/server/http2/connection.ts'
import { TIMES } from '../../src/server/http2/connection-care.ts'
import { HpackDecoder } from '../../src/wire/http2/hpack/decoder.ts'
import { MemoryBudget } from '../../src/wire/http2/memory-budget.ts'
import { HeadReader } from '../../src/server/http2/request-head.ts'
import { routesOf } from '../../src/server/http2/routes.ts'
import { createMeter } from '../../src/observe/meter.ts'
import { LineLog } from '../server/admission-support.ts'
import { hostileFrames, PATHS } from './frame-sequences.ts'
import { Refused, type Target } from './target.ts'
import { createWire } from './wire.ts'

const MAX_FRAME_BYTES = 16_384
const DEFAULT_WINDOW = 65_535
const MAX_CHUNK_BYTES = 400

const SERVICE: GrpcService = {
  name: 'fuzz.Test',
  methods: [
    { kind: 'unary', path: PATHS.echo, answer: (request) => Buffer.from(request) },
    // More than a frame, and soon more than the window of the connection.
    { kind: 'unary', path: PATHS.large, answer: () => Buffer.alloc(60_000) },
    // Ends when the connection has gone long ago.
    { kind: 'unary', path: PATHS.later, answer: (request) => Promise.resolve(Buffer.from(request)) },
    {
      kind: 'stream',
      path: PATHS.chat,
      open: (stream) => ({
        message(bytes) {
          if (!stream.write(bytes)) stream.pause()
        },
        drained: () => stream.resume(),
        halfClosed: () => stream.end(),
        closed() {},
      }),
    },
  ],
}

/** A clock of which all timers ring at once. */
class RingingClock implements Clock {
  readonly #timers = new Set<() => void>()

  now(): number {
    return 1_000_000
  }

  monotonic(): number {
    return 1_000
  }

  attentive(): number {
    return 1_000
  }

  after(_ms: number, callback: () => void): () => void {
    const timer = () => callback()
    this.#timers.add(timer)
    return () => void this.#timers.delete(timer)
  }

  turn(callback: () => void): () => void {
    return this.after(0, callback)
  }

  /** @returns how many were set meanwhile. */
  ring(): number {
    const due = [...this.#timers]
    this.#timers.clear()
    for (const timer of due) timer()
    return this.#timers.size
  }
}

const clock = new RingingClock()
const meter = createMeter({ processMetrics: false })
const log = new LineLog()
const admission = new Admission({ clock, log, meter, loopLag: { lagMs: () => 0 }, maxInFlight: 1_000 })
const heads = new HeadReader(routesOf([SERVICE], admission))
const budget = new MemoryBudget(1 << 22)
const unsentBudget = new MemoryBudget(1 << 22)

/** The most that a server may send by what a client has said, in whichever order: of all streams (0), and of each. */
function windowsOf(input: Uint8Array): (stream: number) => number {
  const given = new Map<number, number>([[0, DEFAULT_WINDOW]])
  let current = DEFAULT_WINDOW
  // No stream begins before the first SETTINGS.
  let initial = 0
  for (const { type, flags, stream, payload } of new FrameReader().read(Buffer.from(input.subarray(PREFACE.length)))) {
    if (type === FrameType.WINDOW_UPDATE && payload.length === 4)
      given.set(stream, (given.get(stream) ?? 0) + (payload.readUInt32BE() & 0x7fff_ffff))
    if (type !== FrameType.SETTINGS || flags === Flag.ACK) continue
    for (let at = 0; at + 6 <= payload.length; at += 6)
      if (payload.readUInt16BE(at) === Setting.INITIAL_WINDOW_SIZE) current = payload.readUInt32BE(at + 2)
    initial = Math.max(initial, current)
  }
  return (stream) => (given.get(stream) ?? 0) + (stream === 0 ? 0 : initial)
}

/** What came back must be HTTP/2, within the client's windows, and nothing after the end of a stream. */
function judge(input: Uint8Array, output: readonly Frame[]): 'well' | 'ended' {
  const windows = windowsOf(input)
  const sent = new Map<number, number>()
  const over = new Set<number>()
  const decoder = new HpackDecoder({ maxTableBytes: 4096, maxListBytes: 1 << 16 })
  let result: 'well' | 'ended' = 'well'
  for (const { type, flags, stream, payload } of output) {
    if (payload.length > MAX_FRAME_BYTES) throw new TypeError(`a frame of ${payload.length} octets`)
    if (type === FrameType.HEADERS) decoder.decode(payload, 0, payload.length, { field() {} })
    if (type === FrameType.GOAWAY && payload.readUInt32BE(4) !== 0) result = 'ended'
    if (type === FrameType.RST_STREAM) over.add(stream)
    if (type !== FrameType.DATA && type !== FrameType.HEADERS) continue
    if (stream === 0 || stream % 2 === 0) throw new TypeError(`an answer on stream ${stream}`)
    if (over.has(stream)) throw new TypeError(`frames behind the end of stream ${stream}`)
    if ((flags & 1) !== 0) over.add(stream)
    if (type === FrameType.DATA)
      for (const window of [0, stream]) {
        sent.set(window, (sent.get(window) ?? 0) + payload.length)
        if ((sent.get(window) ?? 0) > windows(window)) throw new TypeError(`more than the window of ${window}`)
      }
  }
  return result
}

function run(input: Uint8Array): void {
  let fault: unknown
  let ends = 0
  const { socket, wire } = createWire()
  const connection = new Connection(socket, {
    clock,
    random: () => 0.5,
    limits: {
      clock,
      maxMessageBytes: 1 << 16,
      budgetBytes: 1 << 18,
      onFault: (caught) => (fault = caught),
      onRefused() {},
    },
    budget,
    unsentBudget,
    mostCalls: () => 256,
    heads,
    times: TIMES,
    maxConcurrentStreams: 8,
    defaultTimeoutMs: 1_000,
    waitedMs: () => 0,
    countReset() {},
    onClose: () => ends++,
  })
  const out = new FrameReader()
  const frames: Frame[] = []
  let at = 0
  for (let chunk = 1 + (input.length % 7); at < input.length; chunk = (chunk * 31 + 7) % MAX_CHUNK_BYTES) {
    wire.emit('data', Buffer.from(input.subarray(at, at + 1 + chunk)))
    at += 1 + chunk
    connection.output.endTurn()
    frames.push(...out.read(wire.take()))
  }
  for (const later of [1_000, 40_000, 80_000]) connection.check(clock.monotonic() + later)
  connection.output.flush()
  frames.push(...out.read(wire.take()))
  connection.destroy('peer')
  if (clock.ring() > 0) throw new TypeError('a timer is set for what has ended')
  if (fault !== undefined) throw new TypeError('a fault of ours', { cause: fault })
  if (ends !== 1) throw new TypeError(`closed ${ends} times`)
  const counted = budget.used + unsentBudget.used
  if (counted !== 0) throw new TypeError(`${counted} octets are still counted`)
  if (judge(input, frames) === 'ended') throw new Refused()
}

export const FRAMES_TARGET: Target = {
  name: 'frames',
  generate: hostileFrames,
  run: (input) => run(Buffer.from(input)),
}
