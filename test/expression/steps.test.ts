// The step budget: whatever an expression and a request are, an evaluation ends soon.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compileExpression } from '../../src/expression/compile.ts'
import { type Dialect, EvaluationError } from '../../src/expression/compiled.ts'
import { setRemainingSteps } from '../../src/expression/steps.ts'
import { type AttributeBag, MapBag, type Vocabulary } from '../../src/kernel/attribute-bag.ts'
import type { ReadLog } from '../../src/kernel/read-log.ts'
import type { AttributeValue, StringMap } from '../../src/kernel/value.ts'
import { bags, celSources, cexlSources, VOCABULARY } from './generators.ts'

const NAMES: Vocabulary = new Map([
  ['request.headers', 'STRING_MAP'],
  ['request.path', 'STRING'],
])

function compile(source: string, dialect: Dialect = 'CEL', maxSteps?: number) {
  const options = { dialect, vocabulary: NAMES, ...(maxSteps === undefined ? {} : { maxSteps }) }
  const result = compileExpression(source, options)
  if (!result.ok) throw new Error(`${source}: ${result.problems[0]?.message}`)
  return result.expression
}

function kindOf(source: string, bag: Record<string, AttributeValue>, dialect: Dialect = 'CEL'): unknown {
  const value = compile(source, dialect).evaluate(MapBag.of(bag))
  return value instanceof EvaluationError ? value.kind : value
}

/** Headers that count what is looked up in them. */
class CountedHeaders implements StringMap {
  readonly #map: ReadonlyMap<string, string>
  touched = 0

  constructor(size: number) {
    this.#map = new Map(Array.from({ length: size }, (_, i) => [`x-${i}`, `${i}`]))
  }

  get size(): number {
    return this.#map.size
  }

  get(key: string): string | undefined {
    this.touched++
    return this.#map.get(key)
  }

  *entries(): Generator<[string, string]> {
    for (const entry of this.#map) {
      this.touched++
      yield entry
    }
  }
}

const IGNORE: ReadLog = {
  attribute: () => undefined,
  mapKey: () => undefined,
  wholeMap: () => undefined,
  predicate: () => undefined,
}

describe('a comprehension within another', () => {
  it.each([
    'request.headers.exists(a, request.headers.exists(b, request.headers[a] == request.headers[b] + "x"))',
    'request.headers.all(a, request.headers.exists(b, request.headers[b] == request.headers[a] + "x") || true)',
    'size(request.headers.map(a, request.headers.filter(b, request.headers[b] < request.headers[a]))) > 0',
    'request.headers.exists_one(a, request.headers.all(b, request.headers == {}))',
    'request.headers.exists(a, request.headers.map(b, [a, b]) == request.headers.map(c, [c, a]))',
    'cel.bind(n, request.headers.map(a, a), n.exists(a, n.exists(b, a + b == "")))',
    '[1, 2, 3].map(x, request.headers.map(a, request.headers.map(b, a))) == []',
  ])('ends after a bounded number of steps: %s', (source) => {
    const headers = new CountedHeaders(4_000)
    const bag = MapBag.of({ 'request.headers': headers })
    for (const log of [undefined, IGNORE]) {
      headers.touched = 0
      const value = compile(source).evaluate(bag, log)
      expect(value).toMatchObject({ kind: 'exhausted' })
      expect(headers.touched).toBeLessThan(300_000)
    }
  })

  it('of few headers is what it always was', () => {
    const bag = { 'request.headers': new CountedHeaders(50) }
    expect(kindOf('request.headers.exists(a, request.headers.exists(b, a + b == "x-49x-49"))', bag)).toBe(true)
  })
})

/** `first` doubled sixty times: `cel.bind(v1, first + first, cel.bind(v2, v1 + v1, …))`. */
function doubled(first: string): string {
  const doublings = Array.from({ length: 60 }, (_, i) => `cel.bind(v${i + 1}, v${i} + v${i}, `).join('')
  return `cel.bind(v0, ${first}, ${doublings}size(v60) > 0${')'.repeat(61)}`
}

describe('values that grow', () => {
  it.each([
    ['CEL', doubled('request.path')],
    ['CEL', doubled('[request.path]')],
    ['CEL', doubled('bytes(request.path)')],
    ['CEL', `(${Array(100).fill('request.path').join(' + ')}) == "x"`],
    ['CEXL', `(${Array(100).fill('request.path').join(' + ')}) == "x"`],
  ] as const)('in %s exhaust the budget', (dialect, source) => {
    expect(kindOf(source, { 'request.path': 'x'.repeat(10_000) }, dialect)).toBe('exhausted')
  })
})

describe('functions and patterns over and over', () => {
  it.each([
    'request.headers.all(k, dnsName(request.path) == dnsName(request.path))',
    'request.headers.all(k, toLower(request.path) != request.path)',
    'request.headers.all(k, request.path.matches("^(a|b)*[^x]{200}c") == false)',
    'request.headers.all(k, request.path.contains(request.path + "x") == false)',
    'request.headers.all(k, request.path <= request.path)',
    'cel.bind(b, bytes(request.path), request.headers.all(k, b == b && b <= b))',
    'cel.bind(b, bytes(request.path), request.headers.all(k, string(b) == request.path))',
    'cel.bind(d, dnsName(request.path), request.headers.all(k, d == d))',
    'request.headers.all(k, request.headers.all(l, timestamp(0).getHours("Europe/Berlin") < 24))',
    'request.headers.exists(k, request.headers.exists(l, timestamp(0).getHours(k + l) > 24))',
  ])('exhaust the budget: %s', (source) => {
    const bag = { 'request.path': 'Ab.'.repeat(20_000), 'request.headers': new CountedHeaders(200) }
    expect(kindOf(source, bag)).toBe('exhausted')
  })
})

describe('a long text from a caller', () => {
  const digits = '1'.repeat(100_000)
  const letters = 'a'.repeat(20_000)

  it.each([
    ['double(request.path) > 1.0', `${digits}x`],
    ['double(request.path) > 1.0', `1.${digits}e${digits}x`],
    ['dnsName(request.path) == dnsName("a.example")', `xn--${letters}-${letters}`],
    ['dnsName(request.path) == dnsName("a.example")', `xn--${'ga'.repeat(20_000)}`],
    ['uri("http://" + request.path) == uri("http://a.example")', `xn--${letters}-xyz`],
    ['email("a@" + request.path) == email("a@a.example")', `xn--${letters}-xyz`],
  ])('is refused in linear time: %s', (source, text) => {
    expect(kindOf(source, { 'request.path': text })).toBe('failed')
  })
})

describe('the budget', () => {
  it('is a setting', () => {
    const bag = MapBag.of({ 'request.headers': new CountedHeaders(60) })
    const source = 'request.headers.exists(a, request.headers.exists(b, a == b + "x"))'
    expect(compile(source).evaluate(bag)).toBe(false)
    expect(compile(source, 'CEL', 1_000).evaluate(bag)).toMatchObject({ kind: 'exhausted' })
  })

  it('is full at the start of each evaluation and at each question of a predicate', () => {
    const path = MapBag.of({ 'request.path': 'a'.repeat(50_000) })
    const expression = compile('request.path + request.path == "b" || request.path.matches("^a*b")')
    const asked: boolean[] = []
    const log: ReadLog = { ...IGNORE, predicate: (predicate, answer) => asked.push(predicate.test(path) === answer) }
    for (let i = 0; i < 100; i++) expect(expression.evaluate(path, log)).toBe(false)
    expect(asked).toHaveLength(100)
    expect(asked).not.toContain(false)
  })

  it.each([
    ['CEXL', cexlSources],
    ['CEL', celSources],
  ] as const)('of an evaluation in %s does not depend on what was evaluated before', (dialect, sources) => {
    fc.assert(
      fc.property(sources, bags, (source, bag: AttributeBag) => {
        const result = compileExpression(source, { dialect, vocabulary: VOCABULARY })
        if (!result.ok) throw new Error(source)
        setRemainingSteps(1_000_000)
        const value = result.expression.evaluate(bag)
        setRemainingSteps(-1_000_000)
        expect(result.expression.evaluate(bag)).toEqual(value)
        setRemainingSteps(-1_000_000)
        expect(result.expression.evaluate(bag, IGNORE)).toEqual(value)
      }),
      { numRuns: 1500 },
    )
  })

  it('answers alike with and without a log, however small it is', () => {
    fc.assert(
      fc.property(celSources, bags, fc.integer({ min: 0, max: 12 }), (source, bag: AttributeBag, maxSteps) => {
        const result = compileExpression(source, { dialect: 'CEL', vocabulary: VOCABULARY, maxSteps })
        if (!result.ok) return
        expect(result.expression.evaluate(bag, IGNORE)).toEqual(result.expression.evaluate(bag))
      }),
      { numRuns: 1500 },
    )
  })
})
