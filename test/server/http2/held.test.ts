// What comes for a method that does not take messages just now: it is held as it is, however small its pieces, and read in its order.
import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import type { GrpcStream } from '../../../src/server/grpc-service.ts'
import { createNativeServer } from '../../../src/server/http2/server.ts'
import { FrameClient } from '../../helpers/http2/frame-client.ts'
import { data, Flag, grpcMessage, headers } from '../../helpers/http2/frames.ts'
import { dependencies } from '../fixtures.ts'

const PATH = '/test.Held/Take'
const WINDOW = 65_535

/** A call, as its method sees it. */
interface Taken {
  readonly stream: GrpcStream
  readonly heard: Buffer[]
  isEnded: boolean
}

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
})

/** @param hear what a method does when it hears a message, by its number */
async function served(hear: (stream: GrpcStream, number: number) => void) {
  const calls: Taken[] = []
  const open = (stream: GrpcStream) => {
    const call: Taken = { stream, heard: [], isEnded: false }
    calls.push(call)
    hear(stream, -1)
    return {
      message(bytes: Uint8Array) {
        expect(call.isEnded).toBe(false)
        call.heard.push(Buffer.from(bytes))
        hear(stream, call.heard.length - 1)
      },
      halfClosed: () => (call.isEnded = true),
      drained: () => undefined,
      closed: () => undefined,
    }
  }
  const services = [{ name: 'test.Held', methods: [{ kind: 'stream' as const, path: PATH, open }] }]
  const server = createNativeServer({ ...dependencies(), services })
  const port = await server.listen({ host: '127.0.0.1', port: 0 })
  ends.push(() => server.drain(0))
  const client = await FrameClient.open({ port })
  ends.push(() => client.destroy())
  const begin = async () => {
    const id = client.newStream()
    client.send(headers(id, FrameClient.callHeaders(PATH)))
    await client.settled()
    return { id, call: calls.at(-1) as Taken }
  }
  return { client, begin }
}

describe('what comes for a method that has paused', () => {
  it('is read at once when it goes on, byte by byte though it came', { timeout: 10_000 }, async () => {
    const { client, begin } = await served((stream, number) => void (number < 0 && stream.pause()))
    const message = grpcMessage(Buffer.alloc(WINDOW - 5, 'abc'))
    for (let i = 0; i < 16; i++) {
      const { id, call } = await begin()
      client.send(...Array.from(message, (byte) => data(id, Buffer.of(byte), 0)))
      client.send(data(id, Buffer.alloc(0)))
      await client.settled()
      client.forget()
      expect(call.heard).toHaveLength(0)
      call.stream.resume()
      expect(call.heard.map((each) => each.equals(message.subarray(5)))).toEqual([true])
      expect(call.isEnded).toBe(true)
    }
  })

  it('comes in its order, once, and before the end, whenever it pauses and goes on', async () => {
    const acts = fc.array(fc.constantFrom('none', 'pause', 'both', 'resume'), { minLength: 1, maxLength: 12 })
    const messages = fc.array(fc.nat(900), { minLength: 1, maxLength: 40 })
    const cuts = fc.array(fc.nat(700), { minLength: 1, maxLength: 10 })
    let current: readonly string[] = []
    const { client, begin } = await served((stream, number) => {
      const act = current[(number + 1) % current.length]
      if (act === 'pause' || act === 'both') stream.pause()
      if (act === 'resume' || act === 'both') stream.resume()
    })
    await fc.assert(
      fc.asyncProperty(acts, messages, cuts, async (chosen, sizes, lengths) => {
        current = chosen
        const { id, call } = await begin()
        const sent = sizes.map((size, at) => Buffer.alloc(size, at))
        const bytes = Buffer.concat(sent.map((each) => grpcMessage(each)))
        for (let at = 0, cut = 0; at < bytes.length; cut++) {
          const end = at + 1 + (lengths[cut % lengths.length] ?? 0)
          client.send(data(id, bytes.subarray(at, end), end >= bytes.length ? Flag.END_STREAM : 0))
          at = end
        }
        await client.settled()
        client.forget()
        for (let i = 0; i < sent.length; i++) call.stream.resume()
        call.stream.resume()
        expect(call.heard).toEqual(sent)
        expect(call.isEnded).toBe(true)
        call.stream.end()
      }),
      { numRuns: 150 },
    )
  })
})
