// Which counter an instance belongs to: one for each combination of dimensions, known before or not.

import fc from 'fast-check'
import { expect, it } from 'vitest'
import { LimitResolver } from '../../src/adapter-kit/quota-limits.ts'

const QUOTAS = [
  { name: 'calls', overrides: [{ dimensions: { a: 'x' } }, { dimensions: { a: '1', b: '' } }] },
  { name: 'bytes.shop', overrides: [] },
]

/** Texts of what keeps parts apart, so that they could pass for one another. */
const text = fc.string({ unit: fc.constantFrom('a', 'x', '1', '0', ' ', '\n', '"', ',', '.'), maxLength: 6 })
const instance = fc.record({
  name: fc.constantFrom('calls.instance.shop', 'calls.instance.istio-system', 'bytes.instance.shop'),
  dimensions: fc.dictionary(text, fc.oneof(text, fc.integer().map(BigInt)), { maxKeys: 3 }),
})

it('tells instances apart by name and dimensions, in whatever order they come, and knows them again', () => {
  const property = fc.property(fc.array(instance, { minLength: 2, maxLength: 8 }), (instances) => {
    const resolver = new LimitResolver(QUOTAS)
    const keys = new Map<string, string>()
    for (const { name, dimensions } of [...instances, ...instances]) {
      const sorted = Object.entries(dimensions).sort(([one], [other]) => (one < other ? -1 : 1))
      const found = resolver.resolve({ name, template: 'quota', fields: { dimensions } })
      const turned = resolver.resolve({
        name,
        template: 'quota',
        fields: { dimensions: Object.fromEntries(sorted.toReversed()) },
      })
      expect(turned).toEqual(found)
      expect(new LimitResolver(QUOTAS).resolve({ name, template: 'quota', fields: { dimensions } })).toEqual(found)
      const quota = name.startsWith('calls') ? 'calls' : 'bytes.shop'
      expect(found.quota.name).toBe(quota)
      const what = JSON.stringify([name, sorted.map(([key, value]) => [key, String(value)])])
      expect(keys.get(found.key) ?? what).toBe(what)
      keys.set(found.key, what)
    }
    expect(new Set(keys.values()).size).toBe(keys.size)
  })
  fc.assert(property)
})

it('names the quotas that there are where none has the name', () => {
  const resolver = new LimitResolver(QUOTAS)
  const instance = { name: 'other.instance.shop', template: 'quota', fields: {} }
  expect(() => resolver.resolve(instance)).toThrow('the handler has calls, bytes.shop')
})
