// Parts of the native transport that have an invariant of their own.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FrameReader } from '../../../src/server/http2/frame-reader.ts'
import { HeaderIntake } from '../../../src/server/http2/header-intake.ts'
import { HpackEncoder } from '../../../src/server/http2/hpack/encoder.ts'
import type { Field } from '../../../src/server/http2/hpack/hpack-error.ts'
import { encodeFields } from '../../../src/server/http2/hpack/encode-fields.ts'
import { MemoryBudget } from '../../../src/server/http2/memory-budget.ts'
import { PartialMessage } from '../../../src/server/http2/partial-message.ts'
import { RateBound } from '../../../src/server/http2/rate-bound.ts'
import { HeadReader, type RequestHead } from '../../../src/server/http2/request-head.ts'
import { routesOf } from '../../../src/server/http2/routes.ts'
import { Flag, frame, grpcMessage } from '../../helpers/http2/frames.ts'
import { dependencies } from '../fixtures.ts'

/** What is cut at the given places, in pieces. */
function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const at = [...new Set([0, ...places.map((place) => place % (bytes.length + 1)), bytes.length])].sort((a, b) => a - b)
  return at.slice(1).map((end, index) => bytes.subarray(at[index], end))
}

describe('the reader of frames', () => {
  const frames = fc.array(
    fc.record({
      type: fc.integer({ min: 0, max: 255 }),
      flags: fc.integer({ min: 0, max: 255 }),
      stream: fc.integer({ min: 0, max: 0x7fff_ffff }),
      payload: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
    }),
    { maxLength: 12 },
  )

  it('finds the same frames however they are cut', () => {
    fc.assert(
      fc.property(frames, fc.array(fc.nat(), { maxLength: 20 }), fc.nat(5), (sent, places, skipped) => {
        const seen: unknown[] = []
        const reader = new FrameReader({
          frame: (type, flags, stream, bytes, start, end) =>
            seen.push({ type, flags, stream, payload: Buffer.from(bytes.subarray(start, end)) }),
        })
        const bytes = Buffer.concat(sent.map(({ type, ...rest }) => frame(type, rest)))
        // Each piece has something before it that was read already, as the preface is.
        for (const piece of cut(bytes, places)) reader.read(Buffer.concat([Buffer.alloc(skipped), piece]), skipped)
        expect(seen).toEqual(sent)
      }),
      { numRuns: 300 },
    )
  })

  it('takes none larger than announced, and none once it is stopped', () => {
    const seen: number[] = []
    const reader = new FrameReader({
      frame(type) {
        seen.push(type)
        if (type === 3) reader.stop()
      },
    })
    reader.read(frame(1, { payload: Buffer.alloc(16_384) }), 0)
    expect(() => reader.read(frame(1, { payload: Buffer.alloc(16_385) }).subarray(0, 9), 0)).toThrow('16385')
    reader.read(Buffer.concat([frame(3), frame(4), frame(5).subarray(0, 4)]), 0)
    reader.read(frame(6), 0)
    expect(seen).toEqual([1, 3])
  })
})

describe('the intake of headers', () => {
  const PATHS = ['/test.A/One', '/test.A/Two', '/test.A/None']
  const routes = () => {
    const { admission } = dependencies()
    const methods = PATHS.slice(0, 2).map((path) => ({ kind: 'unary', path, answer: () => Buffer.alloc(0) }) as const)
    return routesOf([{ name: 'test.A', methods }], admission)
  }
  const request = fc.record({
    path: fc.constantFrom(...PATHS),
    timeout: fc.option(fc.integer({ min: 1, max: 3 })),
    extra: fc.array(fc.tuple(fc.constantFrom('x-a', 'x-b'), fc.constantFrom('1', '2', '3'.repeat(60))), {
      maxLength: 2,
    }),
    /** In literals of its own, without the tables. */
    plain: fc.boolean(),
  })

  it('says of a block that it knows what decoding it would say, whatever became of the table meanwhile', () => {
    const known = routes()
    fc.assert(
      fc.property(fc.array(request, { maxLength: 40 }), fc.integer({ min: 0, max: 200 }), (requests, tableBytes) => {
        const heard: RequestHead[] = []
        const target = { request: (_id: number, head: RequestHead) => void heard.push(head), trailers() {} }
        const intake = new HeaderIntake(new HeadReader(known), target)
        // A small table, from which fields soon go.
        const encoder = new HpackEncoder(tableBytes)
        const expected = requests.map(({ path, timeout, extra, plain }, index) => {
          const fields: Field[] = [
            [':method', 'POST'],
            [':scheme', 'http'],
            [':path', path],
            ['content-type', 'application/grpc'],
            ...(timeout === null ? [] : [['grpc-timeout', `${timeout}S`] as const]),
            ...extra,
          ]
          const block = plain ? encodeFields(fields) : encoder.encode(fields)
          intake.headers(Flag.END_HEADERS, 2 * index + 1, block, 0, block.length)
          return { path, timeoutMs: timeout === null ? Number.POSITIVE_INFINITY : timeout * 1_000 }
        })
        const told = heard.map((head, index) => {
          if (head.kind !== 'call') return { path: PATHS[2], timeoutMs: expected[index]?.timeoutMs }
          return { path: head.route.method.path, timeoutMs: head.timeoutMs }
        })
        expect(told).toEqual(expected)
      }),
      { numRuns: 300 },
    )
  })
})

describe('a message in parts', () => {
  it('is put together from any parts, and its memory given back', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 5_000 }), fc.array(fc.nat(), { maxLength: 9 }), (message, places) => {
        const budget = new MemoryBudget(20_000)
        const partial = new PartialMessage(budget)
        const bytes = grpcMessage(message)
        for (const piece of cut(bytes, places)) {
          expect(partial.whole).toBeUndefined()
          for (let at = 0; at < piece.length; ) at = partial.fill(piece, at, piece.length)
        }
        expect(partial.whole).toEqual(bytes)
        // It grows with what comes.
        expect(budget.used).toBeLessThanOrEqual(Math.max(1_024, 2 * bytes.length))
        partial.release()
        expect(budget.used).toBe(0)
      }),
    )
  })

  it('takes no more than there is for all', () => {
    const all = new MemoryBudget(3_000)
    const [first, second] = [2_500, 2_500].map((bytes) => new PartialMessage(new MemoryBudget(bytes, all)))
    const bytes = grpcMessage(Buffer.alloc(2_400))
    for (const partial of [first, second]) {
      expect(partial?.fill(bytes, 0, 5)).toBe(5)
      expect(partial?.fill(bytes, 5, 1_000)).toBe(1_000)
    }
    // It would take twice as much.
    expect(second?.fill(bytes, 1_000, 1_500)).toBe(-1)
    first?.release()
    expect(second?.fill(bytes, 1_000, 1_500)).toBe(1_500)
  })
})

describe('a bound of a rate', () => {
  it('allows the burst and the rate, and no more than the burst after a rest', () => {
    const bound = new RateBound(10, 100)
    const taken = (now: number, most: number) => {
      let count = 0
      while (count < most && bound.take(now)) count++
      return count
    }
    expect(taken(1_000, 50)).toBe(10)
    expect(taken(1_100, 50)).toBeLessThanOrEqual(10)
    expect(taken(1_100_000, 50)).toBe(10)
  })
})
