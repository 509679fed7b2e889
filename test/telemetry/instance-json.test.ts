import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { FieldValue } from '../../src/adapter-kit/instance.ts'
import { Duration, Timestamp } from '../../src/kernel/time.ts'
import { instanceFromJson, instanceToJson } from '../../src/telemetry/instance-json.ts'

const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })
const key = fc.oneof(fc.string(), fc.constantFrom('entries', '__proto__', 'constructor', 'size'))
const scalar: fc.Arbitrary<FieldValue> = fc.oneof(
  fc.string(),
  fc.boolean(),
  int64,
  fc.double(),
  int64.map((nanos) => new Timestamp(nanos)),
  int64.map((nanos) => new Duration(nanos)),
  fc.uint8Array({ maxLength: 16 }).map((bytes) => new Uint8Array(bytes)),
  fc.array(fc.tuple(key, fc.string())).map((entries) => new Map(entries)),
)
const record = (value: fc.Arbitrary<FieldValue>) =>
  fc.array(fc.tuple(key, value), { maxLength: 5 }).map((entries) => Object.fromEntries(entries))

describe('an instance in the queue', () => {
  it('comes out as it went in, whatever its fields hold', () => {
    const fields = record(fc.oneof(scalar, record(fc.oneof(scalar, record(scalar)))))
    fc.assert(
      fc.property(fields, (values) => {
        const instance = { name: 'a.instance.b', template: 'metric', fields: values }
        const back = instanceFromJson(JSON.parse(JSON.stringify(instanceToJson(instance))) as never)
        expect(isDeepStrictEqual(back, instance)).toBe(true)
      }),
    )
  })

  it('keeps what JSON cannot hold', () => {
    const fields = { a: Number.NaN, b: -0, c: Number.NEGATIVE_INFINITY, d: 9_007_199_254_740_993n }
    const json = JSON.stringify(instanceToJson({ name: 'n', template: 't', fields }))
    const back = instanceFromJson(JSON.parse(json) as never).fields
    expect(back).toEqual(fields)
    expect(Object.is(back['b'], -0)).toBe(true)
  })
})
