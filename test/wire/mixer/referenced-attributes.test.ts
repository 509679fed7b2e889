import { fromBinary } from '@bufbuild/protobuf'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MapBag, type Vocabulary } from '../../../src/kernel/attribute-bag.ts'
import type { ReferencedAttribute } from '../../../src/kernel/read-log.ts'
import { Duration } from '../../../src/kernel/time.ts'
import { isStringMap } from '../../../src/kernel/value.ts'
import {
  ReferencedAttributes_Condition,
  ReferencedAttributesSchema,
} from '../../../src/wire/generated/istio/mixer/v1/mixer_pb.ts'
import { encodeReferenced } from '../../../src/wire/mixer/referenced-attributes.ts'
import { type WireReferenced, wouldReuse } from './client-model.ts'
import { type Attributes, plain } from './compress.ts'

const VOCABULARY: Vocabulary = new Map([
  ['source.name', 'STRING'],
  ['source.namespace', 'STRING'],
  ['source.ip', 'STRING'],
  ['response.duration', 'DURATION'],
  ['own.attribute', 'STRING'],
  ['request.headers', 'STRING_MAP'],
  ['request.auth.claims', 'STRING_MAP'],
])

function scalar(name: string, condition: ReferencedAttribute['condition'] = 'EXACT'): ReferencedAttribute {
  return { name, key: undefined, condition, whole: false }
}

function keyOf(name: string, key: string, condition: ReferencedAttribute['condition'] = 'EXACT'): ReferencedAttribute {
  return { name, key, condition, whole: false }
}

function encode(referenced: readonly ReferencedAttribute[], request: Attributes, globalWordCount = 222) {
  const bag = MapBag.of(request)
  const { bytes, complete } = encodeReferenced(referenced, { globalWordCount, vocabulary: VOCABULARY, bag })
  const message = fromBinary(ReferencedAttributesSchema, bytes)
  const matches = message.attributeMatches.map(({ name, mapKey, condition }) => ({
    name,
    mapKey,
    condition: condition === ReferencedAttributes_Condition.EXACT ? ('EXACT' as const) : ('ABSENCE' as const),
  }))
  return { words: message.words, matches, complete }
}

describe('encodeReferenced', () => {
  it('names scalars and map keys by their global positions', () => {
    const request = { 'source.name': 'a', 'request.headers': new Map([[':method', 'GET']]) }
    const reads = [scalar('source.name'), scalar('source.namespace', 'ABSENCE'), keyOf('request.headers', ':method')]
    expect(encode(reads, request)).toEqual({
      words: [],
      matches: [
        { name: 2, mapKey: 0, condition: 'EXACT' },
        { name: 4, mapKey: 0, condition: 'ABSENCE' },
        { name: 15, mapKey: 32, condition: 'EXACT' },
      ],
      complete: true,
    })
  })

  it('uses only the global words that the caller knows, and states each other word once', () => {
    const headers = new Map([
      ['own', '1'],
      [':method', 'GET'],
    ])
    const request = { 'own.attribute': 'x', 'request.headers': headers, 'request.auth.claims': new Map([['own', '2']]) }
    const reads = [
      scalar('own.attribute'),
      keyOf('request.headers', 'own'),
      keyOf('request.headers', ':method'),
      keyOf('request.auth.claims', 'own'),
    ]
    const small = encode(reads, request, 33)
    expect(small.words).toEqual(['own.attribute', 'own', 'request.auth.claims'])
    expect(small.matches.map(({ name, mapKey }) => [name, mapKey])).toEqual([
      [-1, 0],
      [15, -2],
      [15, 32],
      [-3, -2],
    ])
    expect(encode(reads, request, 0).matches.every(({ name }) => name < 0)).toBe(true)
    expect(encode(reads, request, 9999).words).toEqual(['own.attribute', 'own'])
  })

  it('sends the map key that is word 0 as a message word, never as 0', () => {
    const headers = new Map([['source.ip', '1']])
    const { words, matches } = encode([keyOf('request.headers', 'source.ip')], { 'request.headers': headers })
    expect(words).toEqual(['source.ip'])
    expect(matches).toEqual([{ name: 15, mapKey: -1, condition: 'EXACT' }])
  })

  it('shows by a key that the map has that the map was there, where only missing keys were read', () => {
    const headers = new Map([
      ['a', '1'],
      [':method', 'GET'],
    ])
    const reads = [scalar('request.headers'), keyOf('request.headers', 'x', 'ABSENCE')]
    const { matches, words, complete } = encode(reads, { 'request.headers': headers })
    expect(complete).toBe(true)
    expect(words).toEqual(['x'])
    expect(matches).toEqual([
      { name: 15, mapKey: -1, condition: 'ABSENCE' },
      { name: 15, mapKey: 32, condition: 'EXACT' },
    ])
    const other = encode(reads, { 'request.headers': new Map([['b', '2']]) })
    expect(other.words).toEqual(['x', 'b'])
    expect(other.complete).toBe(true)
  })

  it.each([
    ['the absence of a map', scalar('request.auth.claims', 'ABSENCE'), {}],
    ['all of a map', { ...scalar('request.headers'), whole: true }, { 'request.headers': new Map([['a', '1']]) }],
    ['a key missing in an empty map', keyOf('request.headers', 'a', 'ABSENCE'), { 'request.headers': new Map() }],
    ['an attribute of no known type', scalar('unheard.of'), { 'unheard.of': 'x' }],
    ['a value with a NUL byte', scalar('source.name'), { 'source.name': 'a\0b' }],
    ['a map entry with a NUL byte', keyOf('request.headers', 'a'), { 'request.headers': new Map([['a', '1\0']]) }],
  ] satisfies [string, ReferencedAttribute, Attributes][])('is not complete for %s', (_, read, request) => {
    expect(encode([read], request).complete).toBe(false)
  })

  const text = fc.constantFrom('', 'a', 'b', 'a\0source.namespace\0b', 'source.ip')
  const map = fc.dictionary(fc.constantFrom('', 'a', 'b', 'source.ip', ':method'), text).map((entries) => {
    return new Map(Object.entries(entries))
  })
  const request: fc.Arbitrary<Attributes> = fc
    .record(
      {
        'source.name': text,
        'source.namespace': text,
        'source.ip': text,
        'response.duration': fc.bigInt(0n, 2n).map((nanos) => new Duration(nanos)),
        'request.headers': map,
        'request.auth.claims': map,
      },
      { requiredKeys: [] },
    )
    .map((values) => values as Attributes)
  const question = fc.oneof(
    fc.record({ name: fc.constantFrom(...VOCABULARY.keys()), whole: fc.boolean() }),
    fc.record({
      name: fc.constantFrom('request.headers', 'request.auth.claims'),
      key: fc.constantFrom('', 'a', 'b', 'source.ip', 'z'),
    }),
  )

  interface Question {
    readonly name: string
    readonly key?: string
    readonly whole?: boolean
  }

  /** What an evaluation that asks these questions reads, and everything that its result can depend on. */
  function evaluate(questions: readonly Question[], bag: Attributes) {
    const reads: ReferencedAttribute[] = []
    const seen: unknown[] = []
    for (const { name, key, whole = false } of questions) {
      const value = bag[name]
      if (key === undefined) {
        const isMap = VOCABULARY.get(name) === 'STRING_MAP'
        reads.push({ ...scalar(name, value === undefined ? 'ABSENCE' : 'EXACT'), whole: whole && isMap })
        seen.push(isMap && !whole ? value !== undefined : plain(value))
      } else {
        reads.push(scalar(name, value === undefined ? 'ABSENCE' : 'EXACT'))
        seen.push(value !== undefined)
        if (value === undefined || !isStringMap(value)) continue
        const entry = value.get(key)
        reads.push(keyOf(name, key, entry === undefined ? 'ABSENCE' : 'EXACT'))
        seen.push(entry)
      }
    }
    return { reads, seen }
  }

  it('never lets an Istio 1.4 client reuse an answer for a request that differs in what was read', () => {
    const counts = { reused: 0, incomplete: 0 }
    fc.assert(
      fc.property(fc.array(question, { maxLength: 4 }), request, request, (questions, first, later) => {
        const { reads, seen } = evaluate(questions, first)
        const encoded = encode(reads, first)
        const reused = encoded.complete && wouldReuse(first, encoded, later)
        if (!encoded.complete) counts.incomplete++
        if (reused) counts.reused++
        expect(reused ? evaluate(questions, later).seen : seen).toEqual(seen)
      }),
      { numRuns: 5000 },
    )
    expect(counts.reused).toBeGreaterThan(50)
    expect(counts.incomplete).toBeGreaterThan(50)
  })

  it('lets the client reuse an answer for an equal request', () => {
    fc.assert(
      fc.property(fc.array(question, { maxLength: 4 }), request, (questions, first) => {
        const encoded: WireReferenced & { complete: boolean } = encode(evaluate(questions, first).reads, first)
        expect(wouldReuse(first, encoded, { ...first }) || !encoded.complete).toBe(true)
      }),
      { numRuns: 1000 },
    )
  })

  it('keeps a forged NUL byte from making two requests look alike to the client', () => {
    const first = { 'source.name': 'a\0source.namespace\0b', 'source.namespace': 'a' }
    const later = { 'source.name': 'a', 'source.namespace': 'b\0source.namespace\0a' }
    const encoded = encode([scalar('source.name'), scalar('source.namespace')], first)
    expect(wouldReuse(first, encoded, later)).toBe(true)
    expect(encoded.complete).toBe(false)
  })

  it('cannot say that a key is absent where the map is: the client would learn the absence of another key', () => {
    // `(request.headers["x-user"] | "") == "john"` gives the same without headers and without the header.
    const absentKey = { words: ['x-user'], matches: [{ name: 15, mapKey: -1, condition: 'ABSENCE' as const }] }
    const john = { 'request.headers': new Map([['x-user', 'john']]) }
    expect(wouldReuse({}, absentKey, john)).toBe(true)
    expect(wouldReuse({ 'request.headers': new Map([['a', '1']]) }, absentKey, john)).toBe(false)
    expect(encode([scalar('request.headers', 'ABSENCE')], {}).complete).toBe(false)
  })

  it('would be caught by that test if it sent map reads as Mixer did', () => {
    const absentMap = { words: [], matches: [{ name: 2, mapKey: 0, condition: 'EXACT' as const }] }
    const asMixer = {
      ...absentMap,
      matches: [...absentMap.matches, { name: 175, mapKey: 0, condition: 'ABSENCE' as const }],
    }
    const later = { 'source.name': 'a', 'request.auth.claims': new Map([['group', 'admin']]) }
    expect(wouldReuse({ 'source.name': 'a' }, asMixer, later)).toBe(true)
  })
})
