// Sequences of HTTP/2 frames that come near to what a server expects, and from there go wrong.

import { huffmanEncode } from '../wire/http2/hpack/huffman-encode.ts'
import { FrameClient } from '../helpers/http2/frame-client.ts'
import * as frames from '../helpers/http2/frames.ts'
import { ErrorCode, Flag, frame, FrameType, Setting } from '../helpers/http2/frames.ts'
import { hostileBytes } from './mutate.ts'

type Random = () => number

export const PATHS = {
  echo: '/fuzz.Test/Echo',
  large: '/fuzz.Test/Large',
  later: '/fuzz.Test/Later',
  chat: '/fuzz.Test/Chat',
} as const

const METHODS = [...Object.values(PATHS), '/fuzz.Test/None']
const EDGES = [0, 1, 2, 5, 9, 255, 16_383, 16_384, 16_385, 65_535, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff]

/** `x: y`, which changes no table. */
const TRAILERS = Buffer.from([0x00, 0x01, 0x78, 0x01, 0x79])

function below(random: Random, limit: number): number {
  return Math.floor(random() * limit)
}

function pick<T>(random: Random, list: readonly T[]): T {
  return list[below(random, list.length)] as T
}

function header(random: Random): Buffer {
  const kind = random()
  const path = pick(random, METHODS)
  if (kind < 0.6) return FrameClient.callHeaders(path)
  if (kind < 0.7) return FrameClient.callHeaders(path, [['grpc-timeout', pick(random, ['1m', '0n', '99999999H', 'x'])]])
  if (kind < 0.75) return FrameClient.callHeaders(path, [['grpc-encoding', pick(random, ['gzip', 'deflate', 'br'])]])
  if (kind < 0.8) return FrameClient.callHeaders(path, [['content-length', pick(random, ['0', '7', '-1', '1e9'])]])
  if (kind < 0.85)
    return FrameClient.callHeaders(path, [[pick(random, [':method', 'te', 'content-type', 'Upper']), 'GET']])
  // Fills the dynamic table, names what it holds, or changes its size.
  const coded = huffmanEncode(Buffer.from(path))
  if (kind < 0.9) return Buffer.concat([Buffer.from([0x44, 0x80 | coded.length]), coded])
  if (kind < 0.92) return Buffer.from([0x83, 0x86, 0x80 | (62 + below(random, 2))])
  if (kind < 0.99)
    return Buffer.concat([Buffer.from(pick(random, [[0x20], [0x3f, 0xe1, 0x1f], []])), FrameClient.callHeaders(path)])
  return Buffer.from(pick(random, [[0x3f, 0xe1, 0x7f], [0xff, 0xff, 0xff], []]))
}

function message(random: Random): Buffer {
  const kind = random()
  const whole = frames.grpcMessage(
    Buffer.alloc(below(random, random() < 0.1 ? 9_000 : 40), 0x61),
    random() < 0.9 ? 0 : 1,
  )
  if (kind < 0.6) return whole
  if (kind < 0.8) return whole.subarray(0, below(random, whole.length))
  if (kind < 0.9) return Buffer.concat([whole, whole])
  return Buffer.concat([Buffer.from([below(random, 3)]), Buffer.from('7fffffff', 'hex'), whole])
}

function padded(payload: Buffer, random: Random): { payload: Buffer; flags: number } {
  if (random() < 0.9) return { payload, flags: 0 }
  const padding = below(random, 20)
  const wrong = random() < 0.03 ? 200 : padding
  return { payload: Buffer.concat([Buffer.from([wrong]), payload, Buffer.alloc(padding)]), flags: Flag.PADDED }
}

function newCall(random: Random, streams: Streams): Buffer {
  const stream = streams.next
  streams.next += 2
  const { payload, flags } = padded(header(random), random)
  const ends = random() < 0.2 ? Flag.END_STREAM : 0
  if (ends === 0) streams.open.add(stream)
  if (random() < 0.9) return frames.headers(stream, payload, flags | ends | Flag.END_HEADERS)
  const cut = below(random, payload.length)
  const rest = frames.continuation(stream, payload.subarray(cut), random() < 0.97 ? Flag.END_HEADERS : 0)
  return Buffer.concat([frames.headers(stream, payload.subarray(0, cut), flags | ends), rest])
}

/** What the client may still send on. */
interface Streams {
  next: number
  readonly open: Set<number>
}

/** The number of a stream that was begun; seldom one whose client has ended it, or nonsense. */
function begun(random: Random, { next, open }: Streams): number {
  const kind = random()
  if (kind < 0.9 && open.size > 0) return pick(random, [...open])
  return kind < 0.99 ? 1 + 2 * below(random, (next - 1) / 2) : pick(random, EDGES)
}

type Make = (random: Random, stream: number, streams: Streams) => Buffer

/** How often each comes beside the others. */
const FRAMES: readonly (readonly [weight: number, make: Make])[] = [
  [
    12,
    function dataFrame(random, stream, { open }) {
      const { payload, flags } = padded(message(random), random)
      const ends = random() < 0.5
      if (ends) open.delete(stream)
      return frames.data(stream, payload, flags | (ends ? Flag.END_STREAM : 0))
    },
  ],
  [
    1,
    function trailers(random, stream, { open }) {
      open.delete(stream)
      return frames.headers(stream, TRAILERS, Flag.END_HEADERS | (random() < 0.8 ? Flag.END_STREAM : 0))
    },
  ],
  [
    0.3,
    function secondHeaders(random, stream, { open }) {
      open.delete(stream)
      return frames.headers(stream, header(random), Flag.END_HEADERS | Flag.END_STREAM)
    },
  ],
  [2, (random, stream) => frames.windowUpdate(random() < 0.3 ? 0 : stream, number(random, 70_000))],
  [
    2,
    function reset(random, stream, { open }) {
      open.delete(stream)
      return frames.resetStream(stream, pick(random, Object.values(ErrorCode)))
    },
  ],
  [1.5, (random) => frames.settings([[Setting.INITIAL_WINDOW_SIZE, below(random, 100_000)]])],
  [0.3, (random) => frames.settings([[pick(random, Object.values(Setting)), number(random, 70_000)]])],
  [0.5, () => frames.settingsAck()],
  [0.5, (random) => frames.ping('draining', pick(random, [0, Flag.ACK]))],
  [1, (random, stream) => frame(FrameType.PRIORITY, { stream, payload: Buffer.alloc(random() < 0.95 ? 5 : 4) })],
  [0.2, () => frame(FrameType.GOAWAY, { payload: Buffer.alloc(8) })],
  [
    0.5,
    function anything(random, stream) {
      const payload = Buffer.alloc(below(random, 12), below(random, 256))
      return frame(random() < 0.7 ? 12 : below(random, 12), { stream, flags: below(random, 256), payload })
    },
  ],
]
const ALL_WEIGHTS = FRAMES.reduce((sum, [weight]) => sum + weight, 0)

function number(random: Random, limit: number): number {
  return random() < 0.95 ? below(random, limit) : pick(random, EDGES)
}

function anyFrame(random: Random, streams: Streams): Buffer {
  if (streams.next === 1 || random() < 0.25) return newCall(random, streams)
  let left = random() * ALL_WEIGHTS
  const [, make] = FRAMES.find(([weight]) => (left -= weight) < 0) ?? [0, () => frames.settingsAck()]
  return make(random, begun(random, streams), streams)
}

/** The octets of a connection: a greeting, and some frames. One in five is changed without knowledge of frames. */
export function hostileFrames(random: Random): Buffer {
  const streams: Streams = { next: 1, open: new Set() }
  const first =
    random() < 0.5 ? frames.settings() : frames.settings([[Setting.INITIAL_WINDOW_SIZE, below(random, 100)]])
  const parts = [frames.PREFACE, first]
  for (let count = 1 + below(random, 25); count > 0; count--) parts.push(anyFrame(random, streams))
  const bytes = Buffer.concat(parts)
  return random() < 0.8 ? bytes : hostileBytes([bytes], random)
}
