import { fromBinary, toBinary } from '@bufbuild/protobuf'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MapBag } from '../../../src/kernel/attribute-bag.ts'
import type { ReferencedAttribute } from '../../../src/kernel/read-log.ts'
import { CheckResponseSchema } from '../../../src/wire/generated/istio/mixer/v1/mixer_pb.ts'
import { encodeCheckResponse } from '../../../src/wire/mixer/check-response.ts'

const CLAIMS = { name: 'request.auth.claims', key: undefined, condition: 'ABSENCE' as const, whole: false }

describe('encodeCheckResponse', () => {
  it('encodes any outcome as protobuf’s own library would', () => {
    const status = fc.record({ code: fc.constantFrom(0, 7, 8, -1), message: fc.constantFrom('', 'no', 'zoë') })
    const text = fc.string({ unit: 'grapheme' })
    const operation = fc.record({
      name: fc.constantFrom('x-a', 'cookie'),
      value: text,
      operation: fc.constantFrom('REPLACE' as const, 'REMOVE' as const, 'APPEND' as const),
    })
    const headers = fc.oneof(fc.constant([]), fc.array(operation))
    const direct = fc.record({ code: fc.constantFrom(0, 302), body: text, headers: fc.dictionary(text, text) })
    const lasting = fc.oneof(fc.nat(), fc.double({ min: 0, max: 1e13, noNaN: true }))
    const referenced = fc.constantFrom<readonly ReferencedAttribute[]>([], [CLAIMS])
    const answer = fc
      .tuple(status, lasting, fc.nat(), headers, headers, fc.option(direct, { nil: undefined }), referenced)
      .map(([given, validForMs, validUses, requestHeaders, responseHeaders, directResponse, reads]) => ({
        status: given,
        validForMs,
        validUses,
        requestHeaders,
        responseHeaders,
        directResponse,
        referenced: reads,
        tier: 'local' as const,
        ageMs: 0,
      }))
    const grant = fc.record({
      status,
      granted: fc.oneof(fc.nat(), fc.double({ noNaN: true })),
      validForMs: lasting,
      referenced,
    })
    const quotas = fc.dictionary(text, grant, { maxKeys: 3 }).map((record) => new Map(Object.entries(record)))
    const asked = { bag: MapBag.of({}), vocabulary: new Map(), globalWordCount: 222 }
    fc.assert(
      fc.property(answer, quotas, (given, grants) => {
        const { bytes } = encodeCheckResponse({ answer: given, quotas: grants }, asked)
        const response = fromBinary(CheckResponseSchema, bytes)
        const names = Object.keys(response.quotas)
        if (names.length === grants.size && names.every((name, at) => name === [...grants.keys()][at]))
          expect(Buffer.from(toBinary(CheckResponseSchema, response)).length).toBe(bytes.length)
        expect(response.precondition?.status).toMatchObject(given.status)
        expect(response.precondition?.validDuration).toBeDefined()
        for (const [name, { granted }] of grants) {
          const most = Math.trunc(Math.min(Math.max(granted, 0), Number.MAX_SAFE_INTEGER))
          expect(response.quotas[name]?.grantedAmount).toBe(BigInt(most))
        }
      }),
      { numRuns: 500 },
    )
  })
})
