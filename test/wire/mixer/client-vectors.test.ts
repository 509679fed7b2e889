// The shared vectors of Istio's Mixer client, as far as they concern the wire. The others describe the client's own
// cache, prefetch and batching and are run where Intermix plays the client: see CLIENT_SIDE below.

import { create, fromBinary, toBinary, toJson } from '@bufbuild/protobuf'
import { describe, expect, it } from 'vitest'
import { MapBag, type Vocabulary } from '../../../src/kernel/attribute-bag.ts'
import { Code, type CodeName, httpStatusOf } from '../../../src/kernel/status.ts'
import type { ValueType } from '../../../src/kernel/value.ts'
import { CompressedAttributesSchema } from '../../../src/wire/generated/istio/mixer/v1/attributes_pb.ts'
import { ReportRequestSchema } from '../../../src/wire/generated/istio/mixer/v1/mixer_pb.ts'
import { CompressedAttributesBag } from '../../../src/wire/mixer/compressed-attributes-bag.ts'
import { decodeMixerReport } from '../../../src/wire/mixer/decode-report.ts'
import { GLOBAL_INDEX } from '../../../src/wire/mixer/dictionary.ts'
import { encodeReferenced } from '../../../src/wire/mixer/referenced-attributes.ts'
import { sharedData } from '../../helpers/shared-data.ts'
import { fill, signature, type WireReferenced, wouldReuse } from './client-model.ts'
import { type Attributes, compress, encodeAttributes, plain } from './compress.ts'
import { attributesOf, type VectorAttributes } from './vector-values.ts'

const CLIENT_SIDE = [
  'check_cache',
  'quota_cache',
  'quota_prefetch',
  'time_based_counter',
  'circular_queue',
  'report_batch',
  'client_impl',
  'quota_spec_match',
  'retry_delay',
]
const SERVER_SIDE = [
  '_about',
  'attribute_compressor',
  'referenced_attributes',
  'attributes_builder_http',
  'status_to_http',
]

interface WireMap {
  readonly [index: string]: unknown
}

interface Compressed {
  readonly words?: readonly string[]
  readonly strings: WireMap
  readonly int64s: WireMap
  readonly doubles: WireMap
  readonly bools: WireMap
  readonly timestamps: WireMap
  readonly durations: WireMap
  readonly bytes: Readonly<Record<string, string>>
  readonly string_maps: WireMap
}

interface VectorReferenced {
  readonly words: readonly string[]
  readonly attribute_matches: readonly {
    readonly name: number
    readonly map_key?: number
    readonly condition: 'ABSENCE' | 'EXACT' | 'REGEX'
  }[]
}

interface FillCase {
  readonly name: string
  readonly attributes: VectorAttributes
  readonly referenced: VectorReferenced
  readonly ok: boolean
  readonly debug?: string
}

interface SignatureCase {
  readonly name: string
  readonly fill_attributes: VectorAttributes
  readonly referenced: VectorReferenced
  readonly request: VectorAttributes
  readonly match: boolean
}

interface Vectors {
  readonly attribute_compressor: readonly {
    readonly name: string
    readonly attributes: VectorAttributes
    readonly batch: readonly VectorAttributes[]
    readonly hex: string
    readonly expect: Compressed
    readonly expect_report_request: { readonly attributes: readonly Compressed[]; readonly default_words: string[] }
    readonly lookup: Readonly<Record<string, number | null>>
  }[]
  readonly referenced_attributes: {
    readonly fill: readonly FillCase[]
    readonly signature: readonly SignatureCase[]
    readonly defects_to_avoid: readonly {
      readonly name: string
      readonly first_request: VectorAttributes
      readonly referenced_from_server: VectorReferenced
      readonly second_request: VectorAttributes
    }[]
  }
  readonly attributes_builder_http: readonly { readonly name: string; readonly expect: VectorAttributes }[]
  readonly status_to_http: Readonly<Record<CodeName, number>>
}

const vectors = sharedData('mixer-client-vectors.json') as Vectors
const manifest = sharedData('attribute-manifest.json') as Record<string, { valueType: ValueType }>
const UNTYPED: Vocabulary = new Map()

function compressor(name: string) {
  const found = vectors.attribute_compressor.find((vector) => vector.name === name)
  if (found === undefined) throw new Error(`the vectors have no ${name}`)
  return found
}

/** The vector's form of the message (plain numbers, bytes as text) in protobuf's JSON form. */
function messageOf(vector: Compressed) {
  const parts = (map: WireMap) => {
    const entries = Object.entries(map as Record<string, { seconds: number; nanos: number }>)
    return Object.fromEntries(entries.map(([k, v]) => [k, { seconds: BigInt(v.seconds), nanos: v.nanos }]))
  }
  const int64s = Object.entries(vector.int64s).map(([k, v]) => [k, BigInt(v as number)])
  const bytes = Object.entries(vector.bytes).map(([k, v]) => [k, new Uint8Array(Buffer.from(v))])
  return {
    words: [...(vector.words ?? [])],
    strings: vector.strings as Record<number, number>,
    int64s: Object.fromEntries(int64s) as Record<number, bigint>,
    doubles: vector.doubles as Record<number, number>,
    bools: vector.bools as Record<number, boolean>,
    timestamps: parts(vector.timestamps),
    durations: parts(vector.durations),
    bytes: Object.fromEntries(bytes) as Record<number, Uint8Array>,
    stringMaps: vector.string_maps as Record<number, { entries: Record<number, number> }>,
  }
}

function contents(bytes: Uint8Array): Record<string, unknown> {
  const bag = CompressedAttributesBag.decode(bytes, { vocabulary: UNTYPED })
  return Object.fromEntries([...bag.names()].map((name) => [name, plain(bag.get(name))]))
}

function plainOf(attributes: Attributes): Record<string, unknown> {
  return Object.fromEntries(Object.entries(attributes).map(([name, value]) => [name, plain(value)]))
}

function wire(referenced: VectorReferenced): WireReferenced {
  const matches = referenced.attribute_matches.map(({ name, map_key: mapKey = 0, condition }) => {
    return { name, mapKey, condition }
  })
  return { words: referenced.words, matches }
}

describe.skipIf(vectors === undefined)('vectors of the Mixer client', () => {
  it('are all accounted for: run here or by the client side', () => {
    expect(Object.keys(vectors).toSorted()).toEqual([...CLIENT_SIDE, ...SERVER_SIDE].toSorted())
  })

  it('attribute_compressor: the bag has what the client compressed', () => {
    const vector = compressor('CompressTest')
    const attributes = attributesOf(vector.attributes)
    expect(contents(encodeAttributes(messageOf(vector.expect)))).toEqual(plainOf(attributes))
    expect(contents(encodeAttributes(compress(attributes)))).toEqual(plainOf(attributes))
  })

  it('attribute_compressor: the bytes on the wire decode to the same', () => {
    const bytes = Buffer.from(compressor('CompressTest_wire').hex, 'hex')
    expect(contents(bytes)).toEqual(plainOf(attributesOf(compressor('CompressTest').attributes)))
    const decoded = toJson(CompressedAttributesSchema, fromBinary(CompressedAttributesSchema, bytes))
    const expected = create(CompressedAttributesSchema, messageOf(compressor('CompressTest').expect))
    expect(decoded).toEqual(toJson(CompressedAttributesSchema, expected))
  })

  it('attribute_compressor: a batch shares its words and its records stand alone', () => {
    const { batch, expect_report_request: report } = compressor('BatchCompressTest')
    const message = create(ReportRequestSchema, {
      attributes: report.attributes.map((element) => messageOf(element)),
      defaultWords: report.default_words,
      repeatedAttributesSemantics: 1,
    })
    const bags = decodeMixerReport(toBinary(ReportRequestSchema, message), UNTYPED)
    const found = bags.map((bag) => Object.fromEntries([...bag.names()].map((name) => [name, plain(bag.get(name))])))
    expect(found).toEqual(batch.map((attributes) => plainOf(attributesOf(attributes))))
  })

  it('attribute_compressor: a client that knows only the base words is understood', () => {
    const attributes = attributesOf(compressor('shrink_to_base').attributes)
    expect(contents(encodeAttributes(compress(attributes, 111)))).toEqual(plainOf(attributes))
  })

  it('attribute_compressor: a word is stated once', () => {
    expect(compress(attributesOf(compressor('same_word_twice').attributes)).words?.toSorted()).toEqual([
      'a.b',
      'c.d',
      'zz',
    ])
  })

  it('attribute_compressor: quoted words keep their quotes', () => {
    for (const [word, index] of Object.entries(compressor('quoted_words').lookup)) {
      expect(GLOBAL_INDEX.get(word) ?? null, word).toBe(index)
    }
  })

  it('referenced_attributes: our model of the client fills as the client does', () => {
    for (const vector of vectors.referenced_attributes.fill) {
      const learnt = fill(attributesOf(vector.attributes), wire(vector.referenced))
      expect(learnt !== undefined, vector.name).toBe(vector.ok)
      if (vector.debug === undefined) continue
      const list = (condition: string) => {
        const keys = (learnt ?? []).filter((entry) => entry.condition === condition)
        return keys.map(({ name, key }) => `${key === '' ? name : `${name}[${key}]`}, `).join('')
      }
      expect(`Absence-keys: ${list('ABSENCE')}Exact-keys: ${list('EXACT')}`).toBe(vector.debug)
    }
  })

  it('referenced_attributes: our model of the client matches as the client does', () => {
    for (const vector of vectors.referenced_attributes.signature) {
      const learnt = fill(attributesOf(vector.fill_attributes), wire(vector.referenced))
      const found = signature(attributesOf(vector.request), learnt ?? [])
      expect(learnt !== undefined && found !== undefined, vector.name).toBe(vector.match)
    }
  })

  it('referenced_attributes: no client may keep an answer that depends on the absence of a map', () => {
    const [defect] = vectors.referenced_attributes.defects_to_avoid
    if (defect?.name !== 'absent_whole_map_then_present') throw new Error('the vectors changed')
    const first = attributesOf(defect.first_request)
    expect(wouldReuse(first, wire(defect.referenced_from_server), attributesOf(defect.second_request))).toBe(true)
    const referenced = [
      { name: 'source.name', key: undefined, condition: 'EXACT' as const, whole: false },
      { name: 'request.auth.claims', key: undefined, condition: 'ABSENCE' as const, whole: false },
    ]
    const vocabulary: Vocabulary = new Map([
      ['source.name', 'STRING'],
      ['request.auth.claims', 'STRING_MAP'],
    ])
    const options = { globalWordCount: 222, vocabulary, bag: MapBag.of(first) }
    expect(encodeReferenced(referenced, options).complete).toBe(false)
    expect(encodeReferenced(referenced.slice(0, 1), options).complete).toBe(true)
  })

  it.skipIf(manifest === undefined)('attributes_builder_http: what a proxy sends has the declared types', () => {
    const vocabulary: Vocabulary = new Map(Object.entries(manifest).map(([name, entry]) => [name, entry.valueType]))
    let typed = 0
    for (const { name: test, expect: attributes } of vectors.attributes_builder_http) {
      const sent = attributesOf(attributes)
      const bag = CompressedAttributesBag.decode(encodeAttributes(compress(sent)), { vocabulary })
      for (const [name, value] of Object.entries(sent)) {
        // The client's own test has the text of an address where a proxy sends its bytes.
        if (vocabulary.get(name) === 'IP_ADDRESS') continue
        if (vocabulary.has(name)) typed++
        expect(plain(bag.get(name)), `${test}: ${name}`).toEqual(plain(value))
      }
    }
    expect(typed).toBeGreaterThan(30)
  })

  it('status_to_http: codes become the same HTTP status', () => {
    for (const [name, status] of Object.entries(vectors.status_to_http)) {
      expect(httpStatusOf(Code[name as CodeName]), name).toBe(status)
    }
  })
})
