import { describe, expect, it } from 'vitest'
import { Revocations } from '../../src/cache/revocations.ts'
import { parseIp } from '../../src/kernel/ip-address.ts'
import { MapBag } from '../../src/kernel/attribute-bag.ts'
import type { AttributeValue } from '../../src/kernel/value.ts'
import { QueryParams } from '../../src/wire/query-params.ts'

/** Whether a request with this attribute keeps what was asked before the value was revoked. */
function keeps(attribute: AttributeValue, value: string, key?: string): boolean {
  const revocations = new Revocations()
  const before = revocations.epoch
  revocations.apply({ sequence: 1, target: { kind: 'attribute', name: 'a', key, value } })
  const bag = MapBag.of({ a: attribute })
  expect(revocations.allows(revocations.epoch, [], bag)).toBe(true)
  return revocations.allows(before, [], bag)
}

describe('a revocation by attribute value', () => {
  it.each<[string, AttributeValue, string, boolean]>([
    ['text', 'eve', 'eve', false],
    ['other text', 'eve', 'Eve', true],
    ['empty text', '', '', false],
    ['a number', 7n, '7', false],
    ['a boolean', true, 'true', false],
    ['an address', parseIp('10.1.2.3') ?? '', '10.1.2.3', false],
    ['an address in another notation', parseIp('2001:db8::1') ?? '', '2001:0DB8:0::1', false],
    ['an IPv4 address mapped into IPv6', parseIp('::ffff:10.1.2.3') ?? '', '10.1.2.3', false],
    ['another address', parseIp('10.1.2.3') ?? '', '10.1.2.4', true],
    ['text that is an address in an unusual notation', '2001:0DB8:0::1', '2001:0DB8:0::1', false],
    ['text that is a mapped address', '::ffff:10.1.2.3', '::ffff:10.1.2.3', false],
  ])('voids %s', (_, attribute, value, kept) => {
    expect(keeps(attribute, value)).toBe(kept)
  })

  it.each<[string, string, string, string, boolean]>([
    ['x-user', 'x-user', 'eve', 'eve', false],
    ['x-user', 'x-other', 'eve', 'eve', true],
    ['x-user', 'x-user', 'eve', 'bob', true],
    ['x-user', 'X-User', 'eve', 'eve', false],
    ['X-User', 'X-User', 'eve', 'eve', false],
    ['x-ip', 'x-ip', '2001:0DB8:0::1', '2001:0DB8:0::1', false],
  ])("of a map's key (%s, revoked %s)", (key, revoked, value, wanted, kept) => {
    expect(keeps(new Map([[key, value]]), wanted, revoked)).toBe(kept)
  })

  it('voids whatever hung on a parameter that servers read differently', () => {
    const params = (query: string) => new QueryParams(query).unambiguous()
    expect(keeps(params('token=good&token=bad'), 'bad', 'token')).toBe(false)
    expect(keeps(params('token=good&token=good'), 'bad', 'token')).toBe(true)
    expect(keeps(params('token=good&other=1&other=2'), 'bad', 'token')).toBe(true)
  })

  it('never matches a request without the attribute, or with another type than a map', () => {
    expect(keeps('eve', 'eve', 'x-user')).toBe(true)
    const revocations = new Revocations()
    const before = revocations.epoch
    revocations.apply({ sequence: 1, target: { kind: 'attribute', name: 'a', key: undefined, value: '' } })
    expect(revocations.allows(before, [], MapBag.of({}))).toBe(true)
  })
})

describe('many revocations', () => {
  const target = {
    values: (i: number) => ({ kind: 'attribute', name: 'a', key: undefined, value: `v${i}` }) as const,
    names: (i: number) => ({ kind: 'attribute', name: `a${i}`, key: undefined, value: 'v' }) as const,
    handlers: (i: number) => ({ kind: 'handler', handler: `h${i}` }) as const,
  }

  it.each(['values', 'names', 'handlers'] as const)('of %s become one of everything beyond a bound', (kind) => {
    const revocations = new Revocations()
    const before = revocations.epoch
    const other = MapBag.of({ b: 'x' })
    let count = 0
    while (revocations.allows(before, ['another'], other)) {
      revocations.apply({ sequence: ++count, target: target[kind](count) })
      if (count > 20_000) break
    }
    expect(count).toBe(10_001)
    expect(revocations.allows(revocations.epoch, ['h1'], MapBag.of({ a: 'v1', a1: 'v' }))).toBe(true)
  })

  it('stay in force when the bound was reached', () => {
    const revocations = new Revocations()
    for (let i = 1; i <= 10_001; i++) revocations.apply({ sequence: i, target: target.handlers(i) })
    const before = revocations.epoch
    revocations.apply({ sequence: 10_002, target: target.handlers(1) })
    expect(revocations.allows(before, ['h1'], MapBag.of({}))).toBe(false)
    expect(revocations.allows(before, ['h2'], MapBag.of({}))).toBe(true)
  })
})
