import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { type AttributeBag, MapBag, type Vocabulary } from '../../../src/kernel/attribute-bag.ts'
import { RefusedRequest } from '../../../src/kernel/refused-request.ts'
import { DEFAULT_LIMITS } from '../../../src/kernel/request-limits.ts'
import { Duration, Timestamp } from '../../../src/kernel/time.ts'
import { type AttributeValue, isStringMap, type ValueType } from '../../../src/kernel/value.ts'
import { MAX_USES } from '../../../src/kernel/services.ts'
import { CheckBatches, ENVOY_CHECK, type ReadCheck } from '../../../src/wire/batch/check-batch.ts'
import { CheckBatchWriter } from '../../../src/wire/batch/check-batch-writer.ts'
import type { CheckDemands } from '../../../src/wire/batch/check-demands.ts'
import { MAX_WORDS, PassingWords } from '../../../src/wire/batch/words.ts'
import { CheckRequestSchema } from '../../../src/wire/generated/envoy/service/auth/v3/external_auth_pb.ts'
import { CheckBatchSchema } from '../../../src/wire/generated/intermix/v1/batch_pb.ts'
import { WireWriter } from '../../../src/wire/wire-writer.ts'

const VOCABULARY: Vocabulary = new Map<string, ValueType>([
  ['request.path', 'STRING'],
  ['source.uri', 'URI'],
  ['source.ip', 'IP_ADDRESS'],
  ['request.headers', 'STRING_MAP'],
  ['source.labels', 'STRING_MAP'],
  ['request.size', 'INT64'],
  ['connection.mtls', 'BOOL'],
  ['request.time', 'TIMESTAMP'],
  ['response.duration', 'DURATION'],
  ['rate', 'DOUBLE'],
])

const text = fc.oneof(
  fc.constantFrom('', 'a', 'ab', 'GET', '/books/17', 'x-request-id', 'zoë', 'rate'),
  fc.string({ unit: 'grapheme' }),
  fc.string({ minLength: 250, maxLength: 400 }),
)
const entries = fc.dictionary(
  text.map((key) => key.toLowerCase()),
  text,
)
const map = entries.map((record): AttributeValue => new Map(Object.entries(record)))
const int64 = fc.oneof(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), fc.bigInt(-300n, 300n))
const VALUES: Readonly<Record<string, fc.Arbitrary<AttributeValue>>> = {
  'request.path': text,
  'source.uri': text,
  'source.ip': fc.oneof(
    fc.uint8Array({ minLength: 4, maxLength: 4 }),
    fc.uint8Array({ minLength: 16, maxLength: 16 }),
    fc.constant(Uint8Array.of(10, 0, 0, 1)),
  ),
  'request.headers': map,
  'source.labels': map,
  'request.size': int64,
  'connection.mtls': fc.boolean(),
  'request.time': int64.map((nanos) => new Timestamp(nanos)),
  'response.duration': int64.map((nanos) => new Duration(nanos)),
  rate: fc.double(),
  'not.declared': text,
}
const attributes = fc.record(VALUES, { requiredKeys: [] }) as fc.Arbitrary<Record<string, AttributeValue>>

const quota = fc.record({ amount: fc.maxSafeNat(), bestEffort: fc.boolean() })
const named = fc.uniqueArray(fc.tuple(text, quota), { minLength: 1, maxLength: 3, selector: ([name]) => name })
const id = text.filter((each) => each !== '')
const demands = fc.oneof(
  fc.constant(undefined),
  fc.record(
    {
      quotas: named.map((all) => new Map(all)),
      deduplicationId: id,
      charging: fc.constantFrom('all' as const, 'named' as const, 'none' as const),
      uses: fc.integer({ min: -MAX_USES, max: MAX_USES }),
    },
    { requiredKeys: [] },
  ),
  fc.record({
    quotas: named.map((all) => new Map(all.map(([name, each]) => [name, { ...each, amount: -each.amount }]))),
    quotasOnly: fc.constant(true),
  }),
)
/** What stands for what is not said is not told. */
function asked(given: CheckDemands | undefined): CheckDemands {
  const { charging, uses, quotas, ...rest } = given ?? {}
  const whole = (amount: number) => (amount === 0 ? 0 : amount)
  return {
    ...rest,
    ...(quotas && {
      quotas: new Map(Array.from(quotas, ([name, each]) => [name, { ...each, amount: whole(each.amount) }])),
    }),
    ...(charging !== undefined && charging !== 'all' && { charging }),
    ...(uses !== undefined && uses !== 0 && { uses }),
  }
}

/** All that a bag says, in a form that compares. */
function said(bag: AttributeBag): unknown {
  return [...bag.names()].toSorted().map((name) => {
    const value = bag.get(name)
    if (typeof value !== 'object' || !isStringMap(value)) return [name, value]
    const keys = [...value.entries()].map(([key]) => key)
    return [name, value.size, keys.toSorted(), keys.map((key) => value.get(key)), value.get('no such key')]
  })
}

/** @param meanwhile hears of each check before the next one is read */
function reader(meanwhile: (check: ReadCheck) => void = () => {}) {
  const batches = new CheckBatches(DEFAULT_LIMITS)
  return (message: Uint8Array): ReadCheck[] => {
    const checks: ReadCheck[] = []
    batches.begin(message)
    for (let check = batches.next(VOCABULARY); check !== undefined; check = batches.next(VOCABULARY)) {
      meanwhile(check)
      checks.push(check)
    }
    return checks
  }
}

/** A message by hand: words, then one check of such fields. */
function message(words: readonly (string | Uint8Array)[], write: (writer: WireWriter) => void): Buffer {
  const writer = new WireWriter()
  for (const word of words) writer.bytes(2, typeof word === 'string' ? Buffer.from(word) : word, true)
  const check = writer.open(4)
  writer.uint(1, 7)
  write(writer)
  writer.close(check)
  return writer.take()
}

/** What Envoy would ask of a request for `/a`. */
const ENVOY = toBinary(
  CheckRequestSchema,
  create(CheckRequestSchema, { attributes: { request: { http: { method: 'GET', path: '/a' } } } }),
)

function packed(writer: WireWriter, field: number, ...numbers: readonly number[]): void {
  const opened = writer.open(field)
  for (const number of numbers) writer.packedSint32(number)
  writer.close(opened)
}

function demand(writer: WireWriter, word: number, amount: number): void {
  const field = writer.open(11)
  writer.sint32(1, word)
  writer.int64(2, amount)
  writer.close(field)
}

describe('batches of checks', () => {
  it.each([
    ['many words', { maxWords: MAX_WORDS, maxBytes: 1e6 }],
    ['few words', { maxWords: 24, maxBytes: 1e6 }],
    ['few bytes', { maxWords: MAX_WORDS, maxBytes: 400 }],
  ])('say what was written, batch after batch, with room for %s', (_, bounds) => {
    fc.assert(
      fc.property(fc.array(fc.array(fc.tuple(attributes, demands), { maxLength: 5 }), { maxLength: 8 }), (given) => {
        const writer = new CheckBatchWriter(bounds)
        const read = reader()
        const again = reader()
        const kept: [AttributeBag, AttributeBag][] = []
        for (const checks of given) {
          const bags = checks.map(([each]) => MapBag.of(each))
          for (const [at, bag] of bags.entries()) writer.add(at + 1, at * 10, bag, checks[at]?.[1])
          expect(writer.count).toBe(bags.length)
          const bytes = writer.take()
          const found = read(bytes)
          expect(found.map(({ id, timeoutMs, problem }) => [id, timeoutMs, problem])).toEqual(
            bags.map((__, id) => [id + 1, id * 10, undefined]),
          )
          // As protobuf's own library understands it, and writes it.
          const restated = again(toBinary(CheckBatchSchema, fromBinary(CheckBatchSchema, bytes)))
          for (const [at, bag] of bags.entries()) {
            expect({ ...found[at]?.demands }).toEqual(asked(checks[at]?.[1]))
            expect({ ...restated[at]?.demands }).toEqual(asked(checks[at]?.[1]))
            expect(said(found[at]?.bag ?? bag)).toEqual(said(bag))
            expect(said(restated[at]?.bag ?? bag)).toEqual(said(bag))
            if (found[at] !== undefined) kept.push([found[at].bag, bag])
          }
        }
        // What the peer forgot meanwhile is still what it was.
        for (const [bag, wanted] of kept) expect(said(bag)).toEqual(said(wanted))
      }),
      { numRuns: 100 },
    )
  })

  it('are read on where they were left, whatever is read of a check before the next one', () => {
    const names = Object.keys(VALUES)
    fc.assert(
      fc.property(fc.array(fc.tuple(attributes, fc.subarray(names)), { maxLength: 5 }), (given) => {
        const writer = new CheckBatchWriter()
        for (const [id, [each]] of given.entries()) writer.add(id, 0, MapBag.of(each))
        const read = reader(({ id, bag }) => {
          for (const name of given[id]?.[1] ?? []) bag.get(name)
        })
        const found = read(writer.take())
        expect(found.map(({ id, bag }) => [id, said(bag)])).toEqual(
          given.map(([each], id) => [id, said(MapBag.of(each))]),
        )
      }),
    )
  })

  it('ask by what Envoy would ask as by attributes', () => {
    fc.assert(
      fc.property(fc.array(demands, { minLength: 1, maxLength: 5 }), (given) => {
        const writer = new CheckBatchWriter()
        for (const [id, each] of given.entries()) writer.add(id, id * 10, ENVOY, each)
        const found = reader()(writer.take())
        expect(found.map(({ id, timeoutMs, problem }) => [id, timeoutMs, problem])).toEqual(
          given.map((_, id) => [id, id * 10, undefined]),
        )
        for (const [at, check] of found.entries()) {
          expect({ ...check.demands }).toEqual(asked(given[at]))
          expect(check.bag.get('request.path')).toBe('/a')
        }
      }),
    )
  })

  it('send a word once that comes again, and one that differs each time with its batch alone', () => {
    const writer = new CheckBatchWriter()
    const sizeOf = (id: number) => {
      writer.add(
        id,
        0,
        MapBag.of({ 'request.path': '/the/same/path/each/time', 'source.uri': `id-${id}-${'x'.repeat(50)}` }),
      )
      return writer.take().length
    }
    const sizes = [1, 2, 3, 4].map(sizeOf)
    expect(sizes[3]).toBe(sizes[2])
    expect(sizes[2]).toBeLessThan(80)
    expect(sizes[0]).toBeGreaterThan(110)
  })

  it('keep apart a text and an address, whatever the text is made of', () => {
    const writer = new CheckBatchWriter()
    const read = reader()
    // Half of a surrogate pair, and what the bytes of the address would be as characters.
    const bag = MapBag.of({ 'source.ip': Uint8Array.of(97, 98, 99, 100), 'request.path': '\udc00abcd' })
    for (let time = 0; time < 3; time++) {
      writer.add(time, 0, bag)
      const [check] = read(writer.take())
      expect(check?.problem).toBeUndefined()
      expect(check?.bag.get('request.path')).toBe('\ufffdabcd')
      expect(check?.bag.get('source.ip')).toEqual(Uint8Array.of(97, 98, 99, 100))
    }
  })

  it('are whole without a check whose attributes cannot be read', () => {
    const writer = new CheckBatchWriter()
    const broken: AttributeBag = {
      names: () => ['request.path', 'request.size', 'source.labels'],
      get(name) {
        if (name === 'source.labels') throw new Error('two readings')
        return name === 'request.path' ? '/broken' : 7n
      },
    }
    writer.add(1, 0, MapBag.of({ 'request.path': '/a' }))
    expect(() => writer.add(2, 0, broken)).toThrow('two readings')
    writer.add(3, 0, MapBag.of({ 'request.path': '/b' }))
    expect(reader()(writer.take()).map(({ id, bag }) => [id, said(bag)])).toEqual([
      [1, [['request.path', '/a']]],
      [3, [['request.path', '/b']]],
    ])
  })

  const PATH = 'request.path'
  it.each<[string, string, Buffer]>([
    ['a name without a word', 'no lasting word has the number 5', message([PATH], (w) => packed(w, 3, 5, 0))],
    ['a passing name', 'no lasting word has the number -1', message([PATH], (w) => packed(w, 3, -1, 0))],
    ['a value without a word', 'no word has the number 9', message([PATH], (w) => packed(w, 3, 0, 9))],
    ['a passing value without a word', 'no word has the number -1', message([PATH], (w) => packed(w, 3, 0, -1))],
    ['an attribute twice', 'states request.path twice', message([PATH], (w) => packed(w, 3, 0, 0, 0, 0))],
    [
      'an attribute twice, by two words',
      'states request.path twice',
      message([PATH, PATH], (w) => packed(w, 3, 0, 0, 1, 0)),
    ],
    [
      'an attribute of another kind',
      'request.path is sent as integer and must be text',
      message([PATH], (w) => packed(w, 6, 0, 1)),
    ],
    ['text that is not UTF-8', 'word 1 is not UTF-8', message([PATH, Buffer.of(0xff)], (w) => packed(w, 3, 0, 1))],
    [
      'an address of another size',
      'an IP address of 3 bytes',
      message(['source.ip', 'abc'], (w) => packed(w, 5, 0, 1)),
    ],
    [
      'more map entries than are taken',
      'more than 1000 map entries',
      message(['source.labels', 'k'], (w) => {
        const field = w.open(4)
        packed(w, 2, ...Array.from({ length: 1_001 }, () => [1, 1]).flat())
        w.close(field)
      }),
    ],
    [
      'more bytes than are taken, by few words',
      'the attributes have more than 262144 bytes',
      message(['source.labels', 'k'.repeat(100_000)], (w) => {
        const field = w.open(4)
        packed(w, 2, 1, 1, 1, 1)
        w.close(field)
      }),
    ],
    [
      'headers whose names differ by case',
      'the request has the header host more than once',
      message(['request.headers', 'host', 'Host', 'a'], (w) => {
        const field = w.open(4)
        packed(w, 2, 1, 3, 2, 3)
        w.close(field)
      }),
    ],
    [
      'attributes and what Envoy would ask',
      'both attributes and envoy_check',
      message([PATH, '/'], (w) => {
        packed(w, 3, 0, 1)
        w.bytes(ENVOY_CHECK, ENVOY, true)
      }),
    ],
    ['what no Envoy would ask', 'nor which connection', message([], (w) => w.bytes(ENVOY_CHECK, Buffer.of(), true))],
    ['too many uses', 'more than 10000 uses', message([], (w) => w.sint32(14, -10_001))],
    ['quotas alone, and none', 'none is named', message([], (w) => w.bool(15, true))],
    ['a quota without a name', 'no word has the number 0', message([], (w) => demand(w, 0, 1))],
    ['a quota whose name is no text', 'word 0 is not UTF-8', message([Buffer.of(0xff)], (w) => demand(w, 0, 1))],
    ['an amount below 0 of a check', 'is below 0', message(['a'], (w) => demand(w, 0, -1))],
    ['an amount that cannot be counted', 'cannot be counted', message(['a'], (w) => demand(w, 0, 2 ** 53))],
    [
      'a quota twice',
      'names the quota a twice',
      message(['a'], (w) => {
        demand(w, 0, 1)
        demand(w, 0, 1)
      }),
    ],
    [
      'very many quotas',
      'more than 100 quotas',
      message(
        Array.from({ length: 101 }, (__, n) => String(n)),
        (w) => {
          for (let word = 0; word <= 100; word++) demand(w, word, 1)
        },
      ),
    ],
  ])('refuse a check with %s, and no other', (_, why, bytes) => {
    const read = reader()
    const [bad, more] = read(Buffer.concat([bytes, message(['source.uri'], () => {})]))
    expect(bad?.id).toBe(7)
    expect(bad?.problem).toBeInstanceOf(RefusedRequest)
    expect(bad?.problem?.message).toContain(why)
    expect(more?.problem).toBeUndefined()
  })

  it('leave a check to other nodes that a later version has said how to charge, and refuse it to nobody', () => {
    const [newer] = reader()(message([], (w) => w.uint(13, 3)))
    expect(newer?.problem).toMatchObject({ code: 'NOT_READY', retryable: true })
  })

  it('refuse at once what names a large word again and again', () => {
    const large = Buffer.alloc(1_024 * 1_024, 0x61)
    const looked = vi.spyOn(PassingWords.prototype, 'isText')
    const writer = new WireWriter()
    writer.bytes(2, Buffer.from('source.labels'), true)
    writer.bytes(3, large, true)
    const check = writer.open(4)
    const field = writer.open(4)
    packed(writer, 2, ...Array.from({ length: 1_000 }, () => [-1, -1]).flat())
    writer.close(field)
    writer.close(check)
    const [refused] = reader()(writer.take())
    expect(refused?.problem?.message).toContain('the attributes have more than 262144 bytes')
    expect(looked).not.toHaveBeenCalled()
  })

  it('have names of headers in lower case', () => {
    const [check] = reader()(
      message(['request.headers', 'X-User', 'ann'], (w) => {
        const field = w.open(4)
        packed(w, 2, 1, 2)
        w.close(field)
      }),
    )
    expect(check?.bag.get('request.headers')).toEqual(new Map([['x-user', 'ann']]))
  })

  it.each<[string, Buffer]>([
    ['a name without a value', message([PATH], (w) => packed(w, 3, 0))],
    ['numbers that are not packed', message([PATH], (w) => w.uint(3, 2))],
    ['a length beyond the end', Buffer.of(0x22, 0x05, 0x08)],
    ['a group', Buffer.of(0x23, 0x24)],
    ['a second reset', Buffer.of(8, 1, 8, 1)],
  ])('are malformed with %s', (_, bytes) => {
    expect(() => reader()(bytes)).toThrow('malformed protobuf message')
  })

  it('are refused with more lasting words than a connection may have, until these are forgotten', () => {
    const words = Array.from({ length: MAX_WORDS }, (_, n) => String(n))
    const read = reader()
    read(message(words, () => {}))
    expect(() => read(message(['one more'], () => {}))).toThrow('send reset and begin anew')
    const beginning = Buffer.concat([Buffer.of(8, 1), message([PATH, '/a'], (w) => packed(w, 3, 0, 1))])
    expect(read(beginning)[0]?.bag.get(PATH)).toBe('/a')
    const large = Buffer.alloc(3 * 1_024 * 1_024, 0x61)
    expect(() => read(message([large, large], () => {}))).toThrow('send reset and begin anew')
  })
})
