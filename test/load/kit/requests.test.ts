import { fromBinary } from '@bufbuild/protobuf'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DOORS } from '../../../load/kit/doors.ts'
import { keyDigits, MAX_KEYS, requestTemplate, writeRequest } from '../../../load/kit/request-template.ts'
import { CheckRequestSchema } from '../../../src/wire/generated/envoy/service/auth/v3/external_auth_pb.ts'

const keys = fc.integer({ min: 0, max: MAX_KEYS - 1 })
const UNARY = ['http', 'mixer', 'ext_authz', 'rls'] as const
const text = (door: (typeof UNARY)[number], key: number, kind: 'mesh' | 'bare' = 'mesh') => {
  const template = DOORS[door].request(kind)
  const target = Buffer.alloc(template.bytes.length + 3)
  expect(writeRequest(template, target, 3, key)).toBe(target.length)
  return target.subarray(3)
}

describe('a request template', () => {
  it('writes what building the request of the key would have given', () => {
    const build = (digits: string) => Buffer.from(`${digits.slice(0, 3)}/${digits}/2/${digits}-1`)
    const template = requestTemplate(build)
    fc.assert(
      fc.property(keys, (key) => {
        const target = Buffer.alloc(template.bytes.length)
        writeRequest(template, target, 0, key)
        expect(target.toString()).toBe(build(keyDigits(key)).toString())
      }),
    )
  })

  it('is refused where the length of a request follows from its key', () => {
    expect(() => requestTemplate((digits) => Buffer.alloc(Number(digits[0])))).toThrow(/different lengths/)
  })

  it('has the lowest digit first, so that prefixes divide keys evenly', () => {
    expect(keyDigits(123)).toBe('32100000')
  })
})

describe('the requests of the doors', () => {
  it('are about the key, each at its door', () => {
    for (const door of UNARY) {
      for (const kind of ['mesh', 'bare'] as const) {
        expect(text(door, 4711, kind).includes('/keys/11740000')).toBe(true)
        expect(text(door, 4711, kind).equals(text(door, 4711, kind))).toBe(true)
        expect(text(door, 4711, kind).equals(text(door, 4712, kind))).toBe(false)
      }
    }
  })

  it('are whole: JSON and protobuf', () => {
    expect(JSON.parse(text('http', 12).toString())).toMatchObject({
      attributes: { 'request.path': '/keys/21000000', 'destination.service.name': 'service-2' },
    })
    const { attributes } = fromBinary(CheckRequestSchema, text('ext_authz', 12))
    expect(attributes?.request?.http).toMatchObject({
      path: '/keys/21000000',
      headers: { ':path': '/keys/21000000', 'x-request-id': expect.any(String) },
    })
    expect(text('mixer', 12).length).toBeGreaterThan(500)
  })
})
