import { create, type JsonValue, toBinary } from '@bufbuild/protobuf'
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { AttributeBag, Vocabulary } from '../../src/kernel/attribute-bag.ts'
import { IntermixError } from '../../src/kernel/errors.ts'
import { RefusedRequest } from '../../src/kernel/refused-request.ts'
import { type AttributeValue, isStringMap, type ValueType } from '../../src/kernel/value.ts'
import { EnvoyCheckBag } from '../../src/wire/envoy-attributes.ts'
import { AttributeContextSchema } from '../../src/wire/generated/envoy/service/auth/v3/attribute_context_pb.ts'
import { CheckRequestSchema } from '../../src/wire/generated/envoy/service/auth/v3/external_auth_pb.ts'
import { EnvoyCheck } from '../../src/wire/envoy-check.ts'
import { messageBytes } from '../helpers/message-bytes.ts'
import { decodedCheckBag } from './decoded-check-bag.ts'

const LIMITS = { maxMapEntries: 10, maxAttributeBytes: 1_000 }
const entries = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, n) => [`k${n}`, 'v']))

describe('the size of an ext_authz check', () => {
  it.each(['request', 'source', 'destination', 'context'])('counts the map entries of the %s', (place) => {
    const bytes = (count: number) => {
      const peer = { labels: entries(count) }
      const attributes = {
        request: { request: { http: { headers: entries(count) } } },
        source: { source: peer },
        destination: { destination: peer },
        context: { contextExtensions: entries(count) },
      }[place]
      return toBinary(CheckRequestSchema, create(CheckRequestSchema, attributes === undefined ? {} : { attributes }))
    }
    expect(() => new EnvoyCheck(bytes(10), LIMITS)).not.toThrow()
    expect(() => new EnvoyCheck(bytes(11), LIMITS)).toThrow('more than 10 map entries')
  })

  it('counts the entries of all maps together', () => {
    const attributes = { contextExtensions: entries(6), source: { labels: entries(5) } }
    const bytes = toBinary(CheckRequestSchema, create(CheckRequestSchema, { attributes }))
    expect(() => new EnvoyCheck(bytes, LIMITS)).toThrow('more than 10 map entries')
  })

  it('counts all bytes but those of the body, as text or raw', () => {
    const withField = (field: number) => {
      const http = new BinaryWriter().tag(field, WireType.LengthDelimited).string('b'.repeat(5_000)).finish()
      const request = new BinaryWriter().tag(2, WireType.LengthDelimited).bytes(http).finish()
      const context = new BinaryWriter().tag(4, WireType.LengthDelimited).bytes(request).finish()
      return new BinaryWriter().tag(1, WireType.LengthDelimited).bytes(context).finish()
    }
    expect(() => new EnvoyCheck(withField(11), LIMITS)).not.toThrow()
    expect(() => new EnvoyCheck(withField(12), LIMITS)).not.toThrow()
    expect(() => new EnvoyCheck(withField(4), LIMITS)).toThrow('more than 1000 bytes')
  })

  it('is malformed where its metadata comes in many parts, each of which costs more than its bytes', () => {
    const bytes = (parts: number) => {
      const context = new BinaryWriter()
      for (let part = 0; part < parts; part++) context.tag(11, WireType.LengthDelimited).bytes(new Uint8Array(0))
      return new BinaryWriter().tag(1, WireType.LengthDelimited).bytes(context.finish()).finish()
    }
    expect(() => new EnvoyCheck(bytes(100), LIMITS)).not.toThrow()
    expect(() => new EnvoyCheck(bytes(101), LIMITS)).toThrow('one message in more than 100 parts')
  })

  it('is malformed where a length leads beyond the end', () => {
    const whole = toBinary(AttributeContextSchema, create(AttributeContextSchema, { contextExtensions: entries(40) }))
    const bytes = new BinaryWriter().tag(1, WireType.LengthDelimited).bytes(whole).finish().subarray(0, -1)
    expect(() => new EnvoyCheck(bytes, LIMITS)).toThrow('malformed protobuf message')
  })
})

describe('an ext_authz check, read lazily', () => {
  const TEXTS = (
    ' / /a%2fb?c=1&d * admin https://a.test/b GET CONNECT a.test:80 https x-a X-A cookie authorization ' +
    'x-istio-attributes X-Istio-Attributes content-type application/grpc user-agent __proto__ constructor 10.0.0.1 ' +
    'fd00::1%eth0 zoë spiffe://c/ns/n/sa/s envoy.filters.http.jwt_authn iss sub aud azp source.namespace 8080 ' +
    'destination.port source.labels {"a":"b"} request.headers'
  ).split(' ')
  const VOCABULARY: Vocabulary = new Map<string, ValueType>([
    ['destination.port', 'INT64'],
    ['source.labels', 'STRING_MAP'],
    ['request.headers', 'STRING_MAP'],
    ['source.namespace', 'STRING'],
  ])
  const checks = messageBytes(CheckRequestSchema, TEXTS)

  /** All that a bag says; of an attribute that is refused, why. */
  function said(make: () => AttributeBag): unknown {
    try {
      const bag = make()
      const names = [...bag.names()].toSorted()
      return names.map((name) => [name, plain(bag.get(name))])
    } catch (caught) {
      // Which of several contradictions is named first is no matter.
      if (caught instanceof RefusedRequest) return caught.reason
      return caught instanceof IntermixError ? [caught.code, caught.message] : 'unreadable'
    }
  }
  function plain(value: AttributeValue | undefined): unknown {
    if (typeof value !== 'object' || !isStringMap(value)) return value
    const entries = [...value.entries()].toSorted(([a], [b]) => (a < b ? -1 : 1))
    const keys = new Set([...TEXTS, ...entries.map(([key]) => key)])
    return [value.size, entries, [...keys].map((key) => value.get(key))]
  }
  const lazily = (bytes: Uint8Array) => said(() => new EnvoyCheckBag(new EnvoyCheck(bytes), VOCABULARY))
  const decoded = (bytes: Uint8Array) => said(() => decodedCheckBag(bytes, VOCABULARY))

  it('says what protobuf’s own decoder says, of any message', () => {
    let described = 0
    fc.assert(
      fc.property(checks, (bytes) => {
        const wanted = decoded(bytes)
        expect(lazily(bytes)).toEqual(wanted)
        if (
          JSON.stringify(wanted, (_, each) => (typeof each === 'bigint' ? String(each) : each)).includes('request.path')
        )
          described++
      }),
      { numRuns: 2_000 },
    )
    expect(described).toBeGreaterThan(200)
  })

  it('accepts nothing that protobuf’s own decoder refuses, and reads it the same', () => {
    let refused = 0
    const damage = fc.tuple(fc.nat(), fc.nat(255), fc.constantFrom('change', 'cut', 'insert'))
    fc.assert(
      fc.property(checks, damage, (whole, [place, byte, how]) => {
        const at = whole.length === 0 ? 0 : place % whole.length
        const bytes = Buffer.concat([
          whole.subarray(0, at),
          how === 'cut' ? EMPTY : Uint8Array.of(byte),
          whole.subarray(how === 'insert' ? at : at + 1),
        ])
        const found = lazily(bytes)
        if (Array.isArray(found) && found[0] === 'INVALID_REQUEST' && String(found[1]).startsWith('malformed'))
          refused++
        else expect(found).toEqual(decoded(bytes))
      }),
      { numRuns: 2_000 },
    )
    expect(refused).toBeGreaterThan(100)
  })

  it.each([
    ['a group', [0x0b, 0x0c]],
    ['the end of a group', [0x0c]],
    ['another wire type of a known field', [0x08, 0x01]],
    ['text that is not UTF-8', [0x0a, 0x05, 0x62, 0x03, 0x0a, 0x01, 0xff]],
  ])('refuses %s', (_, bytes) => {
    expect(() => new EnvoyCheck(Uint8Array.from(bytes))).toThrow('malformed protobuf message')
  })

  it('refuses metadata of more than a hundred levels', () => {
    let value: JsonValue = 'deep'
    for (let level = 0; level < 46; level++) value = { a: value }
    const bytes = (metadata: JsonValue) =>
      toBinary(
        CheckRequestSchema,
        create(CheckRequestSchema, { attributes: { metadataContext: { filterMetadata: { n: { a: metadata } } } } }),
      )
    const bag = new EnvoyCheckBag(new EnvoyCheck(bytes(value)), VOCABULARY)
    expect(bag.get('request.auth.claims')).toBeUndefined()
    expect(decoded(bytes([value, { a: value }]))).toBe('unreadable')
    expect(() => new EnvoyCheck(bytes([value, { a: value }]))).toThrow('more than 100 messages')
  })
})

const EMPTY = new Uint8Array(0)
