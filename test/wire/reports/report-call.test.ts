// Calls of reports against the generated code of their schema, and against what no sidecar would send.

import { gzipSync } from 'node:zlib'
import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DROP_REASONS } from '../../../src/kernel/report.ts'
import { type Compression, PartSchema, ReportCallSchema } from '../../../src/wire/generated/intermix/v1/reports_pb.ts'
import {
  encodeDropped,
  encodeReportCall,
  readReportCall,
  unpackReportCall,
} from '../../../src/wire/reports/report-call.ts'

const part = fc.record({
  format: fc.constantFrom('attributes', 'envoy-als', 'größer'),
  count: fc.integer({ min: 1, max: 2 ** 31 }),
  acceptedAt: fc.integer({ min: 0, max: 2 ** 45 }),
  payload: fc.uint8Array({ maxLength: 300 }),
})
const dropped = fc.record({
  reason: fc.constantFrom(...DROP_REASONS),
  count: fc.integer({ min: 1, max: 2 ** 40 }),
})

describe('a call of reports', () => {
  it('is read as it was written, by us and by generated code', () => {
    fc.assert(
      fc.property(
        fc.array(part, { maxLength: 20 }),
        fc.array(dropped, { maxLength: 3 }),
        fc.boolean(),
        (batches, lost, isCompressed) => {
          const plain = Buffer.concat(batches.map(({ payload }) => payload))
          const parts = batches.map(({ payload, ...rest }) => ({ ...rest, size: payload.length }))
          const payloads = isCompressed ? gzipSync(plain, { level: 1 }) : plain
          const call = { id: 'a-1', sender: 'näme', parts, isCompressed, payloads }
          const bytes = Buffer.concat([encodeReportCall(call), encodeDropped(lost)])
          const { payloads: read, ...rest } = readReportCall(bytes)
          expect(rest).toEqual({ id: 'a-1', sender: 'näme', parts, isCompressed, dropped: lost })
          expect(Buffer.compare(read, payloads)).toBe(0)
          const unpacked = unpackReportCall(bytes)
          expect(unpacked.dropped).toEqual(lost)
          expect(unpacked.batches.map((each) => ({ ...each, payload: Uint8Array.from(each.payload) }))).toEqual(batches)
          const generated = fromBinary(ReportCallSchema, bytes)
          expect(
            generated.parts.map(({ format, count, size, acceptedAt }) => ({ format, count, size, acceptedAt })),
          ).toEqual(parts.map((each) => ({ ...each, acceptedAt: BigInt(each.acceptedAt) })))
          expect(generated.dropped.map(({ reason, count }) => [DROP_REASONS[reason], Number(count)])).toEqual(
            lost.map(({ reason, count }) => [reason, count]),
          )
          // Fields may come in another order, and joined with fields of later versions.
          expect(readReportCall(toBinary(ReportCallSchema, generated)).parts).toEqual(parts)
        },
      ),
    )
  })

  const callOf = (parts: { count: number; size: number }[], payloads: Uint8Array, compression: Compression = 0) =>
    toBinary(
      ReportCallSchema,
      create(ReportCallSchema, {
        id: 'a',
        parts: parts.map((each) => create(PartSchema, { format: 'attributes', ...each })),
        payloads,
        compression,
      }),
    )

  it('is refused where it says another size than it has, before and after it is inflated', () => {
    expect(() => readReportCall(callOf([{ count: 1, size: 3 }], new Uint8Array(2)))).toThrow('3 bytes, and it has 2')
    expect(() => readReportCall(callOf([{ count: 0, size: 0 }], new Uint8Array(0)))).toThrow('no records')
    expect(() => readReportCall(callOf([{ count: 1, size: 2 ** 25 }], new Uint8Array(2), 1))).toThrow(
      'at most 16777216',
    )
    expect(() => unpackReportCall(callOf([{ count: 1, size: 3 }], new Uint8Array(2), 7 as Compression))).toThrow(
      'not known here',
    )
    const four = gzipSync(new Uint8Array(4))
    expect(() => unpackReportCall(callOf([{ count: 1, size: 5 }], four, 1))).toThrow('there are 4')
    expect(unpackReportCall(callOf([{ count: 1, size: 4 }], four, 1)).batches).toHaveLength(1)
    // What claims to be small is inflated no further than that.
    const bomb = gzipSync(new Uint8Array(64 * 1024 * 1024))
    expect(() => unpackReportCall(callOf([{ count: 1, size: 10 }], bomb, 1))).toThrow('cannot be inflated')
    expect(() => unpackReportCall(callOf([{ count: 1, size: 10 }], new Uint8Array(10), 1))).toThrow(
      'cannot be inflated',
    )
  })

  it('takes any bytes or says INVALID_REQUEST', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          unpackReportCall(bytes)
        } catch (error) {
          expect(error).toMatchObject({ code: 'INVALID_REQUEST' })
        }
      }),
      { numRuns: 2_000 },
    )
  })
})
