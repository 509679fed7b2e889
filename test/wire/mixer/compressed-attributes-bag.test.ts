import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { AttributeBag, Vocabulary } from '../../../src/kernel/attribute-bag.ts'
import { IntermixError } from '../../../src/kernel/errors.ts'
import { Duration, Timestamp } from '../../../src/kernel/time.ts'
import type { AttributeValue, StringMap } from '../../../src/kernel/value.ts'
import { type Anomaly, CompressedAttributesBag } from '../../../src/wire/mixer/compressed-attributes-bag.ts'
import { GLOBAL_WORDS } from '../../../src/wire/mixer/dictionary.ts'
import { type Attributes, compress, encodeAttributes, plain } from './compress.ts'

const UNTYPED: Vocabulary = new Map()

const SAMPLE: Attributes = {
  'source.name': 'a name that no dictionary has',
  'request.method': 'GET',
  'response.code': 404n,
  'request.size': -9_223_372_036_854_775_808n,
  range: 99.9,
  'connection.mtls': true,
  'request.time': new Timestamp(1_700_000_000_123_456_789n),
  'response.duration': new Duration(-1_500_000_001n),
  'source.ip': Uint8Array.of(10, 0, 0, 1),
  'request.headers': new Map([
    [':method', 'GET'],
    ['x-own', 'vlastní'],
    ['x-empty', ''],
  ]),
  'own.attribute': 'x',
}

function bagOf(bytes: Uint8Array, vocabulary = UNTYPED) {
  const anomalies: [Anomaly, number | string][] = []
  const onAnomaly = (anomaly: Anomaly, subject: number | string) => anomalies.push([anomaly, subject])
  return { bag: CompressedAttributesBag.decode(bytes, { vocabulary, onAnomaly }), anomalies }
}

function contents(bag: AttributeBag): Record<string, unknown> {
  return Object.fromEntries([...bag.names()].toSorted().map((name) => [name, plain(bag.get(name))]))
}

function expected(attributes: Attributes): Record<string, unknown> {
  return Object.fromEntries(Object.entries(attributes).map(([name, value]) => [name, plain(value)]))
}

const anyWord = fc.oneof(fc.constantFrom(...GLOBAL_WORDS), fc.string({ unit: 'grapheme', maxLength: 12 }))
const anyValue: fc.Arbitrary<AttributeValue> = fc.oneof(
  anyWord,
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  fc.double({ noNaN: true }),
  fc.boolean(),
  fc.bigInt({ min: -(2n ** 60n), max: 2n ** 60n }).map((nanos) => new Timestamp(nanos)),
  fc.bigInt({ min: -(2n ** 60n), max: 2n ** 60n }).map((nanos) => new Duration(nanos)),
  fc.uint8Array({ maxLength: 20 }),
  fc.array(fc.tuple(anyWord, anyWord), { maxLength: 90 }).map((entries) => new Map(entries)),
)
const anyAttributes = fc.dictionary(anyWord, anyValue, { maxKeys: 12 })

describe('CompressedAttributesBag', () => {
  it.each([222, 111, 0])('gives every type of value back, with a client that knows %i words', (known) => {
    const { bag, anomalies } = bagOf(encodeAttributes(compress(SAMPLE, known)))
    expect(contents(bag)).toEqual(expected(SAMPLE))
    expect(anomalies).toEqual([])
  })

  it('gives back what the generated codec wrote, whatever it is', () => {
    fc.assert(
      fc.property(anyAttributes, fc.constantFrom(222, 111, 0), (attributes, known) => {
        const { bag } = bagOf(encodeAttributes(compress(attributes, known)))
        expect(contents(bag)).toEqual(expected(attributes))
        for (const name of Object.keys(attributes)) expect(plain(bag.get(name))).toEqual(plain(attributes[name]))
      }),
      { numRuns: 300 },
    )
  })

  it('finds every attribute of a large message, and duplicates among them', () => {
    const names = Array.from({ length: 70 }, (_, at) => (at % 3 === 0 ? `own.${at}` : (GLOBAL_WORDS[at] ?? '')))
    const attributes = Object.fromEntries(names.map((name, at) => [name, BigInt(at)]))
    expect(contents(bagOf(encodeAttributes(compress(attributes))).bag)).toEqual(expected(attributes))
    const spelled = compress(attributes, 30)
    expect(contents(bagOf(encodeAttributes(spelled)).bag)).toEqual(expected(attributes))
    const twice = encodeAttributes({ ...spelled, bools: { 61: true } })
    expect(() => bagOf(twice)).toThrow(`duplicate attribute ${GLOBAL_WORDS[61]}`)
  })

  it('answers single keys of a map as its entries do, known and unknown ones', () => {
    const maps = fc.array(fc.tuple(anyWord, anyWord), { maxLength: 90 }).map((entries) => new Map(entries))
    fc.assert(
      fc.property(maps, fc.array(anyWord, { maxLength: 8 }), (map, others) => {
        const { bag } = bagOf(encodeAttributes(compress({ m: map })))
        const lazy = bag.get('m') as StringMap
        for (const key of [...map.keys(), ...others]) expect(lazy.get(key)).toBe(map.get(key))
        expect(new Map(lazy.entries())).toEqual(map)
        expect(lazy.size).toBe(map.size)
      }),
    )
  })

  it('decodes a value once', () => {
    const { bag } = bagOf(encodeAttributes(compress(SAMPLE)))
    expect(bag.get('request.headers')).toBe(bag.get('request.headers'))
    expect(bag.get('request.time')).toBe(bag.get('request.time'))
  })

  it('does not know attributes that the message lacks', () => {
    const { bag } = bagOf(encodeAttributes(compress(SAMPLE)))
    expect(bag.get('source.namespace')).toBeUndefined()
    expect(bag.get('own.other')).toBeUndefined()
    expect(contents(bagOf(new Uint8Array(0)).bag)).toEqual({})
  })

  it('takes an attribute of another type than the vocabulary declares for absent, and tells once', () => {
    const vocabulary: Vocabulary = new Map([
      ['source.name', 'INT64'],
      ['request.method', 'DNS_NAME'],
      ['request.headers', 'STRING'],
      ['source.ip', 'IP_ADDRESS'],
    ])
    const { bag, anomalies } = bagOf(encodeAttributes(compress(SAMPLE)), vocabulary)
    expect(['source.name', 'source.name', 'request.headers'].map((name) => bag.get(name))).toEqual([
      undefined,
      undefined,
      undefined,
    ])
    expect(bag.get('request.method')).toBe('GET')
    expect(bag.get('source.ip')).toEqual(Uint8Array.of(10, 0, 0, 1))
    expect(anomalies).toEqual([
      ['type-mismatch', 'source.name'],
      ['type-mismatch', 'request.headers'],
    ])
    expect([...bag.names()]).not.toContain('source.name')
  })

  it('takes bytes that cannot be an address for absent where an address is declared', () => {
    const bytes = encodeAttributes(compress({ 'source.ip': Uint8Array.of(1, 2, 3) }))
    expect(bagOf(bytes, new Map([['source.ip', 'IP_ADDRESS']])).bag.get('source.ip')).toBeUndefined()
    expect(bagOf(bytes).bag.get('source.ip')).toEqual(Uint8Array.of(1, 2, 3))
  })

  it('takes attributes whose name, value or key no dictionary defines for absent', () => {
    const { bag, anomalies } = bagOf(
      encodeAttributes({
        words: ['w'],
        strings: { 2: 5000, 3: -9, [-7]: 0, 9999: 0, 4: -1 },
        stringMaps: { 15: { entries: { 32: 9999, 9998: 33, 58: -1 } } },
      }),
    )
    expect(contents(bag)).toEqual({ 'source.namespace': 'w', 'request.headers': { map: [['content-type', 'w']] } })
    const subjects = anomalies.map(([anomaly, subject]) => `${anomaly} ${subject}`)
    expect(subjects.toSorted()).toEqual([5000, -9, -7, 9999].map((index) => `undefined-index ${index}`).toSorted())
  })

  it.each([
    ['under two types', { strings: { 2: 3 }, int64s: { 2: 1n } }, 'source.name'],
    ['by a global and a message word', { words: ['source.name'], strings: { 2: 3, [-1]: 4 } }, 'source.name'],
    ['by two message words', { words: ['x', 'x'], strings: { [-1]: 3 }, bools: { [-2]: true } }, 'x'],
    ['by one message word under two types', { words: ['x'], strings: { [-1]: 3 }, bools: { [-1]: true } }, 'x'],
  ])('refuses an attribute that is stated twice, %s', (_, init, name) => {
    const decode = () => bagOf(encodeAttributes(init))
    expect(decode).toThrow(IntermixError)
    expect(decode).toThrow(`duplicate attribute ${name}`)
  })

  it('finds an attribute that the message spells although the global dictionary has it', () => {
    const { bag } = bagOf(encodeAttributes({ words: ['source.name', 'v'], strings: { [-1]: -2 } }))
    expect(bag.get('source.name')).toBe('v')
  })

  it('lets the last of equal entries of one map win, as protobuf does', () => {
    const first = encodeAttributes({ strings: { 2: 90 }, int64s: { 30: 1n } })
    const second = encodeAttributes({ strings: { 2: 104 }, int64s: { 30: 2n } })
    const { bag } = bagOf(Buffer.concat([first, second]))
    expect(contents(bag)).toEqual({ 'source.name': GLOBAL_WORDS[104], 'response.code': 2n })
  })

  it('reads an entry without a key as word 0 and one without a value as the default', () => {
    const { bag } = bagOf(Uint8Array.of(0x1a, 0))
    expect(contents(bag)).toEqual({ 'source.ip': 0n })
    const defaults = [3, 4, 5, 6, 7, 8, 9].flatMap((field) => [field * 8 + 2, 2, 8, field * 2])
    expect(contents(bagOf(Uint8Array.from(defaults)).bag)).toEqual({
      'source.uid': 0n,
      'source.namespace': 0,
      'source.labels': false,
      'source.user': { timestamp: 0n },
      'target.ip': { duration: 0n },
      'target.port': { bytes: [] },
      'target.service': { map: [] },
    })
  })

  it('refuses every cut of a message that does not end between two fields, and never fails later', () => {
    const bytes = encodeAttributes(compress(SAMPLE))
    const failures: unknown[] = []
    for (let length = 0; length < bytes.length; length++) {
      try {
        contents(bagOf(bytes.subarray(0, length)).bag)
      } catch (caught) {
        failures.push(caught)
      }
    }
    expect(failures.every((failure) => IntermixError.from(failure).code === 'INVALID_REQUEST')).toBe(true)
    expect(failures.length).toBeGreaterThan(bytes.length - 30)
  })

  it.each([
    ['words', Buffer.alloc(20_002, Buffer.from([0x0a, 0])), 'words and attributes'],
    ['attributes', Buffer.alloc(20_002, Buffer.from([0x1a, 0])), 'words and attributes'],
    [
      'map entries',
      Buffer.concat([
        Buffer.from([0x4a, 0xa6, 0x9c, 0x01, 0x12, 0xa2, 0x9c, 0x01]),
        Buffer.alloc(20_002, Buffer.from([0x0a, 0])),
      ]),
      'map entries',
    ],
  ])('refuses more than 10 000 %s, which would hold the process up', (_, bytes, what) => {
    expect(() => bagOf(bytes)).toThrow(`more than 10000 ${what} in one set of attributes; send fewer`)
  })

  it('refuses bytes that are not a message or have a wrong wire type, naming the byte', () => {
    expect(() => bagOf(Uint8Array.of(0x10, 1))).toThrow('malformed protobuf message at byte 1: wire type 0 for field 2')
    expect(() => bagOf(Uint8Array.of(0x0b, 1))).toThrow('malformed')
    expect(() => bagOf(Uint8Array.of(0x02, 0))).toThrow('field number 0')
    expect(() => bagOf(new Uint8Array(12).fill(0xff))).toThrow('malformed')
  })
})
