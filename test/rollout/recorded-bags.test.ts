import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MapBag } from '../../src/kernel/attribute-bag.ts'
import { encodeValue } from '../../src/kernel/value-json.ts'
import { Masking } from '../../src/rollout/masking.ts'
import { RecordedBags, type RecordedBagsOptions } from '../../src/rollout/recorded-bags.ts'
import { FakeClock } from '../helpers/clock.ts'

/** The same numbers each time. */
function numbers(seed = 1): () => number {
  let state = seed
  return () => (state = (state * 16_807) % 2_147_483_647) / 2_147_483_647
}

function recorder(options: Partial<RecordedBagsOptions> = {}) {
  const clock = new FakeClock()
  return { clock, bags: new RecordedBags({ clock, random: numbers(), masking: new Masking(), ...options }) }
}

describe('recorded bags', () => {
  it('take about as many requests per second as they may, at any rate of requests', () => {
    for (const rate of [50, 1_000, 50_000]) {
      const { clock, bags } = recorder({ perSecond: 10, maxBags: 10_000 })
      let taken = 0
      for (let second = 0; second < 20; second++) {
        const before = bags.size
        for (let n = 0; n < rate; n++) {
          bags.offer(MapBag.of({ 'request.path': '/a' }))
          clock.stall(1_000 / rate)
        }
        if (second >= 10) taken += bags.size - before
      }
      expect(taken).toBeGreaterThan(40)
      expect(taken).toBeLessThan(400)
    }
  })

  it('keep what came of late, and some of what came before', () => {
    const { clock, bags } = recorder({ maxBags: 100 })
    for (let n = 0; n < 400; n++) {
      bags.offer(MapBag.of({ 'request.size': BigInt(n) }))
      clock.stall(10_000)
    }
    const kept = bags.list().map((bag) => Number((bag['request.size'] as { readonly int: string }).int))
    expect(kept).toHaveLength(100)
    expect(kept.filter((n) => n >= 350).length).toBeGreaterThan(10)
    expect(kept.filter((n) => n < 300).length).toBeGreaterThan(10)
  })

  it('never keep more than they may', () => {
    const sizes = fc.array(fc.integer({ min: 0, max: 3_000 }), { maxLength: 200 })
    fc.assert(
      fc.property(sizes, (lengths) => {
        const { clock, bags } = recorder({ maxBags: 20, maxCharacters: 10_000 })
        for (const length of lengths) {
          bags.offer(MapBag.of({ 'request.path': 'x'.repeat(length) }))
          clock.stall(1_000)
          expect(bags.size).toBeLessThanOrEqual(20)
          expect(bags.characters).toBeLessThanOrEqual(10_000)
          expect(bags.characters).toBe(bags.list().reduce((sum, bag) => sum + JSON.stringify(bag).length, 0))
        }
      }),
    )
  })

  it('hold no secrets', () => {
    const { bags } = recorder()
    const headers = new Map([
      ['authorization', 'Bearer s3cret'],
      ['Cookie', 'id=s3cret'],
      ['x-api-key', 's3cret'],
      ['proxy-authorization', 'Basic s3cret'],
      [':path', '/a?access_token=s3cret&b=1'],
      ['accept', 'text/html'],
    ])
    bags.offer(
      MapBag.of({ 'request.headers': headers, 'request.path': '/a?b=1&token=s3cret', 'request.api_key': 's3cret' }),
    )
    const text = JSON.stringify(bags.list())
    expect(text).not.toContain('s3cret')
    expect(text).toContain('"accept","text/html"')
    expect(text).toMatch(/\/a\?access_token=secret-[0-9a-f]{8}&b=1/)
  })
})

describe('masking', () => {
  it('gives a secret one placeholder, and another one in another process', () => {
    const masking = new Masking()
    const masked = (mask: Masking, key: string) => mask.mask('request.api_key', key)
    expect(masked(masking, 'a')).toBe(masked(masking, 'a'))
    expect(masked(masking, 'a')).not.toBe(masked(masking, 'b'))
    expect(masked(masking, 'a')).not.toBe(masked(new Masking(), 'a'))
  })

  it('knows secrets by how their names end, wherever in a query they are', () => {
    const masking = new Masking()
    const names = ['X-Auth-Token', 'private-token', 'csrftoken', 'client_secret', 'sessionid', 'X-Amz-Signature', 'sig']
    const headers = new Map(names.map((name) => [name, 's3cret'] as const))
    expect(JSON.stringify(encodeValue(masking.mask('request.headers', headers)))).not.toContain('s3cret')
    for (const name of names) {
      for (const path of [`/a?${name}=s3cret?b&c=d`, `/a?to=/b?${name}=s3cret#d`, `/a?b=c;${name}=s3cret`]) {
        const masked = masking.mask('request.path', path) as string
        expect(masked).not.toContain('s3cret')
        expect(masked.startsWith(path.slice(0, path.indexOf('s3cret')))).toBe(true)
        expect(masked.endsWith(path.slice(-2))).toBe(!path.endsWith('s3cret'))
      }
    }
    for (const path of ['/a?tokens=1&keys=2', '/a?b=token=', '/token=a'])
      expect(masking.mask('request.path', path)).toBe(path)
  })

  it('reads no text more than once', () => {
    const masking = new Masking()
    // Read again from each of its characters this is more than a lifetime.
    const long = '/' + '?'.repeat(1_000_000) + '&a=b'
    expect(masking.mask('request.path', long)).toBe(long)
    const many = masking.mask('request.path', '/?' + '&token=s3cret'.repeat(100_000)) as string
    expect(many).toMatch(/^\/\?(?:&token=secret-[0-9a-f]{8}){50}…$/)
  })

  it('leaves alone what holds none', () => {
    const masking = new Masking()
    for (const value of ['/a?b=c', 7n, true, new Uint8Array(4)]) expect(masking.mask('any', value)).toBe(value)
  })
})
