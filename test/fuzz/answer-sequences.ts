// Sequences of HTTP/2 frames that come near to what a client expects of a server, and from there go wrong.

import * as frames from '../helpers/http2/frames.ts'
import { ErrorCode, Flag, frame, FrameType, Setting } from '../helpers/http2/frames.ts'
import { fields, HEAD, OK } from '../helpers/http2/frame-server.ts'
import { hostileBytes } from './mutate.ts'

type Random = () => number

/** Streams of the client, all of which may be answered. */
export const STREAMS = 8
const EDGES = [0, 1, 2, 9, 255, 16_384, 65_535, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff]

const below = (random: Random, limit: number) => Math.floor(random() * limit)
const pick = <T>(random: Random, list: readonly T[]): T => list[below(random, list.length)] as T
const number = (random: Random, limit: number) => (random() < 0.95 ? below(random, limit) : pick(random, EDGES))

/** What answers begin with, mostly; what fills the table of headers, names what it holds, or changes its size. */
function head(random: Random, stream: number): Buffer {
  const kind = random()
  const ends = random() < 0.1 ? Flag.END_STREAM : 0
  if (kind < 0.7) return fields(stream, HEAD, ends)
  if (kind < 0.8) return fields(stream, [[':status', pick(random, ['100', '103', '204', '503', 'x'])]], ends)
  const block = pick(random, [
    [0x88, 0x40, 1, 0x61, 1, 0x62],
    [0x88, 0xbe],
    [0x20, 0x88],
    [0x3f, 0xe1, 0x1f, 0x88],
    [0x80],
  ])
  return frames.headers(stream, Buffer.from(block), Flag.END_HEADERS | ends)
}

function body(random: Random, stream: number): Buffer {
  const payload = Buffer.alloc(below(random, random() < 0.05 ? 16_385 : 60), 1)
  if (random() < 0.9) return frames.data(stream, payload, random() < 0.1 ? Flag.END_STREAM : 0)
  const padded = Buffer.concat([Buffer.of(random() < 0.05 ? 255 : 3), payload, Buffer.alloc(3)])
  return frames.data(stream, padded, Flag.PADDED)
}

/** A header block in two frames, or half of one. */
function split(random: Random, stream: number): Buffer {
  const block = Buffer.from([0x88, 0x00, 1, 0x61, 1, 0x62])
  const at = below(random, block.length)
  const rest = frames.continuation(stream, block.subarray(at), random() < 0.9 ? Flag.END_HEADERS : 0)
  return Buffer.concat([frames.headers(stream, block.subarray(0, at), 0), rest])
}

function goAway(random: Random): Buffer {
  const payload = Buffer.alloc(8)
  payload.writeUInt32BE(number(random, 2 * STREAMS))
  payload.writeUInt32BE(random() < 0.8 ? 0 : 2, 4)
  return frame(FrameType.GOAWAY, { payload })
}

function anything(random: Random, stream: number): Buffer {
  const payload = Buffer.alloc(below(random, 12), below(random, 256))
  return frame(random() < 0.7 ? 12 : below(random, 12), { stream, flags: below(random, 256), payload })
}

const FRAMES: readonly (readonly [weight: number, make: (random: Random, stream: number) => Buffer])[] = [
  [8, head],
  [12, body],
  [6, (_, stream) => fields(stream, OK, Flag.END_STREAM)],
  [1, split],
  [2, (random, stream) => frames.resetStream(stream, pick(random, Object.values(ErrorCode)))],
  [4, (random, stream) => frames.windowUpdate(random() < 0.3 ? 0 : stream, number(random, 30_000))],
  [2, (random) => frames.settings([[Setting.INITIAL_WINDOW_SIZE, below(random, 30_000)]])],
  [1, (random) => frames.settings([[Setting.MAX_CONCURRENT_STREAMS, below(random, 6)]])],
  [0.5, (random) => frames.settings([[pick(random, Object.values(Setting)), number(random, 70_000)]])],
  [1, (random) => frames.ping('draining', pick(random, [0, Flag.ACK]))],
  [0.2, goAway],
  [0.3, anything],
]
const ALL_WEIGHTS = FRAMES.reduce((sum, [weight]) => sum + weight, 0)

function anyFrame(random: Random): Buffer {
  const stream = random() < 0.995 ? 1 + 2 * below(random, STREAMS) : pick(random, EDGES)
  let left = random() * ALL_WEIGHTS
  const [, make] = FRAMES.find(([weight]) => (left -= weight) < 0) ?? [0, goAway]
  return make(random, stream)
}

/** What a server says over a connection: a greeting, and some frames. One in five is changed without knowledge of frames. */
export function hostileAnswers(random: Random): Buffer {
  const parts = [frames.settings(random() < 0.5 ? [] : [[Setting.INITIAL_WINDOW_SIZE, below(random, 100)]])]
  for (let count = 1 + below(random, 40); count > 0; count--) parts.push(anyFrame(random))
  const bytes = Buffer.concat(parts)
  return random() < 0.8 ? bytes : hostileBytes([bytes], random)
}
