// What is told about expressions that compile, and that nothing is told about good ones.

import { describe, expect, it } from 'vitest'
import { compileExpression } from '../../src/expression/compile.ts'
import { type Dialect, EvaluationError } from '../../src/expression/compiled.ts'
import { MapBag, type Vocabulary } from '../../src/kernel/attribute-bag.ts'
import { Duration, Timestamp } from '../../src/kernel/time.ts'

const VOCABULARY: Vocabulary = new Map([
  ['request.path', 'STRING'],
  ['request.size', 'INT64'],
  ['request.headers', 'STRING_MAP'],
  ['response.headers', 'STRING_MAP'],
  ['source.labels', 'STRING_MAP'],
  ['source.ip', 'IP_ADDRESS'],
  ['request.time', 'TIMESTAMP'],
  ['connection.duration', 'DURATION'],
])

/** `kind at the text that it is about`. */
function doubts(source: string, dialect: Dialect): readonly string[] {
  const result = compileExpression(source, { dialect, vocabulary: VOCABULARY })
  if (!result.ok) throw new Error(`${source}: ${result.problems[0]?.message}`)
  return result.expression.doubts.map(
    ({ kind, column, length }) => `${kind} at ${source.slice(column - 1, column - 1 + length)}`,
  )
}

describe('a part that can only fail', () => {
  it.each([
    ['request.path == "/a" && int("five") < request.size', 'int("five")'],
    ['request.size / (1 - 1) > 1', undefined],
    ['request.path.matches("[")', 'request.path.matches("[")'],
    ['source.ip == ip("1.2.3")', 'ip("1.2.3")'],
    ['{"a": 1}["b"] == request.size', '{"a": 1}["b"]'],
    ['request.path.matches("a" + "[") || 1 % 0 == 1', '1 % 0 == 1'],
    ['request.time["a"] == "b"', 'request.time["a"]'],
    ['has(request.path.a)', 'request.path.a'],
    ['{"a": 1}[request.size] == 1', '{"a": 1}[request.size]'],
    ['connection.duration + request.time == connection.duration', 'connection.duration + request.time'],
    ['request.headers.exists(k, k == string(int("x")))', 'string(int("x"))'],
  ])('of CEL is told: %s', (source, part) => {
    expect(doubts(source, 'CEL')).toEqual(part === undefined ? [] : [`always-fails at ${part}`])
  })

  it.each([
    ['source.ip == ip("1.2.3")', 'ip("1.2.3")'],
    ['request.path == "/a" && "[".matches(request.path)', '"[".matches(request.path)'],
    ['timestamp("today") == request.time', 'timestamp("today")'],
  ])('of CEXL is told: %s', (source, part) => {
    expect(doubts(source, 'CEXL')).toEqual([`always-fails at ${part}`])
  })
})

describe('a part that a caller can make fail', () => {
  it.each([
    'int(request.headers["x-level"])',
    'ip(request.headers["x-real-ip"])',
    'timestamp(request.path)',
    '100 / request.size',
    '[1, 2, 3][request.size]',
    '{"admin": 1}[request.path]',
    '"a".matches(request.path)',
    'request.time.getHours(request.path)',
  ])('of CEL is told: %s', (part) => {
    expect(doubts(`request.path == "/" || [${part}] == []`, 'CEL')).toEqual([`may-fail at ${part}`])
  })

  it('of CEL is told as one that may take too many steps', () => {
    const part = 'request.headers.exists(a, request.headers.exists(b, a == b + "x"))'
    expect(doubts(`request.path == "/" || [${part}] == []`, 'CEL')).toEqual([`may-exhaust at ${part}`])
  })

  it.each(['ip(request.path | "")', 'email(request.path)', 'request.path.matches("a")'])(
    'of CEXL is told: %s',
    (part) => {
      const source = part.includes('matches') ? part : `${part} == ${part}`
      expect(doubts(source, 'CEXL')[0]).toBe(`may-fail at ${part}`)
    },
  )

  it('is no division of fractions, no conversion that always works, no look-up in a map of the request', () => {
    for (const source of [
      '2.5 / double(request.size) > 1.0',
      'string(request.size) == "1"',
      'int(request.time) > 1',
      'source.labels["app"] == "a"',
      'request.headers.exists(k, k.startsWith("x-"))',
      'request.path.matches("^/a")',
      'request.time.getHours("UTC") == 1',
    ]) {
      expect(doubts(source, 'CEL'), source).toEqual([])
    }
  })
})

describe('a header name that no request has', () => {
  it.each(['CEL', 'CEXL'] as const)('is told in %s', (dialect) => {
    const source = 'request.headers["X-User"] == "a" && source.labels["App"] == "b" && response.headers["Via"] == "c"'
    expect(doubts(source, dialect)).toEqual([
      'unmatchable-key at request.headers["X-User"]',
      'unmatchable-key at response.headers["Via"]',
    ])
  })

  it('is told wherever it is asked for', () => {
    expect(doubts('"X-User" in request.headers', 'CEL')).toHaveLength(1)
    expect(doubts('has(request.headers.Authorization)', 'CEL')).toHaveLength(1)
    expect(doubts('pick(request.headers["X-User"], request.path)', 'CEL')).toHaveLength(1)
    expect(doubts('request.headers["X-User"] | request.headers["x-user"] | "none"', 'CEXL')).toHaveLength(1)
  })
})

describe('a part that takes long', () => {
  it('is told where typical maps exhaust the budget', () => {
    const inner = 'request.headers.exists(c, a + b + c == "x")'
    const source = `request.headers.exists(a, source.labels.exists(b, ${inner}))`
    expect(doubts(source, 'CEL')).toEqual([`costly at ${source}`])
    expect(doubts('[1, 2].exists(a, [1, 2].exists(b, [1, 2].exists(c, a + b + c == request.size)))', 'CEL')).toEqual([])
  })
})

const OPERANDS = [
  'request.path',
  'request.size',
  'request.headers',
  'source.ip',
  'request.time',
  'connection.duration',
  'request',
  'type(request.path)',
  '[request.path]',
  '{request.path: request.size}',
  'b"x"',
  'null',
  '1u',
  '1.5',
  'true',
]
const FORMS =
  'X == Y|X != Y|X + Y|X - Y|X * Y|X / Y|X % Y|X < Y|X >= Y|X in Y|X in [Y]|X[Y]|X && Y|X.contains(Y)|X.startsWith(Y)|' +
  'X.matches(Y)|match(X, Y)|X.getHours(Y)|true ? X : Y|pick(X, Y)|-X|!X|size(X)|int(X)|uint(X)|double(X)|string(X)|bool(X)|' +
  'bytes(X)|type(X)|timestamp(X)|duration(X)|ip(X)|uri(X)|reverse(X)|X.getMonth()|X.exists(i, true)|X.map(i, i)|{X: Y}|' +
  '{"a": X}|has(X.path)|X.path|X["path"]|cel.bind(v, X, v)|X.filter(i, true)'

describe('an expression without known doubts', () => {
  it('has a value for some request, whatever functions and types it is made of', () => {
    const bags = ['1', '1.2.3.4', 'true', '5s', '1970-01-01T00:00:00Z', 'UTC', 'http://a/b'].map((text) =>
      MapBag.of({
        'request.path': text,
        'request.size': 0n,
        'request.headers': new Map([
          ['path', 'x'],
          [text, 'y'],
        ]),
        'source.ip': new Uint8Array([1, 2, 3, 4]),
        'request.time': new Timestamp(5n),
        'connection.duration': new Duration(5n),
      }),
    )
    const failing: string[] = []
    let compiled = 0
    for (const form of FORMS.split('|').filter((text) => text !== '')) {
      for (const x of OPERANDS) {
        for (const y of form.includes('Y') ? OPERANDS : ['']) {
          const source = form.replaceAll('X', x).replaceAll('Y', y)
          const result = compileExpression(source, { dialect: 'CEL', vocabulary: VOCABULARY })
          if (!result.ok || result.expression.doubts.length > 0) continue
          compiled++
          const { expression } = result
          if (bags.every((bag) => expression.evaluate(bag) instanceof EvaluationError)) failing.push(source)
        }
      }
    }
    expect(failing).toEqual([])
    expect(compiled).toBeGreaterThan(150)
  })
})
