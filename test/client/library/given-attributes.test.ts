// Attributes as programs give them, against the types of the vocabulary.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { canonicalValue } from '../../../src/cache/canonical-value.ts'
import { type Attributes, copyOf, GivenBag } from '../../../src/client/library/given-attributes.ts'
import type { AttributeBag } from '../../../src/kernel/attribute-bag.ts'
import { Duration, Timestamp } from '../../../src/kernel/time.ts'
import { isStringMap, type ValueType } from '../../../src/kernel/value.ts'
import { parseAttributes } from '../../../src/wire/parse-attributes.ts'

const VOCABULARY = new Map<string, ValueType>([
  ['text', 'STRING'],
  ['count', 'INT64'],
  ['rate', 'DOUBLE'],
  ['flag', 'BOOL'],
  ['at', 'TIMESTAMP'],
  ['took', 'DURATION'],
  ['ip', 'IP_ADDRESS'],
  ['labels', 'STRING_MAP'],
  ['request.headers', 'STRING_MAP'],
])

const bagOf = (attributes: Attributes) => new GivenBag(attributes, VOCABULARY)

/** All that a bag says, as text. */
function shown(bag: AttributeBag): Record<string, string> {
  return Object.fromEntries(Array.from(bag.names(), (name) => [name, canonicalValue(bag.get(name) ?? '')]))
}

function entriesOf(bag: AttributeBag, name: string): unknown {
  const map = bag.get(name)
  return map !== undefined && isStringMap(map) ? Object.fromEntries(map.entries()) : map
}

describe('attributes of a program', () => {
  it('are read by their types', () => {
    const bag = bagOf({
      text: 'a',
      count: 42,
      rate: 1,
      flag: false,
      at: new Date('2026-01-15T12:00:00Z'),
      took: '5ms',
      ip: '10.0.0.1',
      labels: { version: 'v1' },
      gone: undefined,
      none: null,
    })
    expect(bag.get('count')).toBe(42n)
    expect(bag.get('rate')).toBe(1)
    expect(bag.get('flag')).toBe(false)
    expect(bag.get('at')).toEqual(Timestamp.fromMillis(Date.UTC(2026, 0, 15, 12)))
    expect(bag.get('took')).toEqual(Duration.fromMillis(5))
    expect(bag.get('ip')).toEqual(Uint8Array.of(10, 0, 0, 1))
    expect([...bag.names()]).toEqual(['text', 'count', 'rate', 'flag', 'at', 'took', 'ip', 'labels'])
    expect(bag.get('gone') ?? bag.get('none')).toBeUndefined()
  })

  it('are refused by name where they are of another type', () => {
    for (const [name, value] of [
      ['count', 'many'],
      ['count', 1.5],
      ['count', 2n ** 63n],
      ['flag', 'true'],
      ['at', 'today'],
      ['ip', '10.0.0'],
      ['ip', Uint8Array.of(1, 2, 3)],
      ['text', 1],
      ['labels', 'v1'],
      ['at', new Date(Number.NaN)],
    ] as const)
      expect(() => bagOf({ [name]: value }).get(name), `${name} ${String(value)}`).toThrow(
        expect.objectContaining({ code: 'INVALID_ATTRIBUTE', message: expect.stringContaining(name) }),
      )
    expect(() => bagOf({ labels: { a: 1 as never } }).detach()).toThrow(/must be text/)
    for (const lone of [{ text: 'a\ud800' }, { labels: { a: '\udc00' } }, { labels: { '\udc00': 'a' } }])
      expect(() => bagOf(lone).detach()).toThrow(/surrogate/)
  })

  it('that nobody declared have the types that they look like', () => {
    const bag = bagOf({ a: 1, b: 1.5, c: 'x', d: { k: 'v' } })
    expect([bag.get('a'), bag.get('b'), bag.get('c'), entriesOf(bag, 'd')]).toEqual([1n, 1.5, 'x', { k: 'v' }])
  })

  it('have names of headers in lower case, one line of each', () => {
    const headers = (given: NonNullable<Attributes[string]>) =>
      entriesOf(bagOf({ 'request.headers': given }), 'request.headers')
    const lower = { 'x-a': '1', 'x-b': '2' }
    expect(headers(lower)).toEqual(lower)
    expect(headers({ 'X-A': '1', 'x-b': '2' })).toEqual(lower)
    expect(
      headers(
        new Map([
          ['X-A', '1'],
          ['x-b', '2'],
        ]),
      ),
    ).toEqual(lower)
    expect(headers(new Headers({ 'X-A': '1', 'x-b': '2' }))).toEqual(lower)
    expect(headers({ 'x-a': ['1', '2'], 'X-A': '3' })).toEqual({ 'x-a': '1,2,3' })
    expect(() => headers({ host: 'a', Host: 'b' })).toThrow(expect.objectContaining({ reason: 'repeated' }))
  })

  it('are those of the object alone, whatever it inherits', () => {
    const bag = bagOf({ text: 'a' })
    for (const name of ['constructor', 'toString', '__proto__', 'hasOwnProperty']) expect(bag.get(name)).toBeUndefined()
    const map = bagOf({ labels: { a: 'b' } }).get('labels')
    if (map === undefined || !isStringMap(map)) throw new Error('no map')
    for (const name of ['constructor', '__proto__']) expect(map.get(name)).toBeUndefined()
  })

  it('stay as they were when they were detached, also in maps that were handed out', () => {
    const labels: Record<string, string> = { version: 'v1' }
    const headers = new Map([['x-a', '1']])
    const ip = Uint8Array.of(1, 2, 3, 4)
    const given: Record<string, NonNullable<Attributes[string]>> = { text: 'a', ip, labels, 'request.headers': headers }
    const bag = bagOf(given)
    const handedOut = [bag.get('labels'), bag.get('request.headers')]
    const before = shown(bag)
    bag.detach()
    labels['version'] = 'v2'
    labels['x'] = 'y'
    headers.set('x-a', '2').set('x-b', '3')
    ip[0] = 9
    given['text'] = 'b'
    given['count'] = 1
    expect(shown(bag)).toEqual(before)
    expect(handedOut.map((map) => canonicalValue(map ?? ''))).toEqual([before['labels'], before['request.headers']])
    expect(copyOf({ labels: { a: 'b' }, n: 1 })).toEqual({ labels: { a: 'b' }, n: 1 })
  })

  it('are nothing any more once they could not be copied', () => {
    const bag = bagOf({ text: 'a', labels: { a: '\ud800' } })
    expect(() => bag.detach()).toThrow()
    expect(bag.get('text')).toBeUndefined()
    expect([...bag.names()]).toEqual([])
  })

  it('are what the same attributes are in JSON', () => {
    const json = fc.record(
      {
        text: fc.string({ unit: 'grapheme' }),
        count: fc.maxSafeInteger(),
        rate: fc.double({ noNaN: true, noDefaultInfinity: true }),
        flag: fc.boolean(),
        at: fc.date({ noInvalidDate: true, min: new Date(0), max: new Date(4e12) }).map((date) => date.toISOString()),
        took: fc.nat().map((ms) => `${ms}ms`),
        ip: fc.ipV4(),
        labels: fc.dictionary(fc.string(), fc.string()),
        'request.headers': fc.dictionary(fc.constantFrom('x-a', 'X-B', 'Accept', 'x-B2'), fc.string()),
      },
      { requiredKeys: [] },
    )
    fc.assert(
      fc.property(json, (attributes) => {
        const parsed = parseAttributes(attributes, VOCABULARY)
        if (!('bag' in parsed)) throw new Error(JSON.stringify(parsed.problems))
        const bag = bagOf(attributes)
        expect(shown(bag)).toEqual(shown(parsed.bag))
        bag.detach()
        expect(shown(bag)).toEqual(shown(parsed.bag))
      }),
    )
  })
})
