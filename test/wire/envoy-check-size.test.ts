import { create, toBinary } from '@bufbuild/protobuf'
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire'
import { describe, expect, it } from 'vitest'
import { AttributeContextSchema } from '../../src/wire/generated/envoy/service/auth/v3/attribute_context_pb.ts'
import { CheckRequestSchema } from '../../src/wire/generated/envoy/service/auth/v3/external_auth_pb.ts'
import { refuseLargeCheck } from '../../src/wire/envoy-check-size.ts'

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
    expect(() => refuseLargeCheck(bytes(10), LIMITS)).not.toThrow()
    expect(() => refuseLargeCheck(bytes(11), LIMITS)).toThrow('more than 10 map entries')
  })

  it('counts the entries of all maps together', () => {
    const attributes = { contextExtensions: entries(6), source: { labels: entries(5) } }
    const bytes = toBinary(CheckRequestSchema, create(CheckRequestSchema, { attributes }))
    expect(() => refuseLargeCheck(bytes, LIMITS)).toThrow('more than 10 map entries')
  })

  it('counts all bytes but those of the body, as text or raw', () => {
    const withField = (field: number) => {
      const http = new BinaryWriter().tag(field, WireType.LengthDelimited).string('b'.repeat(5_000)).finish()
      const request = new BinaryWriter().tag(2, WireType.LengthDelimited).bytes(http).finish()
      const context = new BinaryWriter().tag(4, WireType.LengthDelimited).bytes(request).finish()
      return new BinaryWriter().tag(1, WireType.LengthDelimited).bytes(context).finish()
    }
    expect(() => refuseLargeCheck(withField(11), LIMITS)).not.toThrow()
    expect(() => refuseLargeCheck(withField(12), LIMITS)).not.toThrow()
    expect(() => refuseLargeCheck(withField(4), LIMITS)).toThrow('more than 1000 bytes')
  })

  it('is malformed where a length leads beyond the end', () => {
    const whole = toBinary(AttributeContextSchema, create(AttributeContextSchema, { contextExtensions: entries(40) }))
    const bytes = new BinaryWriter().tag(1, WireType.LengthDelimited).bytes(whole).finish().subarray(0, -1)
    expect(() => refuseLargeCheck(bytes, LIMITS)).toThrow('malformed protobuf message')
  })
})
