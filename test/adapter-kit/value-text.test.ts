import { describe, expect, it } from 'vitest'
import { fieldToJson, valueToText } from '../../src/adapter-kit/value-text.ts'
import { Duration, Timestamp } from '../../src/kernel/time.ts'

describe('valueToText', () => {
  it('writes equal maps alike, whatever the order of their entries', () => {
    const one = new Map([
      ['a', '1'],
      ['b', '2'],
    ])
    const other = new Map([
      ['b', '2'],
      ['a', '1'],
    ])
    expect(valueToText(one)).toBe(valueToText(other))
  })
})

describe('fieldToJson', () => {
  it('keeps the digits of large integers and writes times and addresses as text', () => {
    const json = fieldToJson({
      small: 7n,
      large: 9_007_199_254_740_993n,
      nan: Number.NaN,
      when: Timestamp.fromMillis(0),
      span: Duration.fromMillis(1_500),
      from: Uint8Array.of(10, 0, 0, 1),
      labels: new Map([['app', 'web']]),
      nested: { entries: 'a value named like a method' },
    })
    expect(json).toEqual({
      small: 7,
      large: '9007199254740993',
      nan: 'NaN',
      when: '1970-01-01T00:00:00Z',
      span: '1.5s',
      from: '10.0.0.1',
      labels: { app: 'web' },
      nested: { entries: 'a value named like a method' },
    })
  })
})
