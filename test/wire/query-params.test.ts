import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { QueryParams } from '../../src/wire/query-params.ts'

/** Names with what is ambiguous of them, and the worst of all. */
function ambiguitiesOf(query: string, stated?: Readonly<Record<string, string>>) {
  const params = new QueryParams(query).unambiguous(stated && new Map(Object.entries(stated)))
  const names = ['a', 'b', 'debug', 'x y']
  const found = names.map((name) => [name, params.ambiguity?.(name)]).filter(([, ambiguity]) => ambiguity !== undefined)
  return { ...Object.fromEntries(found), all: params.ambiguity?.() }
}

describe('query parameters', () => {
  it.each([
    ['', []],
    ['a', [['a', '']]],
    ['a=', [['a', '']]],
    ['=1&&', [['', '1']]],
    ['a=1=2', [['a', '1=2']]],
    ['a?b=1', [['a?b', '1']]],
    ['x+y=%2B+', [['x y', '+ ']]],
    ['%64ebug=%zz', [['debug', '%zz']]],
    ['a=1&a=2', [['a', '1']]],
    ['a=1;b=2', [['a', '1;b=2']]],
    ['a=1%3Bb=2', [['a', '1;b=2']]],
  ])('%s', (query, entries) => {
    const params = new QueryParams(query)
    expect([...params.entries()]).toEqual(entries)
    expect(params.size).toBe(entries.length)
    expect([...params.unambiguous().entries()]).toEqual(entries)
    expect('ambiguity' in params).toBe(false)
  })

  it('have the names and first values that the URL standard gives', () => {
    const parts = fc.array(fc.constantFrom('a', 'b', '=', '&', '%61', '%', '+', '%20', '1', '2', ';', '%ff'))
    fc.assert(
      fc.property(parts, (list) => {
        const query = list.join('')
        const first = new Map([...new URLSearchParams(query)].toReversed())
        expect(new Map(new QueryParams(query).entries())).toEqual(first)
      }),
    )
  })

  it.each([
    ['debug=0&debug=1', { debug: 'value', all: 'value' }],
    ['debug=1&a=2&%64ebug=0&a=2', { debug: 'value', all: 'value' }],
    ['debug&debug=1', { debug: 'value', all: 'value' }],
    ['x+y=1&x%20y=2', { 'x y': 'value', all: 'value' }],
    ['debug=1&%64ebug=%31&debug=1', {}],
    ['debug&debug=', {}],
    ['x+y=a+b&x%20y=a%20b', {}],
    ['debug=0&DEBUG=1&debug[]=1', {}],
  ])('of several values are ambiguous, but equal ones are one: %s', (query, expected) => {
    expect(ambiguitiesOf(query)).toEqual({ all: undefined, ...expected })
  })

  it.each([
    ['a=1;debug=1', { a: 'presence', debug: 'presence', all: 'presence' }],
    ['debug=1;', { debug: 'presence', all: 'presence' }],
    ['a=1&amp;debug=1', { debug: 'presence', all: 'presence' }],
    ['debug=0&a=1;debug=1', { a: 'presence', debug: 'value', all: 'presence' }],
    ['debug=1&a=1;debug=1', { a: 'presence', all: 'presence' }],
    ['debug=0&debug=1&a=1;debug=1', { a: 'presence', debug: 'value', all: 'presence' }],
    ['debug=1%3B', {}],
  ])('behind a semicolon are there for some servers only: %s', (query, expected) => {
    expect(ambiguitiesOf(query)).toEqual({ all: undefined, ...expected })
  })

  it.each([
    ['a=1', { a: '1' }, { a: '1' }, {}],
    ['%61=x%20y', { '%61': 'x%20y' }, { a: 'x y' }, {}],
    ['%61=x%20y', { a: 'x y' }, { a: 'x y' }, {}],
    ['a', { a: '' }, { a: '' }, {}],
    ['a=1', {}, { a: '1' }, {}],
    ['a=1', { b: '2' }, { a: '1', b: '2' }, {}],
    ['a=1', { a: '2' }, { a: '1' }, { a: 'value', all: 'value' }],
    ['a=1&a=2', { a: '1,2' }, { a: '1' }, { a: 'value', all: 'value' }],
    ['a=1;b=2', { a: '1', b: '2' }, { a: '1;b=2', b: '2' }, { a: 'presence', b: 'presence', all: 'presence' }],
  ])('are those of the query, whatever a caller has read from it: %s, stated %j', (query, stated, values, expected) => {
    const params = new QueryParams(query).unambiguous(new Map(Object.entries(stated)))
    expect(Object.fromEntries(params.entries())).toEqual(values)
    expect(ambiguitiesOf(query, stated)).toEqual({ all: undefined, ...expected })
  })
})
