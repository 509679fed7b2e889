// Delta reports: our decoder reads back what was written, and so does generated code with Mixer's rules.

import { fromBinary } from '@bufbuild/protobuf'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type AttributeBag, MapBag } from '../../../src/kernel/attribute-bag.ts'
import { Duration, Timestamp } from '../../../src/kernel/time.ts'
import { type AttributeValue, isStringMap } from '../../../src/kernel/value.ts'
import { decodeMixerReport } from '../../../src/wire/mixer/decode-report.ts'
import { encodeMixerReports } from '../../../src/wire/mixer/report-writer.ts'
import { ReportRequestSchema } from '../../../src/wire/generated/istio/mixer/v1/mixer_pb.ts'

const text = fc.oneof(
  fc.constantFrom('', 'source.ip', 'GET', 'zoë', '/a/b', 'constructor'),
  fc.string({ unit: 'grapheme', maxLength: 40 }),
)
const nanos = fc.bigInt({ min: -(2n ** 62n), max: 2n ** 62n })
const value: fc.Arbitrary<AttributeValue> = fc.oneof(
  text,
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  fc.constantFrom(0n, 1n, -1n, 0, -0, Number.NaN, true, false),
  fc.double(),
  fc.uint8Array({ maxLength: 16 }),
  nanos.map((each) => new Timestamp(each)),
  nanos.map((each) => new Duration(each)),
  fc.dictionary(text, text, { maxKeys: 4 }).map((record): AttributeValue => new Map(Object.entries(record))),
)
// Few names and values, so that records repeat each other.
const name = fc.constantFrom('source.ip', 'request.path', 'request.headers', 'my.own', 'größe', 'x')
const record = fc.dictionary(name, value)
const records = fc
  .tuple(fc.array(record, { minLength: 1, maxLength: 4 }), fc.array(fc.tuple(fc.nat(), name, value), { maxLength: 30 }))
  .map(([bases, changes]) =>
    changes.map(([at, changed, to]): Record<string, AttributeValue> => {
      const base = bases[at % bases.length] ?? {}
      return changed in base ? { ...base, [changed]: to } : base
    }),
  )

function said(bag: AttributeBag): string {
  const all = [...bag.names()].toSorted().map((each) => {
    const found = bag.get(each)
    if (typeof found === 'object' && isStringMap(found))
      return [each, [...found.entries()].toSorted(([a], [b]) => (a < b ? -1 : 1))]
    if (found instanceof Uint8Array) return [each, Buffer.from(found).toString('hex')]
    if (typeof found === 'object') return [each, found.constructor.name, String(found)]
    return [each, typeof found, Object.is(found, -0) ? '-0' : String(found)]
  })
  return JSON.stringify(all)
}

const shapeOf = (bag: AttributeBag) => [...bag.names()].toSorted().join()

describe('delta reports', () => {
  it('are read as they were written, those with the same attributes in their order', () => {
    fc.assert(
      fc.property(records, (all) => {
        const bags = all.map((each) => MapBag.of(each))
        const payloads = encodeMixerReports(bags)
        const read = payloads.flatMap(({ payload, count }) => {
          const decoded = decodeMixerReport(payload, new Map())
          expect(decoded).toHaveLength(count)
          expect(fromBinary(ReportRequestSchema, payload).attributes).toHaveLength(count)
          return decoded
        })
        expect(read).toHaveLength(bags.length)
        const grouped = (of: readonly AttributeBag[]) =>
          Object.fromEntries([...Map.groupBy(of, shapeOf)].map(([shape, group]) => [shape, group.map(said)]))
        expect(grouped(read)).toEqual(grouped(bags))
        expect(payloads).toHaveLength(new Set(bags.map(shapeOf)).size)
      }),
      { numRuns: 500 },
    )
  })

  it('state what has changed alone, and each word once', () => {
    const bags = Array.from({ length: 1_000 }, (_, i) =>
      MapBag.of({
        'request.path': `/books/${i % 3}`,
        'request.headers': new Map([['user-agent', 'a browser of a long name, the same each time']]),
        'source.ip': Uint8Array.of(10, 0, 0, 1),
        'response.code': 200n,
      }),
    )
    const [report] = encodeMixerReports(bags)
    // Two bytes for the record, and six for its path.
    expect(report?.payload.length).toBeLessThan(1_000 * 8 + 200)
  })

  it('begin another report beyond what readers take', () => {
    const bags = Array.from({ length: 10_001 }, (_, i) => MapBag.of({ x: BigInt(i) }))
    const payloads = encodeMixerReports(bags)
    expect(payloads.map(({ count }) => count)).toEqual([10_000, 1])
    expect(decodeMixerReport(payloads[0]?.payload ?? new Uint8Array(0), new Map())).toHaveLength(10_000)
  })
})
