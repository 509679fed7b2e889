// The invariant that the verdict cache stands on: the reads that an evaluation logs determine its result.

import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compileExpression } from '../../src/expression/compile.ts'
import type { CompiledExpression, Dialect } from '../../src/expression/compiled.ts'
import { askOf } from '../../src/expression/subject-test.ts'
import { fits } from '../../src/expression/text-term.ts'
import { type AttributeBag, MapBag } from '../../src/kernel/attribute-bag.ts'
import type { Predicate, ReadLog } from '../../src/kernel/read-log.ts'
import { type AttributeValue, isStringMap } from '../../src/kernel/value.ts'
import { bags, celSources, cexlSources, VOCABULARY } from './generators.ts'

function compile(source: string, dialect: Dialect): CompiledExpression {
  const result = compileExpression(source, { dialect, vocabulary: VOCABULARY })
  if (!result.ok) throw new Error(`${source}: ${result.problems[0]?.message}`)
  return result.expression
}

const isMap = (value: AttributeValue | undefined) => typeof value === 'object' && isStringMap(value)

function entryOf(bag: AttributeBag, name: string, key: string): string | undefined {
  const map = bag.get(name)
  return typeof map === 'object' && isStringMap(map) ? map.get(key) : undefined
}

/** Keeps reads as questions that another bag can be asked. */
class Questions implements ReadLog {
  readonly asked: ((bag: AttributeBag) => boolean)[] = []

  attribute(name: string, value: AttributeValue | undefined): void {
    this.asked.push((bag) => {
      const other = bag.get(name)
      return isMap(value) ? isMap(other) : isDeepStrictEqual(other, value)
    })
  }

  mapKey(name: string, key: string, value: string | undefined): void {
    this.asked.push((bag) => isMap(bag.get(name)) && entryOf(bag, name, key) === value)
  }

  wholeMap(name: string, value: AttributeValue | undefined): void {
    this.asked.push((bag) => isDeepStrictEqual(bag.get(name), value))
  }

  predicate(predicate: Predicate, answer: boolean): void {
    this.asked.push((bag) => predicate.test(bag) === answer)
  }
}

class Predicates implements ReadLog {
  readonly met: Predicate[] = []
  attribute(): void {}
  mapKey(): void {}
  wholeMap(): void {}

  predicate(predicate: Predicate): void {
    this.met.push(predicate)
  }
}

const valueOf = (bag: AttributeBag, { attribute, mapKey }: Predicate) =>
  mapKey === undefined ? bag.get(attribute) : entryOf(bag, attribute, mapKey)

/** A bag that keeps some attributes of one and has the others of another. */
const pairs = fc.tuple(bags, bags, fc.array(fc.boolean(), { minLength: 20, maxLength: 20 })).map(([one, two, keep]) => {
  const values = new Map<string, AttributeValue>()
  for (const [i, name] of [...VOCABULARY.keys()].entries()) {
    const value = (keep[i] === true ? one : two).get(name)
    if (value !== undefined) values.set(name, value)
  }
  return [one, new MapBag(values)] as const
})

describe.each([
  ['CEXL', cexlSources],
  ['CEL', celSources],
] as const)('in %s', (dialect, sources) => {
  it('two bags that answer all logged reads alike give the same result', () => {
    let alike = 0
    fc.assert(
      fc.property(sources, pairs, (source, [one, two]) => {
        const expression = compile(source, dialect)
        const log = new Questions()
        const result = expression.evaluate(one, log)
        for (const question of log.asked) expect(question(one)).toBe(true)
        if (!log.asked.every((question) => question(two))) return
        alike++
        expect(expression.evaluate(two)).toEqual(result)
      }),
      { numRuns: 4000 },
    )
    expect(alike).toBeGreaterThan(400)
  })

  it('a predicate that travels asks every bag the same', () => {
    let asked = 0
    let told = 0
    fc.assert(
      fc.property(sources, bags, bags, (source, one, two) => {
        const log = new Predicates()
        compile(source, dialect).evaluate(one, log)
        for (const predicate of log.met) {
          asked++
          const test = predicate.travels()
          if (test === undefined) continue
          told++
          const ask = askOf(test)
          for (const bag of [one, two]) {
            const value = valueOf(bag, predicate)
            expect(value === undefined ? undefined : ask(value), predicate.id).toBe(predicate.test(bag))
          }
        }
      }),
      { numRuns: 4000 },
    )
    expect(told / asked).toBeGreaterThan(0.15)
  })

  it('a log does not change the result, and what reads nothing is constant', () => {
    fc.assert(
      fc.property(sources, bags, (source, bag) => {
        const expression = compile(source, dialect)
        const log = new Questions()
        const result = expression.evaluate(bag, log)
        expect(expression.evaluate(bag)).toEqual(result)
        expect(expression.constant ?? result).toEqual(result)
        expect(expression.constant === undefined ? [] : log.asked).toEqual([])
      }),
      { numRuns: 1500 },
    )
  })

  it('an expression that is true satisfies all of its terms', () => {
    fc.assert(
      fc.property(sources, bags, (source, bag) => {
        const expression = compile(source, dialect)
        if (expression.evaluate(bag) !== true) return
        for (const { attribute, mapKey, constant } of expression.equalityTerms) {
          expect(mapKey === undefined ? bag.get(attribute) : entryOf(bag, attribute, mapKey)).toEqual(constant)
        }
        for (const { attribute, mapKey, anyOf } of expression.textTerms) {
          const text = mapKey === undefined ? bag.get(attribute) : entryOf(bag, attribute, mapKey)
          expect(typeof text === 'string' && anyOf.some((pattern) => fits(text, pattern)), attribute).toBe(true)
        }
      }),
      { numRuns: 1500 },
    )
  })

  it('reads nothing that it does not name', () => {
    fc.assert(
      fc.property(sources, bags, (source, bag) => {
        const expression = compile(source, dialect)
        const named = new Set(expression.references.map(({ attribute }) => attribute))
        expression.evaluate({
          get(name) {
            expect(named.has(name), name).toBe(true)
            return bag.get(name)
          },
          names: () => bag.names(),
        })
      }),
      { numRuns: 1000 },
    )
  })
})

describe('predicates with one id', () => {
  it('are the same function', () => {
    const byId = new Map<string, Predicate>()
    fc.assert(
      fc.property(cexlSources, bags, (source, bag) => {
        const collect = (predicate: Predicate) => {
          const known = byId.get(predicate.id) ?? predicate
          byId.set(predicate.id, known)
          expect(known.test(bag), predicate.id).toBe(predicate.test(bag))
        }
        const ignore = () => undefined
        const log = { attribute: ignore, mapKey: ignore, wholeMap: ignore, predicate: collect }
        compile(source, 'CEXL').evaluate(bag, log)
      }),
      { numRuns: 4000 },
    )
    expect(byId.size).toBeGreaterThan(50)
  })
})

describe('what a predicate asks of its subject', () => {
  const BAG = MapBag.of({
    as: 'ab',
    ai: 2n,
    'load.average': 1.5,
    'connection.mtls': true,
    'request.headers': new Map([['a', 'x']]),
  })

  it.each([
    ['CEXL', 'as == "ab"', { op: 'equals', value: 'ab' }],
    ['CEXL', '"a" != as', { op: 'not', of: { op: 'equals', value: 'a' } }],
    ['CEXL', '(request.headers["a"] | "") == "x"', { op: 'equals', value: 'x' }],
    ['CEXL', 'as.startsWith("a")', { op: 'prefix', text: 'a' }],
    ['CEXL', 'match(as, "*b")', { op: 'suffix', text: 'b' }],
    ['CEXL', '"a.*".matches(as)', { op: 'matches', text: 'a.*' }],
    ['CEXL', '2 < ai', { op: 'above', than: 2n }],
    ['CEXL', 'load.average >= 1.5', { op: 'atLeast', than: 1.5 }],
    ['CEXL', 'toLower(as) == "ab"', undefined],
    ['CEL', 'as in ["ab", "c"]', { op: 'oneOf', values: ['ab', 'c'] }],
    ['CEL', 'as.contains("b")', { op: 'contains', text: 'b' }],
    [
      'CEL',
      'as.endsWith("b") || as == ""',
      {
        op: 'any',
        of: [
          { op: 'suffix', text: 'b' },
          { op: 'equals', value: '' },
        ],
      },
    ],
    ['CEL', '!(ai <= 1)', { op: 'not', of: { op: 'atMost', than: 1n } }],
    ['CEL', 'request.headers["a"].matches("^x$")', { op: 'matches', text: '^x$' }],
    ['CEL', 'size(as) == 2', undefined],
  ] as const)('is told where it has a form: %s %s', (dialect, source, test) => {
    const log = new Predicates()
    compile(source, dialect).evaluate(BAG, log)
    expect(log.met.map((predicate) => predicate.travels())).toEqual([test])
  })

  it('is not told where it is more than others should be sent', () => {
    const told = (source: string) => {
      const log = new Predicates()
      compile(source, 'CEL').evaluate(BAG, log)
      return log.met.map((predicate) => predicate.travels() === undefined)
    }
    expect(told('as.matches("(a{1,3}b){2}")')).toEqual([false])
    expect(told('as.matches("(a{1,30}b{1,30}){1,20}")')).toEqual([true])
  })
})
