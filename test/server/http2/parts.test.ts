// Parts of the native transport that have an invariant of their own.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FrameReader } from '../../../src/wire/http2/frame-reader.ts'
import { HeaderIntake } from '../../../src/server/http2/header-intake.ts'
import { MemoryBudget } from '../../../src/wire/http2/memory-budget.ts'
import { PartialMessage } from '../../../src/server/http2/partial-message.ts'
import { RateBound } from '../../../src/wire/http2/rate-bound.ts'
import { HeadReader } from '../../../src/server/http2/request-head.ts'
import { frame, grpcMessage } from '../../helpers/http2/frames.ts'

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
        const budget = new MemoryBudget(1_000)
        const reader = new FrameReader(
          {
            frame: (type, flags, stream, bytes, start, end) =>
              seen.push({ type, flags, stream, payload: Buffer.from(bytes.subarray(start, end)) }),
          },
          budget,
        )
        const bytes = Buffer.concat(sent.map(({ type, ...rest }) => frame(type, rest)))
        // Each piece has something before it that was read already, as the preface is.
        for (const piece of cut(bytes, places)) reader.read(Buffer.concat([Buffer.alloc(skipped), piece]), skipped)
        expect(seen).toEqual(sent)
        expect(budget.used).toBe(0)
      }),
      { numRuns: 300 },
    )
  })

  it('takes none larger than announced, and none once it is stopped', () => {
    const seen: number[] = []
    const reader = new FrameReader(
      {
        frame(type) {
          seen.push(type)
          if (type === 3) reader.stop()
        },
      },
      new MemoryBudget(1_000),
    )
    reader.read(frame(1, { payload: Buffer.alloc(16_384) }), 0)
    expect(() => reader.read(frame(1, { payload: Buffer.alloc(16_385) }).subarray(0, 9), 0)).toThrow('16385')
    reader.read(Buffer.concat([frame(3), frame(4), frame(5).subarray(0, 4)]), 0)
    reader.read(frame(6), 0)
    expect(seen).toEqual([1, 3])
  })
})

describe('what has not come as a whole', () => {
  it('ends its connection where there is no memory for it, and gives it back', () => {
    const budget = new MemoryBudget(100)
    const reader = new FrameReader({ frame() {} }, budget)
    reader.read(frame(0, { payload: Buffer.alloc(91) }).subarray(0, 50), 0)
    expect(budget.used).toBe(100)
    reader.stop()
    expect(budget.used).toBe(0)
    const other = new FrameReader({ frame() {} }, budget)
    expect(() => other.read(frame(0, { payload: Buffer.alloc(92) }).subarray(0, 50), 0)).toThrow('too much')
    const intake = new HeaderIntake(new HeadReader(new Map()), { request() {}, trailers() {} }, budget)
    intake.headers(0, 1, Buffer.alloc(60), 0, 60)
    expect(budget.used).toBe(60)
    expect(() => intake.continuation(0, 1, Buffer.alloc(41), 0, 41)).toThrow('too long')
    intake.stop()
    expect(budget.used).toBe(0)
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
    const all = new MemoryBudget(6_000)
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

describe('a budget of memory', () => {
  it('is never beyond its bounds, gives all back, and leaves each its own', () => {
    const steps = fc.array(fc.record({ who: fc.nat(3), bytes: fc.nat(60), isMessage: fc.boolean() }), { maxLength: 60 })
    fc.assert(
      fc.property(steps, (taken) => {
        const all = new MemoryBudget(100)
        const each = Array.from({ length: 4 }, () => new MemoryBudget(80, all, { reserve: 30, own: 20 }))
        const took: (() => void)[] = []
        for (const { who, bytes, isMessage } of taken) {
          const budget = each[who] as MemoryBudget
          const before = budget.used
          const isTaken = isMessage ? budget.takeForMessage(bytes) : budget.take(bytes)
          if (before + bytes <= (isMessage ? 10 : 20)) expect(isTaken).toBe(true)
          if (isTaken) took.push(() => budget.give(bytes))
          expect(budget.used).toBe(isTaken ? before + bytes : before)
          expect(budget.used).toBeLessThanOrEqual(80)
          expect(all.used).toBe(each.reduce((sum, { used }) => sum + Math.max(0, used - 20), 0))
          expect(all.used).toBeLessThanOrEqual(100)
        }
        for (const give of took) give()
        expect([all, ...each].map(({ used }) => used)).toEqual([0, 0, 0, 0, 0])
      }),
    )
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
