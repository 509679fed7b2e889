import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MapBag, type Vocabulary } from '../../src/kernel/attribute-bag.ts'
import { IntermixError } from '../../src/kernel/errors.ts'
import { formatIp, parseIp } from '../../src/kernel/ip-address.ts'
import { Duration, Timestamp } from '../../src/kernel/time.ts'
import { type AttributeValue, VALUE_TYPES } from '../../src/kernel/value.ts'
import { parseAttributes } from '../../src/wire/parse-attributes.ts'
import { decodeRecords, encodeRecords } from '../../src/wire/record-json.ts'

const VOCABULARY: Vocabulary = new Map(VALUE_TYPES.map((type) => [type.toLowerCase(), type]))
const INT64 = { min: -(2n ** 63n), max: 2n ** 63n - 1n }

function valuesOf(json: unknown): Map<string, AttributeValue | undefined> {
  const parsed = parseAttributes(json, VOCABULARY)
  if ('problems' in parsed) throw new Error(JSON.stringify(parsed.problems))
  return new Map([...parsed.bag.names()].map((name) => [name, parsed.bag.get(name)]))
}

describe('parsing attributes of callers', () => {
  it('reads each type in its notation', () => {
    const values = valuesOf({
      string: 'text',
      int64: '9223372036854775807',
      double: 1.5,
      bool: true,
      timestamp: '2026-01-15T12:00:00.000000001Z',
      ip_address: '10.0.0.1',
      email_address: 'a@b.test',
      uri: 'http://x',
      dns_name: 'x.test',
      duration: '5ms',
      string_map: JSON.parse('{"__proto__": "safe", "a": "b"}'),
    })
    expect(values).toEqual(
      new Map<string, AttributeValue>([
        ['string', 'text'],
        ['int64', 2n ** 63n - 1n],
        ['double', 1.5],
        ['bool', true],
        ['timestamp', new Timestamp(1_768_478_400_000_000_001n)],
        ['ip_address', parseIp('10.0.0.1') ?? ''],
        ['email_address', 'a@b.test'],
        ['uri', 'http://x'],
        ['dns_name', 'x.test'],
        ['duration', Duration.fromMillis(5)],
        [
          'string_map',
          new Map([
            ['__proto__', 'safe'],
            ['a', 'b'],
          ]),
        ],
      ]),
    )
    expect(valuesOf({ int64: -7 }).get('int64')).toBe(-7n)
  })

  it.each([
    [{ int64: 2 ** 53 }, 'int64'],
    [{ int64: '9223372036854775808' }, 'int64'],
    [{ int64: 1.5 }, 'int64'],
    [{ bool: 'true' }, 'bool'],
    [{ string: 1 }, 'string'],
    [{ ip_address: '10.0.0' }, 'ip_address'],
    [{ duration: 5 }, 'duration'],
    [{ timestamp: 'today' }, 'timestamp'],
    [{ string_map: { a: null } }, 'string_map'],
    [{ double: 'much' }, 'double'],
    [{ uri: null }, 'uri'],
  ])('refuses a value of the wrong type: %j', (json, name) => {
    const parsed = parseAttributes(json, VOCABULARY)
    expect('problems' in parsed && parsed.problems.map(({ path, code }) => [path, code])).toEqual([
      [`attributes.${name}`, 'wrong-type'],
    ])
  })

  it('names all problems at once, with their places and hints', () => {
    const parsed = parseAttributes({ strin: 'x', int64: 'y', bool: true }, VOCABULARY, {
      path: 'records[3]',
      suggest: (name, candidates) => ` Near ${name} of ${[...candidates].length}.`,
    })
    if ('bag' in parsed) throw new Error('no problems')
    expect(parsed.problems.map(({ path, message }) => [path, message])).toEqual([
      ['records[3].strin', 'no attribute manifest has this attribute. Near strin of 11.'],
      ['records[3].int64', 'is "y" and must be a whole number of 64 bits, such as 42 or "42".'],
    ])
  })

  it.each([null, [], 'text', 5, undefined])('refuses what is no object: %j', (json) => {
    expect('problems' in parseAttributes(json, VOCABULARY)).toBe(true)
  })

  it('bounds the problems of a hostile body', () => {
    const hostile = Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`a${i}`, 1]))
    const parsed = parseAttributes(hostile, VOCABULARY)
    expect('problems' in parsed && parsed.problems.length).toBe(50)
  })

  it('takes any JSON: a bag or problems', () => {
    const attributes = fc.dictionary(fc.constantFrom(...VOCABULARY.keys()), fc.jsonValue())
    fc.assert(
      fc.property(fc.oneof(fc.jsonValue(), attributes), (json) => {
        const parsed = parseAttributes(json, VOCABULARY)
        expect('bag' in parsed || parsed.problems.length > 0).toBe(true)
      }),
    )
  })

  it('reads back addresses, times and durations as they are printed', () => {
    const ip = fc.oneof(fc.uint8Array({ minLength: 4, maxLength: 4 }), fc.uint8Array({ minLength: 16, maxLength: 16 }))
    const millis = fc.integer({ min: 0, max: 4e12 })
    fc.assert(
      fc.property(ip, millis, fc.bigInt(INT64), (bytes, time, number) => {
        const timestamp = Timestamp.fromMillis(time)
        const values = valuesOf({ ip_address: formatIp(bytes), timestamp: String(timestamp), int64: String(number) })
        expect(formatIp(values.get('ip_address') as Uint8Array)).toBe(formatIp(bytes))
        expect(values.get('timestamp')).toEqual(timestamp)
        expect(values.get('int64')).toBe(number)
      }),
    )
  })
})

describe('records in the queue', () => {
  const value: fc.Arbitrary<AttributeValue> = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.boolean(),
    fc.double(),
    fc.constantFrom(Number.NaN, -0, Infinity, -Infinity),
    fc.bigInt(INT64),
    fc.uint8Array(),
    fc.bigInt(INT64).map((nanos) => new Timestamp(nanos)),
    fc.bigInt(INT64).map((nanos) => new Duration(nanos)),
    fc.array(fc.tuple(fc.oneof(fc.string(), fc.constant('__proto__')), fc.string())).map((entries) => new Map(entries)),
  )
  const name = fc.oneof(fc.string(), fc.constantFrom('__proto__', 'constructor', 'source.ip'))
  const record = fc.array(fc.tuple(name, value)).map((entries) => new Map(entries))

  it('come back as they were, whatever the types', () => {
    fc.assert(
      fc.property(fc.array(record, { maxLength: 4 }), (records) => {
        const back = decodeRecords(encodeRecords(records.map((values) => new MapBag(values))))
        expect(back.map((bag) => new Map([...bag.names()].map((key) => [key, bag.get(key)])))).toEqual(records)
      }),
    )
  })

  it('keep lone surrogates', () => {
    const [bag] = decodeRecords(encodeRecords([MapBag.of({ a: 'x\ud800y' })]))
    expect(bag?.get('a')).toBe('x\ud800y')
  })

  it('take any bytes and any JSON: records or INVALID_REQUEST', () => {
    const json = fc.jsonValue().map((value) => Buffer.from(JSON.stringify(value)))
    const kinds = fc.constantFrom('int', 'double', 'bytes', 'time', 'span', 'map', 'other')
    const near = fc.array(fc.dictionary(fc.string(), fc.dictionary(kinds, fc.jsonValue(), { maxKeys: 2 })))
    const nearJson = near.map((value) => Buffer.from(JSON.stringify(value)))
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array(), json, nearJson), (payload) => {
        try {
          for (const bag of decodeRecords(payload)) expect([...bag.names()]).toBeDefined()
        } catch (caught) {
          if (!(caught instanceof IntermixError) || caught.code !== 'INVALID_REQUEST') throw caught
        }
      }),
      { numRuns: 500 },
    )
  })
})
