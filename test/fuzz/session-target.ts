// Fuzzes the client's side of a connection, from the octets that it reads to those that it writes and what it tells of calls.

import { Http2Session } from '../../src/client/nodes/http2-session.ts'
import type { Http2Stream } from '../../src/client/nodes/http2-stream.ts'
import type { Clock } from '../../src/kernel/ports.ts'
import type { Field } from '../../src/wire/http2/hpack/hpack-error.ts'
import { HpackDecoder } from '../../src/wire/http2/hpack/decoder.ts'
import { Flag, type Frame, FrameReader, FrameType, PREFACE, Setting } from '../helpers/http2/frames.ts'
import { hostileAnswers, STREAMS } from './answer-sequences.ts'
import { Refused, type Target } from './target.ts'
import { createWire } from './wire.ts'

const DEFAULT_WINDOW = 65_535
const MAX_FRAME_BYTES = 16_384
const MAX_CHUNK_BYTES = 300
const FIELDS: readonly Field[] = [
  [':method', 'POST'],
  [':path', '/fuzz.Test/Echo'],
]
const STILL: Clock = {
  now: () => 0,
  monotonic: () => 0,
  attentive: () => 0,
  after: () => () => undefined,
  turn: () => () => undefined,
}

type State = 'asked' | 'begun' | 'trailers' | 'over'

/** A call, and what it was told. */
class Call {
  readonly stream: Http2Stream
  readonly #fault: (what: string) => void
  #state: State = 'asked'

  constructor(session: Http2Session, fault: (what: string) => void) {
    this.#fault = fault
    this.stream = session.request(FIELDS, {
      headers: (said) => {
        if (said.has(':status')) this.#go(['asked'], 'begun')
        else this.#go(['begun'], 'trailers')
      },
      data: () => this.#go(['begun'], 'begun'),
      ended: () => this.#go(['begun', 'trailers'], 'over'),
      failed: () => this.#go(['asked', 'begun'], 'over'),
    })
  }

  /** Nothing may be told any more. */
  takeBack(): void {
    this.#state = 'over'
    this.stream.reset(8)
  }

  #go(from: readonly State[], to: State): void {
    if (!from.includes(this.#state)) this.#fault(`a call that is ${this.#state} is told that it is ${to}`)
    this.#state = to
  }
}

/** The most that may be sent by what the server has said, in whichever order: of all streams (0), and of each. */
function windowsOf(input: Buffer): (stream: number) => number {
  const given = new Map<number, number>([[0, DEFAULT_WINDOW]])
  let initial = DEFAULT_WINDOW
  for (const { type, flags, stream, payload } of new FrameReader().read(input)) {
    if (type === FrameType.WINDOW_UPDATE && payload.length === 4)
      given.set(stream, (given.get(stream) ?? 0) + (payload.readUInt32BE() & 0x7fff_ffff))
    if (type !== FrameType.SETTINGS || (flags & Flag.ACK) !== 0) continue
    for (let at = 0; at + 6 <= payload.length; at += 6)
      if (payload.readUInt16BE(at) === Setting.INITIAL_WINDOW_SIZE)
        initial = Math.max(initial, payload.readUInt32BE(at + 2))
  }
  return (stream) => (given.get(stream) ?? 0) + (stream === 0 ? 0 : initial)
}

/** What was sent must be HTTP/2, within the server's windows, and nothing of a stream behind its end. */
function judge(input: Buffer, output: readonly Frame[]): void {
  const windows = windowsOf(input)
  const sent = new Map<number, number>()
  const over = new Set<number>()
  const decoder = new HpackDecoder({ maxTableBytes: 4096, maxListBytes: 1 << 16 })
  let lastBegun = -1
  for (const { type, flags, stream, payload } of output) {
    if (payload.length > MAX_FRAME_BYTES) throw new TypeError(`a frame of ${payload.length} octets`)
    if (type === FrameType.HEADERS) {
      if (stream !== lastBegun + 2) throw new TypeError(`stream ${stream} begins behind ${lastBegun}`)
      lastBegun = stream
      decoder.decode(payload, 0, payload.length, { field() {} })
    }
    if (stream > Math.max(0, lastBegun)) throw new TypeError(`a frame of stream ${stream}, which was not begun`)
    if (over.has(stream) && (type === FrameType.DATA || type === FrameType.HEADERS))
      throw new TypeError(`frames behind the end of stream ${stream}`)
    if (type === FrameType.RST_STREAM) over.add(stream)
    if (type !== FrameType.DATA) continue
    if ((flags & Flag.END_STREAM) !== 0) over.add(stream)
    for (const window of [0, stream]) {
      sent.set(window, (sent.get(window) ?? 0) + payload.length)
      if ((sent.get(window) ?? 0) > windows(window)) throw new TypeError(`more than the window of ${window}`)
    }
  }
}

/** Does something of its own between what it reads. @returns whether to begin another call */
function act(session: Http2Session, calls: readonly Call[], choice: number): boolean {
  const call = calls[choice % calls.length]
  if (choice % 5 === 0) call?.takeBack()
  else if (choice % 5 === 1) call?.stream.write(Buffer.alloc(choice % 3_000))
  else if (choice % 5 === 2) call?.stream.end()
  return choice % 5 > 2 && !session.isClosed && calls.length < 2 * STREAMS
}

function run(input: Buffer): void {
  const { socket, wire } = createWire()
  const faults: string[] = []
  const fault = (what: string) => void faults.push(what)
  let losses = 0
  const lost = (cause: unknown) => {
    losses++
    if (cause instanceof TypeError || cause instanceof RangeError) fault(String(cause))
  }
  const session = new Http2Session(socket, { settled() {}, lost }, STILL)
  const calls = Array.from({ length: STREAMS }, () => new Call(session, fault))
  for (const [at, { stream }] of calls.entries()) {
    if (at % 2 === 0) stream.end(Buffer.alloc(at * 5_000))
    else stream.write(Buffer.alloc(at * 3_000))
  }
  const out = new FrameReader()
  const frames = out.read(wire.take().subarray(PREFACE.length))
  let at = 0
  for (let chunk = 1 + (input.length % 7); at < input.length; chunk = (chunk * 31 + 7) % MAX_CHUNK_BYTES) {
    wire.emit('data', Buffer.from(input.subarray(at, at + 1 + chunk)))
    at += 1 + chunk
    if (losses === 0 && act(session, calls, chunk)) calls.push(new Call(session, fault))
    frames.push(...out.read(wire.take()))
  }
  const wasLost = losses > 0
  wire.destroy()
  if (faults.length > 0) throw new TypeError(faults[0])
  if (losses !== 1) throw new TypeError(`lost ${losses} times`)
  judge(input, frames)
  if (wasLost) throw new Refused()
}

export const SESSION_TARGET: Target = {
  name: 'session',
  generate: hostileAnswers,
  run: (input) => run(Buffer.from(input)),
}
