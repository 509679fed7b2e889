// Which failures are absences and which are not, and which part of the source they name: callers depend on both.

import { describe, expect, it } from 'vitest'
import { compileExpression } from '../../src/expression/compile.ts'
import { type Dialect, EvaluationError } from '../../src/expression/compiled.ts'
import { MapBag, type Vocabulary } from '../../src/kernel/attribute-bag.ts'
import type { AttributeValue } from '../../src/kernel/value.ts'

const VOCABULARY: Vocabulary = new Map([
  ['request.path', 'STRING'],
  ['request.size', 'INT64'],
  ['request.headers', 'STRING_MAP'],
  ['source.labels', 'STRING_MAP'],
  ['source.ip', 'IP_ADDRESS'],
  ['request.time', 'TIMESTAMP'],
])
const HEADERS = new Map([
  ['x-level', 'one'],
  ['x-zero', '0'],
  ['x-huge', '1e999'],
  ['x-flag', 'constructor'],
  ['x-proto', '__proto__'],
  ['x-name', 'a_b'],
])
const BAG: Record<string, AttributeValue> = { 'request.path': '/a', 'request.size': 0n, 'request.headers': HEADERS }

function failureOf(source: string, dialect: Dialect, bag: Record<string, AttributeValue> = BAG): string {
  const result = compileExpression(source, { dialect, vocabulary: VOCABULARY })
  if (!result.ok) throw new Error(`${source}: ${result.problems[0]?.message}`)
  const value = result.expression.evaluate(MapBag.of(bag))
  return value instanceof EvaluationError ? `${value.kind} at ${value.part}` : 'no failure'
}

describe('what is absent', () => {
  it.each([
    ['request.headers["x-user"] == "a"', 'request.headers["x-user"]'],
    ['!(request.headers["x-user"] == "a")', 'request.headers["x-user"]'],
    ['request.headers.user.startsWith("a")', 'request.headers["user"]'],
    ['request.headers[request.path] == "a"', 'request.headers[request.path]'],
    ['request.headers["x-user"] == "a" && request.headers["x-group"] == "a"', 'request.headers["x-user"]'],
  ])('in CEL: %s', (source, part) => {
    expect(failureOf(source, 'CEL')).toBe(`absent at ${part}`)
  })

  it.each([
    ['source.ip == ip("1.2.3.4")', 'source.ip'],
    ['source.labels["app"] == "a"', 'source.labels["app"]'],
    ['source.labels[request.path] == "a"', 'source.labels'],
    ['ip(request.headers["x"] | "1.2.3.4") == source.ip', 'source.ip'],
  ])('in CEXL: %s', (source, part) => {
    expect(failureOf(source, 'CEXL')).toBe(`absent at ${part}`)
  })
})

describe('what has failed', () => {
  it.each([
    ['int(request.headers["x-level"]) < 5', 'int(request.headers["x-level"])'],
    ['double(request.headers["x-huge"]) < 5.0', 'double(request.headers["x-huge"])'],
    ['bool(request.headers["x-flag"]) != true', 'bool(request.headers["x-flag"])'],
    ['bool(request.headers["x-proto"]) == false', 'bool(request.headers["x-proto"])'],
    [
      'dnsName(request.headers["x-name"]) in [dnsName("a.example")]',
      'dnsName(request.headers["x-name"]) in [dnsName("a.example")]',
    ],
    ['request.path == "/a" && 10 / request.size > 1', '10 / request.size'],
    ['9223372036854775807 - request.size + 1 > 0', '9223372036854775807 - request.size + 1'],
    ['ip(request.headers["x-level"]) == source.ip', 'ip(request.headers["x-level"])'],
    ['timestamp(request.path) < request.time', 'timestamp(request.path)'],
    ['[1, 2][int(request.headers["x-zero"]) + 5] == 1', '[1, 2][int(request.headers["x-zero"]) + 5]'],
    ['{"admin": 1}[request.path] == 1', '{"admin": 1}[request.path]'],
    ['request.path.matches("[" + request.path)', 'request.path.matches("[" + request.path)'],
    ['request.headers.all(k, int(request.headers[k]) < 5)', 'int(request.headers[k])'],
    ['request.time.getHours(request.path) == 1', 'request.time.getHours(request.path)'],
  ])('in CEL: %s', (source, part) => {
    expect(failureOf(source, 'CEL')).toBe(`failed at ${part}`)
  })

  it.each([
    ['ip(request.path) == source.ip', 'ip(request.path)'],
    ['request.path == "/a" && timestamp(request.path) == request.time', 'timestamp(request.path)'],
    ['ip(request.path) | ip("1.2.3.4")', 'ip(request.path)'],
    ['("[" + request.path).matches("a")', '("[" + request.path).matches("a")'],
  ])('in CEXL: %s', (source, part) => {
    expect(failureOf(source, 'CEXL')).toBe(`failed at ${part}`)
  })

  it.each(['CEL', 'CEXL'] as const)('in %s: a value of another type than declared', (dialect) => {
    expect(failureOf('request.path == "a"', dialect, { 'request.path': 1n })).toBe('failed at request.path')
    expect(failureOf('source.labels["a"] == "a"', dialect, { 'source.labels': 'a' })).toBe('failed at source.labels')
  })
})

describe('two failures', () => {
  it('of CEL, whose sides have no order, are a failure where one of them is', () => {
    const absent = 'request.headers["no"] == "a"'
    const failed = 'int(request.path) < 5'
    for (const operator of ['&&', '||']) {
      expect(failureOf(`${absent} ${operator} ${failed}`, 'CEL')).toBe('failed at int(request.path)')
      expect(failureOf(`${failed} ${operator} ${absent}`, 'CEL')).toBe('failed at int(request.path)')
    }
    expect(failureOf(`request.headers.exists(k, request.headers["no"] == k || int(k) < 5)`, 'CEL')).toBe(
      'failed at int(k)',
    )
  })

  it('are none where a side decides: either one in CEL, the left one in CEXL', () => {
    expect(failureOf('int(request.path) < 5 && request.path == "b"', 'CEL')).toBe('no failure')
    expect(failureOf('request.path == "b" && ip(request.path) == source.ip', 'CEXL')).toBe('no failure')
    expect(failureOf('ip(request.path) == source.ip && request.path == "b"', 'CEXL')).toBe('failed at ip(request.path)')
  })
})
