// Frames that cost the server more than their sender: each flood ends its connection, is counted, and nobody else notices.
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { FrameClient } from '../../helpers/http2/frame-client.ts'
import {
  continuation,
  data,
  ErrorCode,
  Flag,
  frame,
  FrameType,
  grpcMessage,
  headers,
  ping,
  resetStream,
  settings,
  settingsAck,
  windowUpdate,
} from '../../helpers/http2/frames.ts'
import { ECHO, HOLD, Served } from './served.ts'

/** More than any bound: who is not stopped by then never is. */
const MANY = 60_000
const BATCH = 1_000

interface Flood {
  /** What comes before it, on stream 1. */
  readonly first?: readonly Buffer[]
  /** One of its frames. */
  readonly each: (index: number, client: FrameClient) => Buffer
}

const call = FrameClient.callHeaders(HOLD)
const echo = FrameClient.callHeaders(ECHO)
const open = [headers(1, call)]
const ended = [headers(1, echo), data(1, grpcMessage(Buffer.from('x')))]

const FLOODS: Readonly<Record<string, Flood>> = {
  SETTINGS: { each: () => settings() },
  'SETTINGS acknowledgements': { each: () => settingsAck() },
  PING: { each: () => ping() },
  'PING acknowledgements': { each: () => ping('8 octets', Flag.ACK) },
  PRIORITY: { each: (index) => frame(FrameType.PRIORITY, { stream: 2 * index + 1, payload: Buffer.alloc(5) }) },
  'windows of the connection': { each: () => windowUpdate(0, 1) },
  'windows of a stream': { first: open, each: () => windowUpdate(1, 1) },
  'windows of a closed stream': { first: ended, each: () => windowUpdate(1, 1) },
  'frames of unknown types': { each: () => frame(0x77, { payload: Buffer.from('?') }) },
  'empty DATA': { first: open, each: () => data(1, Buffer.alloc(0), 0) },
  'DATA of padding alone': { first: open, each: () => data(1, Buffer.from([2, 0, 0]), Flag.PADDED) },
  'DATA of a closed stream': { first: [...open, resetStream(1)], each: () => data(1, Buffer.from('x'), 0) },
  'empty CONTINUATION': { first: [headers(1, call, 0)], each: () => continuation(1, Buffer.alloc(0)) },
  'CONTINUATION of one octet': {
    first: [headers(1, Buffer.alloc(0), 0)],
    each: () => continuation(1, Buffer.from([0x82])),
  },
  'full CONTINUATION': { first: [headers(1, call, 0)], each: () => continuation(1, Buffer.alloc(16_384, 0x82)) },
  'empty HEADERS': {
    each: (_, client) => headers(client.newStream(), Buffer.alloc(0), Flag.END_HEADERS | Flag.END_STREAM),
  },
  'HEADERS that are no request': {
    each: (_, client) => headers(client.newStream(), Buffer.from([0x82, 0x82]), Flag.END_HEADERS | Flag.END_STREAM),
  },
  'trailers of a stream that was reset': {
    first: [...open, windowUpdate(1, 0)],
    each: () => headers(1, Buffer.alloc(0)),
  },
  'calls beyond the limit': { each: (_, client) => headers(client.newStream(), call) },
  'RST_STREAM of a closed stream': { first: ended, each: () => resetStream(1) },
  'calls that are taken back at once': {
    each: (_, client) => {
      const stream = client.newStream()
      return Buffer.concat([headers(stream, call), resetStream(stream)])
    },
  },
  'calls that the server is made to reset': {
    each: (_, client) => {
      const stream = client.newStream()
      return Buffer.concat([
        headers(stream, call),
        data(stream, grpcMessage(Buffer.from('x'))),
        windowUpdate(stream, 0),
      ])
    },
  },
}

describe('floods', () => {
  let served: Served

  beforeEach(async () => {
    served = new Served()
    await served.listen()
  })
  afterEach(() => served.stop())

  /** Sends one batch after the other as the server reads them, until it has enough. @returns how many frames it was sent. */
  async function flood(client: FrameClient, { first = [], each }: Flood): Promise<number> {
    client.send(...first)
    for (let sent = 0; sent < MANY; sent += BATCH) {
      if (client.closed || client.received.some(({ type }) => type === FrameType.GOAWAY)) return sent
      client.send(...Array.from({ length: BATCH }, (_, index) => each(sent + index, client)))
      await client.taken()
      await new Promise(setImmediate)
    }
    return MANY
  }

  it.each(Object.entries(FLOODS))('%s', async (_, attack) => {
    const bystander = await served.client()
    const client = await served.client()
    expect(await flood(client, attack)).toBeLessThan(MANY)
    expect((await client.goodbye()).code).toBe(ErrorCode.ENHANCE_YOUR_CALM)
    await client.ended()
    await expect.poll(() => served.count('grpc_connections_closed_total', 'abuse')).toBe(1)
    // Whatever it began has ended for the server, but for what methods still do.
    expect(served.held.length).toBeLessThan(1_000)
    const { trailers } = await bystander.response(bystander.call(ECHO, Buffer.from('still there')))
    expect(trailers['grpc-status']).toBe('0')
  })

  it.each(['PING', 'SETTINGS', 'HEADERS that are no request'])('%s, of a peer that does not read', async (name) => {
    const client = await served.client()
    await client.settled()
    client.stopReading()
    await flood(client, FLOODS[name] as Flood)
    // It would not read a goodbye either.
    await served.clock.advance(1_000)
    await expect.poll(() => served.count('grpc_connections_closed_total', 'abuse')).toBe(1)
  })
})
