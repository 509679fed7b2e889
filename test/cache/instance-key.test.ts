import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Instance } from '../../src/adapter-kit/instance.ts'
import { instanceKey } from '../../src/cache/instance-key.ts'

const instance = (value: string): Instance => ({ name: 'i', template: 'listentry', fields: { value } })
const key = (value: string) => instanceKey('digest', instance(value))

describe('the key of an instance', () => {
  it('keeps halves of surrogate pairs apart, from each other and from U+FFFD, which UTF-8 writes for all of them', () => {
    const values = ['\ufffd', '\ud800', '\ud801', '\udc00', '\udc00\ud800', '\ufffd\ufffd', 'd800']
    expect(new Set(values.map(key)).size).toBe(values.length)
  })

  it('is the same for equal values only', () => {
    const text = fc
      .array(fc.constantFrom('\ud800', '\udc00', '\ufffd', 'a', '\0', '%', '\\'))
      .map((parts) => parts.join(''))
    fc.assert(fc.property(text, text, (a, b) => (key(a) === key(b)) === (a === b)))
  })
})
