// Calls before servers that answer as no node does: what is wrong with one answer is its own, what is wrong with a connection ends
// that one alone, and what is merely odd is taken.
import { afterEach, describe, expect, it } from 'vitest'
import { NodeLink } from '../../../src/client/nodes/node-link.ts'
import { systemClock } from '../../../src/kernel/system-clock.ts'
import { encodeFields } from '../../../src/wire/http2/hpack/encode-fields.ts'
import * as frames from '../../helpers/http2/frames.ts'
import { answer, fields, type FramePeer, FrameServer, HEAD, OK } from '../../helpers/http2/frame-server.ts'

const { data, ErrorCode, Flag, frame, FrameType, grpcMessage, headers, Setting, settings, windowUpdate } = frames
const METHOD = '/test.Echo/Say'
const BYTES = Buffer.from('abc')
const LARGEST = 0x7fff_ffff
const MESSAGE = grpcMessage(BYTES)

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
})

/** What is sent of an answer to the stream of the first call; every later one is answered well. */
type Say = (stream: number) => readonly Buffer[]

const OPTIONS = { clock: systemClock, random: () => 0, connectTimeoutMs: 5_000, onLeaving: () => undefined }

async function linked(say: Say) {
  let asked = 0
  const server = await FrameServer.start({
    take(peer, { type, stream }) {
      if (type !== FrameType.HEADERS || stream === 1) return
      peer.send(...(asked++ === 0 ? say(stream) : [answer(stream, BYTES)]))
    },
  })
  ends.push(() => server.close())
  const { address } = server
  const refused: Error[] = []
  const onRefused = (error: Error) => void refused.push(error)
  const link = new NodeLink({ ...OPTIONS, address, onRefused })
  ends.push(() => link[Symbol.dispose]())
  return { link, server, refused, ask: async () => Buffer.from(await link.call(METHOD, BYTES, 5_000)).toString() }
}

/** Why a call failed, for people. */
async function whyOf(call: Promise<unknown>): Promise<string> {
  try {
    return `answered: ${String(await call)}`
  } catch (error) {
    const { message, cause } = error as Error
    return `${message} (${(cause as Error | undefined)?.message})`
  }
}

const last = (stream: number, of: Parameters<typeof fields>[1]) => fields(stream, of, Flag.END_STREAM)
const uint = (...values: readonly number[]) => {
  const bytes = Buffer.alloc(values.length * 4)
  for (const [at, value] of values.entries()) bytes.writeUInt32BE(value, at * 4)
  return bytes
}
/** A block as it is, whatever it says. */
const block = (stream: number, octets: readonly number[]) => headers(stream, Buffer.from(octets))
const begun = (stream: number) => [fields(stream, HEAD), data(stream, MESSAGE, 0)]
/** More than anybody needs. */
const many = (each: Buffer) => Array.from({ length: 3_000 }, () => each)
/** A literal that is new, not indexed. */
const literal = (name: string, value: string) => [
  0,
  name.length,
  ...Buffer.from(name),
  value.length,
  ...Buffer.from(value),
]

describe('a call, where its answer is wrong', () => {
  it.each<[string, RegExp, Say]>([
    ['has data before its headers', /begin with headers/, (id) => [data(id, MESSAGE, 0), last(id, OK)]],
    ['does not end with its trailers', /headers are malformed/, (id) => [...begun(id), fields(id, OK)]],
    ['has two statuses', /malformed/, (id) => [fields(id, [[':status', '200'], ...HEAD])]],
    ['says its status late', /malformed/, (id) => [fields(id, HEAD.toReversed())]],
    ['says what only requests do', /malformed/, (id) => [fields(id, [...HEAD, [':path', '/']])]],
    ['has no status', /malformed/, (id) => [last(id, OK)]],
    ['has a status that is none', /malformed/, (id) => [last(id, [[':status', '20']])]],
    ['ends on the way', /malformed/, (id) => [last(id, [[':status', '103']])]],
    ['has a status at its end', /malformed/, (id) => [...begun(id), last(id, [...HEAD, ...OK])]],
    ['has a name in capitals', /malformed/, (id) => [block(id, [0x88, ...literal('A', 'b')])]],
    ['has a line end in a value', /malformed/, (id) => [block(id, [0x88, ...literal('a', 'b\r\nc')])]],
    ['has too many headers', /too many/, (id) => long(id)],
    ['gets room for nothing', /opened by nothing/, (id) => [windowUpdate(id, 0)]],
    ['gets too much room', /too large/, (id) => [windowUpdate(id, LARGEST)]],
    [
      'is no gRPC',
      /answers with text\/html/,
      (id) => [
        fields(id, [
          [':status', '200'],
          ['content-type', 'text/html'],
        ]),
      ],
    ],
    ['is of a proxy', /HTTP status 503/, (id) => [last(id, [[':status', '503']])]],
    ['has no status of gRPC', /call was ended/, (id) => [...begun(id), last(id, [['a', 'b']])]],
    ['ends with its data', /call was ended/, (id) => [fields(id, HEAD), data(id, MESSAGE)]],
    ['says nothing', /no whole message/, (id) => [last(id, [...HEAD, ...OK])]],
    ['says it twice', /two messages/, (id) => [...begun(id), data(id, MESSAGE, 0), last(id, OK)]],
    ['is cut off', /no whole message/, (id) => [...begun(id), data(id, MESSAGE.subarray(0, 6), 0), last(id, OK)]],
    ['is compressed', /compressed/, (id) => [fields(id, HEAD), data(id, grpcMessage(BYTES, 1), 0), last(id, OK)]],
    [
      'lies about its length',
      /4294967295 bytes/,
      (id) => [fields(id, HEAD), data(id, Buffer.alloc(5, 0xff).fill(0, 0, 1), 0)],
    ],
    ['has a status that is no number', /UNKNOWN/, (id) => [last(id, [...HEAD, ['grpc-status', 'x']])]],
    [
      'has details that are not encoded',
      /^50 % \(/,
      (id) => [last(id, [...HEAD, ['grpc-status', '5'], ['grpc-message', '50 %']])],
    ],
    ['is reset', /reset the stream \(11\)/, (id) => [frames.resetStream(id, 11)]],
  ])('that %s, fails, and its connection goes on', async (_, why, say) => {
    const { ask, server, link } = await linked(say)
    expect(await whyOf(ask())).toMatch(why)
    expect(await ask()).toBe('abc')
    expect([link.waiting, server.peers.length]).toEqual([0, 1])
  })

  it('leaves no stream behind: the node takes two at once', async () => {
    const server = await FrameServer.start({
      open: (peer) => peer.send(settings([[Setting.MAX_CONCURRENT_STREAMS, 2]])),
      take(peer, { type, stream }) {
        if (type === FrameType.HEADERS && stream > 1) peer.send(...begun(stream), fields(stream, OK))
      },
    })
    ends.push(() => server.close())
    const { address } = server
    const link = new NodeLink({ ...OPTIONS, address })
    ends.push(() => link[Symbol.dispose]())
    for (let i = 0; i < 5; i++) expect(await whyOf(link.call(METHOD, BYTES, 2_000))).toMatch(/malformed/)
  })
})

/** A header block of 80 KB, in frames. */
function long(stream: number): Buffer[] {
  const whole = encodeFields([...HEAD, ...Array.from({ length: 20 }, (_, i) => [`x-${i}`, 'a'.repeat(4_000)] as const)])
  const parts = Array.from({ length: Math.ceil(whole.length / 16_384) }, (_, i) =>
    whole.subarray(i * 16_384, (i + 1) * 16_384),
  )
  return parts.map((part, i) => {
    const flags = i === parts.length - 1 ? Flag.END_HEADERS : 0
    return i === 0 ? headers(stream, part, flags) : frames.continuation(stream, part, flags)
  })
}

describe('a connection ends, and the next one serves, where it', () => {
  const { PROTOCOL_ERROR: BROKEN, FRAME_SIZE_ERROR: SIZE, FLOW_CONTROL_ERROR: FLOW } = ErrorCode
  const { COMPRESSION_ERROR: HPACK, ENHANCE_YOUR_CALM: CALM } = ErrorCode
  const of = (type: number, stream: number, bytes: number, flags = 0) =>
    frame(type, { stream, flags, payload: Buffer.alloc(bytes, 1) })
  it.each<[string, number, Say]>([
    ['has DATA of no stream', BROKEN, () => [data(0, MESSAGE)]],
    ['has HEADERS of no stream', BROKEN, () => [fields(0, HEAD)]],
    ['has PING of a stream', BROKEN, (id) => [of(FrameType.PING, id, 8)]],
    ['has SETTINGS of a stream', BROKEN, (id) => [of(FrameType.SETTINGS, id, 0)]],
    ['has GOAWAY of a stream', BROKEN, (id) => [of(FrameType.GOAWAY, id, 8)]],
    ['has RST_STREAM of no stream', BROKEN, () => [frames.resetStream(0)]],
    ['has a short RST_STREAM', SIZE, (id) => [of(FrameType.RST_STREAM, id, 3)]],
    ['has a short PING', SIZE, () => [of(FrameType.PING, 0, 7)]],
    ['has a short GOAWAY', SIZE, () => [of(FrameType.GOAWAY, 0, 7)]],
    ['has a long WINDOW_UPDATE', SIZE, (id) => [of(FrameType.WINDOW_UPDATE, id, 5)]],
    ['has a long PRIORITY', SIZE, (id) => [of(FrameType.PRIORITY, id, 6)]],
    ['has half a setting', SIZE, () => [of(FrameType.SETTINGS, 0, 7)]],
    ['has settings that are acknowledged', SIZE, () => [of(FrameType.SETTINGS, 0, 6, Flag.ACK)]],
    ['has a frame that is too long', SIZE, (id) => [of(FrameType.DATA, id, 16_385)]],
    ['says that a frame is 16 MiB', SIZE, (id) => [frame(FrameType.DATA, { stream: id, length: 0xff_ffff })]],
    [
      'pads more than there is',
      BROKEN,
      (id) => [
        fields(id, HEAD),
        frame(FrameType.DATA, { stream: id, flags: Flag.PADDED, payload: Buffer.of(3, 0, 0) }),
      ],
    ],
    ['pads nothing at all', BROKEN, (id) => [of(FrameType.HEADERS, id, 0, Flag.PADDED | Flag.END_HEADERS)]],
    [
      'has HEADERS too short for a priority',
      SIZE,
      (id) => [of(FrameType.HEADERS, id, 4, Flag.PRIORITY | Flag.END_HEADERS)],
    ],
    [
      'pushes',
      BROKEN,
      (id) => [
        frame(FrameType.PUSH_PROMISE, {
          stream: id,
          flags: Flag.END_HEADERS,
          payload: Buffer.concat([uint(2), encodeFields(HEAD)]),
        }),
      ],
    ],
    ['begins a stream itself', BROKEN, () => [fields(2, HEAD)]],
    ['answers what was not asked', BROKEN, (id) => [answer(id + 100, BYTES)]],
    ['sends data of what was not asked', BROKEN, (id) => [data(id + 100, MESSAGE)]],
    ['resets what was not asked', BROKEN, (id) => [frames.resetStream(id + 100)]],
    ['opens the window of what was not asked', BROKEN, (id) => [windowUpdate(id + 100, 1)]],
    ['opens its window by nothing', BROKEN, () => [windowUpdate(0, 0)]],
    ['opens its window too far', FLOW, () => [windowUpdate(0, LARGEST)]],
    ['has a first window that is too large', FLOW, () => [settings([[Setting.INITIAL_WINDOW_SIZE, 2 ** 31]])]],
    [
      'lets a window grow too large',
      FLOW,
      (id) => [windowUpdate(id, LARGEST - 65_535), settings([[Setting.INITIAL_WINDOW_SIZE, 70_000]])],
    ],
    ['has tiny frames', BROKEN, () => [settings([[Setting.MAX_FRAME_SIZE, 100]])]],
    ['is at odds about pushes', BROKEN, () => [settings([[Setting.ENABLE_PUSH, 2]])]],
    ['continues what was whole', BROKEN, (id) => [fields(id, HEAD), frames.continuation(id, Buffer.alloc(0))]],
    ['interrupts a header block', BROKEN, (id) => [headers(id, Buffer.of(0x88), 0), frames.ping()]],
    ['interrupts a header block by what is unknown', BROKEN, (id) => [headers(id, Buffer.of(0x88), 0), of(77, 0, 3)]],
    [
      'continues the header block of another stream',
      BROKEN,
      (id) => [headers(id, Buffer.of(0x88), 0), frames.continuation(1, Buffer.alloc(0))],
    ],
    [
      'continues a header block without end',
      CALM,
      (id) => [
        headers(id, Buffer.of(0x88), 0),
        ...Array.from({ length: 100 }, () => frames.continuation(id, Buffer.alloc(0))),
      ],
    ],
    [
      'has a header block that is too long',
      CALM,
      (id) => [
        headers(id, Buffer.of(0x88), 0),
        ...Array.from({ length: 9 }, () => frames.continuation(id, Buffer.alloc(16_384, 0x88))),
      ],
    ],
    ['PINGs without end', CALM, () => many(frames.ping())],
    [
      'acknowledges without end',
      CALM,
      () => [...many(frames.settingsAck()), ...many(frames.ping('8 octets', Flag.ACK))],
    ],
    ['changes its settings without end', CALM, () => many(settings([[Setting.INITIAL_WINDOW_SIZE, 65_535]]))],
    ['opens windows without end', CALM, (id) => many(windowUpdate(id, 1))],
    ['resets what has ended without end', CALM, (id) => [answer(id, BYTES), ...many(frames.resetStream(id))]],
    ['answers what has ended without end', CALM, (id) => [answer(id, BYTES), ...many(last(id, OK))]],
    ['sends no data without end', CALM, (id) => [fields(id, HEAD), ...many(data(id, Buffer.alloc(0), 0))]],
    ['says nothing on the way without end', CALM, (id) => many(fields(id, [[':status', '103']]))],
    ['has priorities without end', CALM, (id) => many(of(FrameType.PRIORITY, id, 5))],
    ['sends what is unknown without end', CALM, () => many(frame(99))],
    ['has a field of index 0', HPACK, (id) => [block(id, [0x80])]],
    ['has a field that no table has', HPACK, (id) => [block(id, [0xff, 0x10])]],
    ['has a table that is too large', HPACK, (id) => [block(id, [0x3f, 0xe2, 0x1f])]],
    ['changes its table in the midst', HPACK, (id) => [block(id, [0x88, 0x20])]],
    ['has an integer that is too large', HPACK, (id) => [block(id, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01])]],
    ['has a string without its end', HPACK, (id) => [block(id, [0x88, 0x00, 0x7f])]],
    [
      'has a string that is not Huffman-coded',
      HPACK,
      (id) => [block(id, [0x88, 0x00, 0x01, 0x61, 0x84, 0xff, 0xff, 0xff, 0xff])],
    ],
  ])('%s', async (_, code, say) => {
    const { ask, server, refused } = await linked(say)
    await Promise.allSettled([ask(), ask()])
    await expect.poll(() => goodbyeOf(server.peers[0])).toBe(code)
    await expect.poll(() => ask().catch(() => '')).toBe('abc')
    expect([server.peers.length, refused.length]).toEqual([2, 1])
  })

  const goodbyeOf = (peer: FramePeer | undefined) =>
    peer?.received.find(({ type }) => type === FrameType.GOAWAY)?.payload.readUInt32BE(4)
})

describe('a call, where its answer is odd', () => {
  const padded = (type: number, stream: number, payload: Buffer, flags: number) =>
    frame(type, {
      stream,
      flags: flags | Flag.PADDED,
      payload: Buffer.concat([Buffer.of(9), payload, Buffer.alloc(9, 7)]),
    })
  const reserved = (bytes: Buffer) => {
    const copy = Buffer.from(bytes)
    copy.writeUInt8(copy.readUInt8(5) | 0x80, 5)
    return copy
  }
  it.each<[string, Say]>([
    ['is whole', (id) => [answer(id, BYTES)]],
    [
      'has frames of unknown types in it',
      (id) => [
        fields(id, HEAD),
        frame(99, { stream: id, flags: 255, payload: BYTES }),
        data(id, MESSAGE, 0),
        frame(200),
        last(id, OK),
      ],
    ],
    [
      'is padded',
      (id) => [
        padded(FrameType.HEADERS, id, encodeFields(HEAD), Flag.END_HEADERS),
        padded(FrameType.DATA, id, MESSAGE, 0),
        padded(FrameType.DATA, id, Buffer.alloc(0), 0),
        padded(FrameType.HEADERS, id, encodeFields(OK), Flag.END_HEADERS | Flag.END_STREAM),
      ],
    ],
    [
      'has a priority',
      (id) => [
        headers(id, Buffer.concat([uint(0), Buffer.of(1), encodeFields(HEAD)]), Flag.END_HEADERS | Flag.PRIORITY),
        frame(FrameType.PRIORITY, { stream: id + 100, payload: Buffer.alloc(5) }),
        data(id, MESSAGE, 0),
        last(id, OK),
      ],
    ],
    [
      'has its headers in many frames',
      (id) => [...bytewise(id, HEAD, 0), data(id, MESSAGE, 0), ...bytewise(id, OK, Flag.END_STREAM)],
    ],
    [
      'comes byte by byte',
      (id) => [
        fields(id, HEAD),
        ...Array.from(MESSAGE, (byte) => data(id, Buffer.of(byte), 0)),
        data(id, Buffer.alloc(0), 0),
        last(id, OK),
      ],
    ],
    [
      'is announced',
      (id) => [
        fields(id, [
          [':status', '103'],
          ['link', 'a'],
        ]),
        fields(id, [[':status', '100']]),
        answer(id, BYTES),
      ],
    ],
    ['sets bits that are reserved', (id) => [fields(id, HEAD), data(id, MESSAGE, 0), last(id, OK)].map(reserved)],
    ['has flags that mean nothing', (id) => [fields(id, HEAD, 0xc0), data(id, MESSAGE, 0xc2), last(id, OK)]],
    [
      'has settings and PINGs in it',
      (id) => [
        fields(id, HEAD),
        settings([
          [Setting.HEADER_TABLE_SIZE, 0],
          [0xff, 7],
          [Setting.MAX_CONCURRENT_STREAMS, 0],
          [Setting.MAX_FRAME_SIZE, 0xff_ffff],
        ]),
        frames.ping(),
        data(id, MESSAGE, 0),
        settings([[Setting.MAX_CONCURRENT_STREAMS, 9]]),
        frames.settingsAck(),
        last(id, OK),
      ],
    ],
    [
      'is of a window that was closed and opened',
      (id) => [
        settings([[Setting.INITIAL_WINDOW_SIZE, 0]]),
        settings([[Setting.INITIAL_WINDOW_SIZE, LARGEST]]),
        answer(id, BYTES),
        settings([[Setting.INITIAL_WINDOW_SIZE, 65_535]]),
      ],
    ],
    [
      'begins with the size of a table',
      (id) => [
        headers(id, Buffer.concat([Buffer.of(0x20, 0x3f, 0xe1, 0x1f), encodeFields(HEAD)])),
        data(id, MESSAGE, 0),
        last(id, OK),
      ],
    ],
    [
      'goes on when it has ended',
      (id) => [answer(id, BYTES), data(id, MESSAGE, 0), windowUpdate(id, 0), frames.resetStream(id), last(id, OK)],
    ],
  ])('but right, has it: it %s', async (_, say) => {
    const { ask, server } = await linked(say)
    expect(await ask()).toBe('abc')
    expect(await ask()).toBe('abc')
    expect(server.peers.length).toBe(1)
  })

  function bytewise(stream: number, of: Parameters<typeof fields>[1], flags: number): Buffer[] {
    const octets = Array.from(encodeFields(of), (octet) => Buffer.of(octet))
    return octets.map((octet, i) => {
      const ending = i === octets.length - 1 ? Flag.END_HEADERS : 0
      return i === 0 ? headers(stream, octet, flags | ending) : frames.continuation(stream, octet, ending)
    })
  }

  it('keeps its tables in step with streams that are over', async () => {
    // Indexed, and so to be known by the next answer.
    const added = (stream: number, value: string, flags = 0) =>
      headers(stream, Buffer.from([0x88, 0x40, 1, 0x61, value.length, ...Buffer.from(value)]), Flag.END_HEADERS | flags)
    const say: Say = (id) => [
      added(id, '1'),
      frames.resetStream(id),
      added(id, '2', Flag.END_STREAM),
      added(1, '3'),
      added(id, '4'),
    ]
    const { link, server } = await linked(say)
    await expect(link.call(METHOD, BYTES, 5_000)).rejects.toMatchObject({ code: 'BACKEND_FAILED' })
    const [peer] = server.peers
    const next = link.call('/test.Echo/Next', BYTES, 5_000)
    expect(Buffer.from(await next).toString()).toBe('abc')
    // The four of them, the newest first.
    peer?.send(headers(3, Buffer.from([0x88, 0xbe, 0xbf, 0xc0, 0xc1])))
    expect(Buffer.from(await link.call(METHOD, BYTES, 5_000)).toString()).toBe('abc')
    peer?.send(headers(3, Buffer.from([0x88, 0xc2])))
    await expect.poll(() => peer?.socket.destroyed).toBe(true)
  })
})
