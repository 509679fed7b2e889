import { describe, expect, it } from 'vitest'
import { compileExpression } from '../../src/expression/compile.ts'
import { EvaluationError } from '../../src/expression/compiled.ts'
import { MapBag, type Vocabulary } from '../../src/kernel/attribute-bag.ts'
import { Duration, Timestamp } from '../../src/kernel/time.ts'
import type { AttributeValue } from '../../src/kernel/value.ts'

const VOCABULARY: Vocabulary = new Map([
  ['as', 'STRING'],
  ['ai', 'INT64'],
  ['request.headers', 'STRING_MAP'],
  ['request.time', 'TIMESTAMP'],
  ['request.size', 'INT64'],
  ['source.ip', 'IP_ADDRESS'],
  ['source.host', 'DNS_NAME'],
  ['source.namespace', 'STRING'],
  ['namespace.name', 'STRING'],
])

function compile(source: string) {
  return compileExpression(source, { dialect: 'CEL', vocabulary: VOCABULARY })
}

function evaluate(source: string, values: Record<string, AttributeValue> = {}): unknown {
  const result = compile(source)
  if (!result.ok) throw new Error(result.problems[0]?.message)
  const value = result.expression.evaluate(MapBag.of(values))
  return value instanceof EvaluationError ? `failed: ${value.message}` : value
}

describe('values', () => {
  it.each([
    ['1 + 2 * 3 - 4 / 2 % 3', 5n],
    ['-9223372036854775808', -9223372036854775808n],
    ['9223372036854775807 + 1', 'failed: integer overflow'],
    ['1 / 0', 'failed: divide by zero'],
    ['1.0 / 0.0', Infinity],
    ['1u + 2u == 3u', true],
    ['dyn(1) == 1.0', true],
    ['dyn(1) < 1.5', true],
    ['[1, 2] + [3] == [1, 2, 3]', true],
    ['{"a": 1}["a"]', 1n],
    ['{1: "a"}[2]', 'failed: no such key: 2'],
    ['[1][1]', 'failed: index out of bounds: 1'],
    ['2 in [1, 2]', true],
    ['type(1) == int', true],
    ['string(duration("90s"))', '90s'],
    ['string(timestamp("1970-01-01T00:00:00.5Z"))', '1970-01-01T00:00:00.5Z'],
    ['timestamp("1970-01-02T00:00:00Z") - timestamp("1970-01-01T00:00:00Z")', new Duration(86_400_000_000_000n)],
    ['timestamp("2024-03-01T05:06:07Z").getDayOfYear()', 60n],
    ['duration("90m").getHours()', 1n],
    ['int("12") + int(3.9) + size("é😀")', 17n],
    ['int(1e99)', 'failed: integer overflow'],
    ['"a" < "b" && !(b"a" > b"b")', true],
    ["r\"\\d\" + '''x'''", '\\dx'],
    ['"abc".contains("b") && "abc".matches("^a.c$")', true],
    ['"(".matches("(")', 'failed: error parsing regexp: missing closing ): `(`'],
    ['reverse("añ") + "xy".reverse()', 'ñayx'],
    ['google.protobuf.StringValue{value: "a}"}.value + "b"', 'a}b'],
    ['ip("::1") == ip("::1")', true],
    ['ip("1.2.3.4") == ip("::ffff:1.2.3.4")', true],
    ['cel.bind(x, 2, x * x)', 4n],
  ])('%s', (source, value) => {
    expect(evaluate(source)).toEqual(value)
  })

  it.each([
    ['[1, 2, 3].all(x, x > 0)', true],
    ['[1, 0].exists(x, 1 / x > 0)', true],
    ['[0, 1].exists(x, 1 / x > 5)', 'failed: divide by zero'],
    ['[1, 2].exists_one(x, x > 1)', true],
    ['[1, 2, 3].filter(x, x > 1).map(x, x * 2)[1]', 6n],
    ['[1, 2, 3].map(x, x > 2, x * 2)[0]', 6n],
    ['[1, 2].all(x, [3].all(y, y > x))', true],
  ])('of comprehensions: %s', (source, value) => {
    expect(evaluate(source)).toEqual(value)
  })
})

describe('attributes', () => {
  it('may be named like reserved words', () => {
    expect(evaluate('as + source.namespace + namespace.name', { as: 'a', 'namespace.name': 'n' })).toBe('an')
  })

  it('leave the names that CEL has itself to CEL', () => {
    for (const word of ['int', 'bool', 'string', 'google.x', 'optional.y']) {
      const vocabulary: Vocabulary = new Map([[word, 'STRING']])
      expect(compileExpression('int("1") == 1', { dialect: 'CEL', vocabulary })).toMatchObject({ ok: true })
      expect(compileExpression(`${word} == "x"`, { dialect: 'CEL', vocabulary }).ok).toBe(word.includes('.'))
      const cexl = compileExpression(`${word} == "x"`, { dialect: 'CEXL', vocabulary })
      if (!cexl.ok) throw new Error(cexl.problems[0]?.message)
      expect(cexl.expression.evaluate(MapBag.of({ [word]: 'x' }))).toBe(true)
    }
  })

  it('may be named as the parser reserves for itself', () => {
    const words = ['__proto__', 'prototype', 'constructor', 'a.__proto__', 'a.constructor']
    const vocabulary = new Map(words.map((name) => [name, 'STRING'] as const))
    const bag = new MapBag(new Map(words.map((name) => [name, name])))
    for (const source of words) {
      const compiled = compileExpression(source, { dialect: 'CEL', vocabulary })
      expect(compiled.ok && compiled.expression.evaluate(bag)).toBe(source)
    }
  })

  it('read as zero values where they are absent', () => {
    expect(evaluate('request.time == timestamp("1970-01-01T00:00:00Z") && as == "" && request.size == 0')).toBe(true)
    expect(evaluate('source.ip')).toEqual(new Uint8Array())
    expect(evaluate('request.headers')).toEqual(new Map())
  })

  it('of a map are errors where the key is absent, absorbed by a deciding side', () => {
    const bag = { 'request.headers': new Map([['a', 'x']]) }
    expect(evaluate('request.headers["b"] == "x"', bag)).toBe("failed: no such key: 'b'")
    expect(evaluate('request.headers["b"] == "x" || request.headers.a == "x"', bag)).toBe(true)
    expect(evaluate('pick(request.headers["b"], request.headers["a"])', bag)).toBe('x')
  })

  it('of another type than declared are errors', () => {
    expect(evaluate('ai + 1', { ai: 'x' })).toBe('failed: cannot convert value x of type "INT64"')
  })

  it('of Mixer types are compared by their own rules', () => {
    expect(evaluate('source.host == dnsName("A.example")', { 'source.host': 'a.EXAMPLE.' })).toBe(true)
    expect(evaluate('request.time', { 'request.time': new Timestamp(5n) })).toEqual(new Timestamp(5n))
  })
})

describe('mistakes', () => {
  it.each([
    ['as +', 5, 'Unexpected token: EOF'],
    ['as + 1', 1, "found no matching overload for '_+_' applied to '(string, int)'"],
    ['"x" == as && nope', 14, "undeclared reference to 'nope'"],
    ['request.nope', 9, "undefined field 'nope'"],
    ['as == "x" && has(request.nope)', 18, "undefined field 'nope'"],
    ['as + request.headers[1]', 6, "found no matching overload for '_[_]' applied to '(map(string, string), int)'"],
    ['[1]', 1, 'the type of the expression, list<int>, is not one that attributes have'],
    ['pick(as, 1)', 10, "found no matching overload for 'pick(string, int)'"],
    ['google.protobuf.Int64Value{v: 1}', 1, 'a wrapper message needs its value: {value: …}'],
  ])('%s', (source, column, message) => {
    const result = compile(source)
    expect(result.ok ? [] : result.problems.map((problem) => [problem.column, problem.message])).toEqual([
      [column, message],
    ])
  })
})

describe('static facts', () => {
  it('name the equality terms that must hold, and those not that absence satisfies', () => {
    const result = compile(
      'as == "x" && 2 == ai && request.size == 0 && request.headers["k"] == "" && (ai == 1 || true)',
    )
    expect(result.ok ? result.expression.equalityTerms : []).toEqual([
      { attribute: 'as', mapKey: undefined, constant: 'x' },
      { attribute: 'ai', mapKey: undefined, constant: 2n },
      { attribute: 'request.headers', mapKey: 'k', constant: '' },
    ])
  })

  it('name what is referenced', () => {
    const result = compile('has(request.headers.a) || request.headers[as] == as || "b" in request.headers')
    expect(result.ok ? result.expression.references : []).toEqual([
      { attribute: 'request.headers', mapKey: 'a' },
      { attribute: 'request.headers', mapKey: undefined },
      { attribute: 'as', mapKey: undefined },
      { attribute: 'request.headers', mapKey: 'b' },
    ])
  })
})
