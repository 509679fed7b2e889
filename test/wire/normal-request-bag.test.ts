import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MapBag } from '../../src/kernel/attribute-bag.ts'
import type { ReferencedAttribute } from '../../src/kernel/read-log.ts'
import { type AttributeValue, isStringMap, type StringMap } from '../../src/kernel/value.ts'
import { AmbiguousRequest } from '../../src/wire/ambiguity.ts'
import { NormalRequestBag } from '../../src/wire/normal-request-bag.ts'

const bagOf = (values: Readonly<Record<string, AttributeValue>>) => new NormalRequestBag(MapBag.of(values), new Set())
const headersOf = (bag: NormalRequestBag) => bag.get('request.headers') as StringMap

describe('NormalRequestBag', () => {
  it('shows paths and hosts in normal form, and what came under names of its own', () => {
    const bag = bagOf({
      'request.path': '/x/..//%61dmin?a=//',
      'request.url_path': '/x/..//%61dmin',
      'request.host': 'PRIVATE.example:80',
      'request.method': 'GET',
    })
    expect(bag.get('request.path')).toBe('/admin?a=//')
    expect(bag.get('request.url_path')).toBe('/admin')
    expect(bag.get('request.host')).toBe('private.example')
    expect(bag.get('request.raw_path')).toBe('/x/..//%61dmin?a=//')
    expect(bag.get('request.raw_host')).toBe('PRIVATE.example:80')
    expect(bag.get('request.method')).toBe('GET')
    expect([...bag.names()].sort()).toEqual(
      ['host', 'method', 'path', 'query_params', 'raw_host', 'raw_path', 'url_path'].map((name) => `request.${name}`),
    )
  })

  it('reads the parameters of the query, and says what a caller sent of them', () => {
    const read = (key?: string) => ({ name: 'request.query_params', key, condition: 'EXACT' as const, whole: !key })
    const path = { name: 'request.path', key: undefined, condition: 'EXACT', whole: false }
    const absent = { name: 'request.query_params', key: undefined, condition: 'ABSENCE', whole: false }
    const silent = bagOf({ 'request.path': '/a?%64ebug=1&debug=0' })
    expect((silent.get('request.query_params') as StringMap).ambiguity?.('debug')).toBe('value')
    expect(silent.sent(read('debug'))).toEqual([absent, path])
    const undecoded = new Map([['%64ebug', 'a+b']])
    const spelled = bagOf({ 'request.path': '/a?%64ebug=a+b', 'request.query_params': undecoded })
    expect([...(spelled.get('request.query_params') as StringMap).entries()]).toEqual([['debug', 'a b']])
    expect(spelled.sent(read('debug'))).toEqual([{ ...read('debug'), condition: 'ABSENCE' }, path])
    expect(spelled.sent(read('%64ebug'))).toEqual([read('%64ebug'), path])
    expect(spelled.sent(read())).toEqual([read(), path])
    const alone = bagOf({ 'request.query_params': undecoded })
    expect(alone.get('request.query_params')).toBe(undecoded)
    expect(alone.sent(read('%64ebug'))).toEqual([read('%64ebug'), { ...path, condition: 'ABSENCE' }])
    expect(bagOf({ 'request.path': '/a?' }).get('request.query_params')).toBeUndefined()
    expect(bagOf({ 'request.path': '/a?b', 'request.query_params': 'x' }).get('request.query_params')).toBe('x')
  })

  it('adds nothing to a request that has neither, and takes no raw name from a caller', () => {
    const bag = bagOf({ 'source.name': 'a', 'request.raw_path': '/open', 'request.raw_host': 'open.example' })
    expect([...bag.names()]).toEqual(['source.name'])
    for (const name of ['request.path', 'request.host', 'request.headers', 'request.raw_path', 'request.raw_host']) {
      expect(bag.get(name)).toBeUndefined()
    }
  })

  it('normalises a url_path that is not of the path by itself', () => {
    expect(bagOf({ 'request.url_path': '//b' }).get('request.url_path')).toBe('/b')
    expect(bagOf({ 'request.path': '/a', 'request.url_path': '//b' }).get('request.url_path')).toBe('/b')
    expect(bagOf({ 'request.path': '//a;x', 'request.url_path': '//a' }).get('request.url_path')).toBe('/a')
  })

  it('lets pseudo headers and Host say what the request says', () => {
    const headers = new Map([
      [':path', '//admin'],
      [':authority', 'PRIVATE.example'],
      ['x-user', 'eve'],
    ])
    const bag = bagOf({ 'request.path': '//admin', 'request.host': 'PRIVATE.example', 'request.headers': headers })
    const map = headersOf(bag)
    expect(map.get(':path')).toBe('/admin')
    expect(map.get(':authority')).toBe('private.example')
    expect(map.get('host')).toBe('private.example')
    expect(map.get('x-user')).toBe('eve')
    expect(map.get('x-other')).toBeUndefined()
    const entries = [':authority private.example', ':path /admin', 'host private.example', 'x-user eve']
    expect([...map.entries()].map((entry) => entry.join(' ')).sort()).toEqual(entries)
    expect(map.size).toBe(4)
  })

  it('reads the path and the host from those headers where the request has no attributes for them', () => {
    const bag = bagOf({
      'request.headers': new Map([
        [':path', '/a/../admin'],
        ['host', 'Private.example.'],
      ]),
    })
    expect(headersOf(bag).get(':path')).toBe('/admin')
    expect(headersOf(bag).get(':authority')).toBe('private.example')
    expect(bag.get('request.path')).toBeUndefined()
    expect(bag.get('request.raw_path')).toBeUndefined()
    expect(() => bagOf({ 'request.headers': new Map([[':path', '/%2f']]) })).toThrow(AmbiguousRequest)
    expect(() => bagOf({ 'request.headers': new Map([['host', 'a,b']]) })).toThrow(AmbiguousRequest)
  })

  it('has no such headers where the request has none', () => {
    const bag = bagOf({ 'request.path': '/', 'request.host': 'a.example', 'request.headers': new Map([['x', '1']]) })
    for (const key of ['host', ':authority', ':path']) expect(headersOf(bag).get(key)).toBeUndefined()
    expect([...headersOf(bag).entries()]).toEqual([['x', '1']])
  })

  it.each([
    [{ 'request.path': '/a%2fb' }, 'request.path: the path is ambiguous: "%2f"'],
    [{ 'request.path': '/a', 'request.url_path': '/a\\b' }, 'request.url_path: the path is ambiguous: "\\\\"'],
    [{ 'request.host': 'a,b' }, 'request.host: "a,b" is not a host'],
    [
      { 'request.path': 'http://b/', 'request.host': 'a' },
      'request.path: the path names the host "b", and the host is "a"',
    ],
    [{ 'request.path': 'http://b/' }, 'request.path: the path names the host "b", and no host is given'],
    [{ 'request.path': 'http:/admin', 'request.host': 'b' }, 'request.path: "http:/admin" is a URL of another kind'],
    [{ 'request.path': 'file:///admin' }, 'request.path: "file:///admin" is a URL of another kind'],
    [{ 'request.path': 'http://u@b/', 'request.host': 'b' }, 'request.path: "u@b" is not a host'],
  ])('refuses %j', (values, message) => {
    expect(() => bagOf(values as Readonly<Record<string, string>>)).toThrow(message)
  })

  it.each([
    ['http://PRIVATE.example:80//admin', '/admin'],
    ['HTTPS://private.example', '/'],
    ['http://private.example?a=1', '/?a=1'],
  ])('takes the target %s in absolute-form as %s', (path, normal) => {
    expect(bagOf({ 'request.path': path, 'request.host': 'Private.example' }).get('request.path')).toBe(normal)
  })

  it('knows how a server reads it that resolves no dots, where that is another way', () => {
    const unresolved = (values: Readonly<Record<string, string>>) => bagOf(values).unresolved()
    const bag = unresolved({ 'request.path': '//admin/%2e./open?a', 'request.url_path': '//admin/%2e./open' })
    expect(bag?.get('request.path')).toBe('/admin/../open?a')
    expect(bag?.get('request.url_path')).toBe('/admin/../open')
    expect(unresolved({ 'request.url_path': '/a/../b' })?.get('request.url_path')).toBe('/a/../b')
    for (const path of ['/admin', '//admin', '/./a?/../b', '/%61']) {
      expect(unresolved({ 'request.path': path })).toBeUndefined()
    }
  })

  it('shows methods in capitals', () => {
    const bag = bagOf({ 'request.method': 'delete', 'request.headers': new Map([[':method', 'Delete']]) })
    expect(bag.get('request.method')).toBe('DELETE')
    expect(headersOf(bag).get(':method')).toBe('DELETE')
    expect([...headersOf(bag).entries()]).toEqual([[':method', 'DELETE']])
  })

  it('names what the caller sent in place of what was read', () => {
    const values = { 'request.path': '//a', 'request.host': 'A', 'request.headers': new Map([[':authority', 'A']]) }
    const bag = bagOf(values)
    expect(bag.sent(read('request.raw_path'))).toEqual([read('request.path')])
    expect(bag.sent(read('request.raw_host'))).toEqual([read('request.host')])
    expect(bag.sent(read('request.headers', 'host'))).toEqual([
      read('request.headers', ':authority'),
      read('request.host'),
    ])
    for (const same of [read('request.path'), read('request.headers', 'x'), read('request.headers')]) {
      expect(bag.sent(same)).toEqual([same])
    }
  })

  const text = fc.constantFrom('A', 'a')
  const request = fc
    .record(
      {
        'request.path': fc.constantFrom('/a', '//a', '/b'),
        'request.host': text,
        'request.headers': fc
          .record(
            { ':path': fc.constantFrom('/a', '/b'), ':authority': text, host: text, x: text },
            { requiredKeys: [] },
          )
          .map((entries) => new Map(Object.entries(entries))),
      },
      { requiredKeys: [] },
    )
    .map((values) => values as Readonly<Record<string, AttributeValue>>)

  /** What a caller that keeps answers finds in a request under a reference; `undefined` where nothing is. */
  function found(values: Readonly<Record<string, AttributeValue>>, { name, key, whole }: ReferencedAttribute) {
    const value = values[name]
    if (key === undefined) return whole && value instanceof Map ? linesOf(value as StringMap) : value
    return value instanceof Map ? (value as Map<string, string>).get(key) : undefined
  }

  it('names all that a read depended on, and nothing that is not so', () => {
    const names = fc.constantFrom('request.path', 'request.host', 'request.raw_path', 'request.raw_host')
    const question = fc.oneof(
      names.map((name) => ({ name, key: undefined, whole: false })),
      fc
        .constantFrom(':path', ':authority', 'host', 'x')
        .map((key) => ({ name: 'request.headers', key, whole: false })),
      fc.constant({ name: 'request.headers', key: undefined, whole: true }),
    )
    let equal = 0
    fc.assert(
      fc.property(question, request, request, ({ name, key, whole }, first, later) => {
        const answer = (values: Readonly<Record<string, AttributeValue>>) => {
          const value = bagOf(values).get(name)
          if (value === undefined || !isStringMap(value)) return value
          return key === undefined ? linesOf(value) : value.get(key)
        }
        // Of a key of an absent map the absence of the map is read.
        fc.pre(key === undefined || first['request.headers'] !== undefined)
        const condition = answer(first) === undefined ? 'ABSENCE' : 'EXACT'
        const sent = bagOf(first).sent({ name, key, condition, whole })
        for (const one of sent) expect(found(first, one) === undefined).toBe(one.condition === 'ABSENCE')
        if (sent.every((one) => found(first, one) === found(later, one))) {
          equal++
          expect(answer(later)).toBe(answer(first))
        }
      }),
      { numRuns: 3_000 },
    )
    expect(equal).toBeGreaterThan(100)
  })
})

function linesOf(map: StringMap): string {
  return Array.from(map.entries(), (entry) => entry.join(' '))
    .sort()
    .join('\n')
}

function read(name: string, key?: string): ReferencedAttribute {
  return { name, key, condition: 'EXACT', whole: false }
}
