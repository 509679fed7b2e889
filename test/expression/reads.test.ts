import { describe, expect, it } from 'vitest'
import { compileExpression } from '../../src/expression/compile.ts'
import type { Dialect } from '../../src/expression/compiled.ts'
import { MapBag, type Vocabulary } from '../../src/kernel/attribute-bag.ts'
import type { ReadLog } from '../../src/kernel/read-log.ts'
import type { AttributeValue } from '../../src/kernel/value.ts'

const VOCABULARY: Vocabulary = new Map([
  ['request.path', 'STRING'],
  ['request.user', 'STRING'],
  ['request.size', 'INT64'],
  ['request.headers', 'STRING_MAP'],
])

function reads(source: string, values: Record<string, AttributeValue>, dialect: Dialect = 'CEXL'): readonly string[] {
  const compiled = compileExpression(source, { dialect, vocabulary: VOCABULARY })
  if (!compiled.ok) throw new Error(compiled.problems[0]?.message)
  const lines: string[] = []
  const shown = (value: AttributeValue | undefined) => (typeof value === 'object' ? 'map' : String(value))
  const log: ReadLog = {
    attribute: (name, value) => lines.push(`${name} = ${shown(value)}`),
    mapKey: (name, key, value) => lines.push(`${name}[${key}] = ${shown(value)}`),
    wholeMap: (name, value) => lines.push(`all of ${name} = ${shown(value)}`),
    predicate: (predicate, answer) => lines.push(`${predicate.attribute}/${predicate.mapKey ?? ''}? ${answer}`),
  }
  compiled.expression.evaluate(MapBag.of(values), log)
  return lines
}

const headers = new Map([['a', 'x']])

describe('in both dialects', () => {
  it.each(['CEXL', 'CEL'] as const)(
    '%s logs the answer of a question about one attribute instead of its value',
    (dialect) => {
      const bag = { 'request.path': '/api/x', 'request.size': 5n, 'request.headers': headers }
      expect(reads('request.path.startsWith("/api/")', bag, dialect)).toEqual(['request.path/? true'])
      expect(reads('request.size < 3', bag, dialect)).toEqual(['request.size/? false'])
      expect(reads('request.headers["a"] == "x"', bag, dialect)).toEqual(['request.headers/a? true'])
      expect(reads('request.path == "a" || request.path == "b"', bag, dialect)).toEqual(['request.path/? false'])
    },
  )

  it.each(['CEXL', 'CEL'] as const)('%s logs absence as absence', (dialect) => {
    expect(reads('request.path == "a"', {}, dialect)).toEqual(['request.path = undefined'])
    expect(reads('request.headers["a"] == "x"', {}, dialect)).toEqual(['request.headers = undefined'])
    expect(reads('request.headers["b"] == "x"', { 'request.headers': headers }, dialect)).toEqual([
      'request.headers[b] = undefined',
    ])
  })

  it.each(['CEXL', 'CEL'] as const)(
    '%s logs values where two attributes meet, and nothing after a short circuit',
    (dialect) => {
      const bag = { 'request.path': 'a', 'request.user': 'a' }
      expect(reads('request.path == request.user', bag, dialect)).toEqual(['request.path = a', 'request.user = a'])
      expect(reads('request.path == "b" && request.user == "a"', bag, dialect)).toEqual(['request.path/? false'])
    },
  )

  it.each(['CEXL', 'CEL'] as const)('%s logs a map that is handed on as a whole', (dialect) => {
    expect(reads('request.headers', { 'request.headers': headers }, dialect)).toContain('all of request.headers = map')
  })
})

describe('in CEXL', () => {
  it('logs the value where the answer is an error', () => {
    expect(reads('request.path == "a"', { 'request.path': 1n })).toEqual(['request.path = 1'])
  })

  it('logs the presence of a map before a computed key', () => {
    const bag = { 'request.headers': headers, 'request.user': 'a' }
    expect(reads('request.headers[request.user]', bag)).toEqual([
      'request.headers = map',
      'request.user = a',
      'request.headers[a] = x',
    ])
    expect(reads('request.headers[request.user] | "d"', { 'request.headers': headers })).toEqual([
      'request.headers = map',
      'request.user = undefined',
    ])
  })

  it('logs only the branch that was taken', () => {
    const bag = { 'request.user': 'a', 'request.path': 'p' }
    expect(reads('conditional(request.user == "a", request.path, request.user)', bag)).toEqual([
      'request.user/? true',
      'request.path = p',
    ])
  })
})

describe('in CEL', () => {
  it('logs presence tests', () => {
    expect(reads('has(request.user)', {}, 'CEL')).toEqual(['request.user = undefined'])
    expect(reads('has(request.user)', { 'request.user': 'a' }, 'CEL')).toEqual(['request.user/? true'])
    expect(reads('"a" in request.headers', { 'request.headers': headers }, 'CEL')).toEqual(['request.headers/a? true'])
  })

  it('logs the whole map where its keys are gone through', () => {
    const bag = { 'request.headers': headers, 'request.user': 'a' }
    expect(reads('request.headers.exists(k, k == request.user)', bag, 'CEL')).toEqual([
      'request.headers = map',
      'all of request.headers = map',
      'request.user = a',
    ])
  })
})
