import { create, toBinary } from '@bufbuild/protobuf'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { AttributeBag, Vocabulary } from '../../../src/kernel/attribute-bag.ts'
import {
  ReportRequest_RepeatedAttributesSemantics,
  ReportRequestSchema,
} from '../../../src/wire/generated/istio/mixer/v1/mixer_pb.ts'
import { decodeMixerReport } from '../../../src/wire/mixer/decode-report.ts'
import { readMixerReport } from '../../../src/wire/mixer/report-request.ts'
import { type Attributes, compress, compressInto, plain, Words } from './compress.ts'

const UNTYPED: Vocabulary = new Map()
const { DELTA_ENCODING, INDEPENDENT_ENCODING } = ReportRequest_RepeatedAttributesSemantics

type Semantics = typeof DELTA_ENCODING | typeof INDEPENDENT_ENCODING

/** A batch as the client builds it: one dictionary for all records. */
function encodeReport(records: readonly Attributes[], semantics: Semantics, globalWordCount = 222): Uint8Array {
  const words = new Words(globalWordCount)
  const attributes = records.map((record) => compressInto(words, record))
  const request = { attributes, defaultWords: words.list, globalWordCount, repeatedAttributesSemantics: semantics }
  return toBinary(ReportRequestSchema, create(ReportRequestSchema, request))
}

function contents(bag: AttributeBag | undefined): Record<string, unknown> {
  if (bag === undefined) throw new Error('no such record')
  return Object.fromEntries([...bag.names()].toSorted().map((name) => [name, plain(bag.get(name))]))
}

/** Each record as what changed since the one before; possible only where nothing goes away. */
function deltas(records: readonly Attributes[]): Attributes[] {
  return records.map((record, at) => {
    const before = records[at - 1] ?? {}
    const changed = Object.entries(record).filter(([name, value]) => {
      return before[name] === undefined || JSON.stringify(shown(before[name])) !== JSON.stringify(shown(value))
    })
    return Object.fromEntries(changed)
  })
}

function shown(value: Attributes[string]): unknown {
  return JSON.parse(
    JSON.stringify(plain(value), (_, inner: unknown) => (typeof inner === 'bigint' ? `${inner}n` : inner)),
  )
}

describe('decodeMixerReport', () => {
  it('gives equal bags for a delta and an independent report of the same 100 records', () => {
    const value = fc.oneof(
      fc.constantFrom('GET', 'POST', 'own'),
      fc.constantFrom(new Map([['host', 'a']]), new Map([['own', 'b']])),
      fc.bigInt(0n, 3n),
    )
    const name = fc.constantFrom('source.name', 'source.uid', 'request.headers', 'response.code', 'own.one', 'own.two')
    const change = fc.dictionary(name, value, { maxKeys: 3 })
    fc.assert(
      fc.property(fc.array(change, { minLength: 100, maxLength: 100 }), (changes) => {
        const records: Attributes[] = []
        for (const each of changes) records.push({ ...records.at(-1), ...each })
        const delta = decodeMixerReport(encodeReport(deltas(records), DELTA_ENCODING), UNTYPED)
        const independent = decodeMixerReport(encodeReport(records, INDEPENDENT_ENCODING), UNTYPED)
        expect(delta).toHaveLength(100)
        expect(delta.map(contents)).toEqual(independent.map(contents))
        expect(delta.map(contents)).toEqual(
          records.map((record) =>
            Object.fromEntries(Object.entries(record).map(([key, entry]) => [key, plain(entry)])),
          ),
        )
      }),
      { numRuns: 30 },
    )
  })

  it('uses the default words only for records without words of their own', () => {
    const own = compress({ 'source.name': 'mine' })
    const request = create(ReportRequestSchema, {
      attributes: [{ strings: { 2: -1 } }, own],
      defaultWords: ['shared'],
      repeatedAttributesSemantics: INDEPENDENT_ENCODING,
    })
    const bags = decodeMixerReport(toBinary(ReportRequestSchema, request), UNTYPED)
    expect(bags.map((bag) => bag.get('source.name'))).toEqual(['shared', 'mine'])
  })

  it('lets an attribute whose later value has the wrong type be absent from then on', () => {
    const payload = encodeReport([{ 'source.name': 'a' }, { 'source.name': 1n }, {}], DELTA_ENCODING)
    const bags = decodeMixerReport(payload, new Map([['source.name', 'STRING']]))
    expect(bags.map((bag) => bag.get('source.name'))).toEqual(['a', undefined, undefined])
  })

  it('leaves out records with a problem, which then change nothing', () => {
    const attributes = [
      { strings: { 2: 3 } },
      { strings: { 2: 4, 3: -9 } },
      { int64s: { 2: 1n }, bools: { 2: true } },
      {},
    ]
    const report = create(ReportRequestSchema, { attributes })
    const payload = toBinary(ReportRequestSchema, report)
    expect(readMixerReport(payload).records.map((record) => record.problem)).toEqual([
      undefined,
      'attribute index -9 is not defined in the available dictionaries',
      'duplicate attribute source.name',
      undefined,
    ])
    expect(decodeMixerReport(payload, UNTYPED).map(contents)).toEqual([
      { 'source.name': 'source.uid' },
      { 'source.name': 'source.uid' },
    ])
  })

  it.each([
    ['a name', { strings: { 500: 1 } }],
    ['a value', { strings: { 2: 500 } }],
    ['a key of a map', { stringMaps: { 15: { entries: { 500: 1 } } } }],
    ['an entry of a map', { stringMaps: { 15: { entries: { 1: 500 } } } }],
  ])('finds an undefined index of %s in a delta report and lets it be absent in an independent one', (_, element) => {
    const encode = (repeatedAttributesSemantics: Semantics) => {
      const report = create(ReportRequestSchema, { attributes: [element], repeatedAttributesSemantics })
      return toBinary(ReportRequestSchema, report)
    }
    const problem = 'attribute index 500 is not defined in the available dictionaries'
    expect(readMixerReport(encode(DELTA_ENCODING)).records[0]?.problem).toBe(problem)
    expect(readMixerReport(encode(INDEPENDENT_ENCODING)).records[0]?.problem).toBeUndefined()
    expect(decodeMixerReport(encode(INDEPENDENT_ENCODING), UNTYPED)).toHaveLength(1)
  })

  it('refuses more than 10 000 records and malformed messages', () => {
    const many = new Uint8Array(20_002).map((_, at) => (at % 2 === 0 ? 10 : 0))
    expect(() => decodeMixerReport(many, UNTYPED)).toThrow('10001 records in one report; send at most 10000')
    expect(decodeMixerReport(many.subarray(2), UNTYPED)).toHaveLength(10_000)
    expect(() => decodeMixerReport(Uint8Array.of(10, 3, 18, 2, 8), UNTYPED)).toThrow('malformed protobuf message')
  })
})
