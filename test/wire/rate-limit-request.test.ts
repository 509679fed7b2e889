import { create, toBinary } from '@bufbuild/protobuf'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { RATE_UNITS } from '../../src/kernel/rate-limit.ts'
import { DEFAULT_LIMITS } from '../../src/kernel/request-limits.ts'
import { RateLimitRequestSchema } from '../../src/wire/generated/envoy/service/ratelimit/v3/rls_pb.ts'
import { readRateLimitRequest } from '../../src/wire/rate-limit-request.ts'

const text = fc.string({ unit: 'grapheme', maxLength: 12 })
const uint32 = fc.nat(0xffff_ffff)
const descriptor = fc.record(
  {
    entries: fc.array(fc.record({ key: text, value: text }), { maxLength: 4 }),
    limit: fc.record({ requestsPerUnit: uint32, unit: fc.nat(9) }),
    hitsAddend: fc.maxSafeNat(),
  },
  { requiredKeys: ['entries'] },
)

describe('the bytes of a RateLimitRequest', () => {
  it('are read as any implementation of protobuf reads them', () => {
    const request = fc.record({ domain: text, descriptors: fc.array(descriptor, { maxLength: 5 }), hitsAddend: uint32 })
    fc.assert(
      fc.property(request, ({ domain, descriptors, hitsAddend }) => {
        const encoded = descriptors.map(({ hitsAddend: hits, ...rest }) =>
          hits === undefined ? rest : { ...rest, hitsAddend: BigInt(hits) },
        )
        const bytes = toBinary(
          RateLimitRequestSchema,
          create(RateLimitRequestSchema, { domain, descriptors: encoded, hitsAddend }),
        )
        const expected = descriptors.map(({ limit, ...rest }) =>
          limit === undefined ? rest : { ...rest, limit: { ...limit, unit: RATE_UNITS[limit.unit - 1] } },
        )
        expect(readRateLimitRequest(bytes, DEFAULT_LIMITS)).toEqual({ domain, descriptors: expected, hitsAddend })
      }),
    )
  })

  it('are refused, or read, and nothing else happens, whatever they are', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        try {
          readRateLimitRequest(bytes, DEFAULT_LIMITS)
        } catch (caught) {
          expect(caught).toMatchObject({ code: 'INVALID_REQUEST' })
        }
      }),
    )
  })

  it('are bounded in size and in number of entries', () => {
    const entries = Array.from({ length: 10 }, () => ({ key: 'k', value: 'v' }))
    const bytes = toBinary(RateLimitRequestSchema, create(RateLimitRequestSchema, { descriptors: [{ entries }] }))
    expect(() => readRateLimitRequest(bytes, { ...DEFAULT_LIMITS, maxMapEntries: 10 })).toThrow(
      'the request has more than 10 descriptors and entries',
    )
    expect(() => readRateLimitRequest(bytes, { ...DEFAULT_LIMITS, maxAttributeBytes: 10 })).toThrow(
      'the request has more than 10 bytes',
    )
  })

  it('are read where a client chose a number or bytes that nobody expects', () => {
    const descriptors = [{ entries: [{ key: 'k', value: 'v' }], hitsAddend: 2n ** 64n - 1n }]
    const bytes = Buffer.from(toBinary(RateLimitRequestSchema, create(RateLimitRequestSchema, { descriptors })))
    bytes[bytes.indexOf('v')] = 0xff
    expect(readRateLimitRequest(bytes, DEFAULT_LIMITS).descriptors).toEqual([
      { entries: [{ key: 'k', value: '\ufffd' }], hitsAddend: Number.MAX_SAFE_INTEGER },
    ])
  })
})
