import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compileExpression } from '../../src/expression/compile.ts'
import { MapBag } from '../../src/kernel/attribute-bag.ts'
import { bags, celSources, cexlSources, sourceTexts, VOCABULARY } from './generators.ts'

const DIALECTS = ['CEXL', 'CEL'] as const

describe('any source text', () => {
  it('compiles or has problems with a place inside of it, and never throws', () => {
    fc.assert(
      fc.property(sourceTexts, fc.constantFrom(...DIALECTS), (source, dialect) => {
        const result = compileExpression(source, { dialect, vocabulary: VOCABULARY })
        if (result.ok) {
          result.expression.evaluate(new MapBag(new Map()))
          return
        }
        expect(result.problems.length).toBeGreaterThan(0)
        for (const { message, column, length } of result.problems) {
          expect(message).not.toBe('')
          expect(length).toBeGreaterThan(0)
          expect(column).toBeGreaterThanOrEqual(1)
          expect(column).toBeLessThanOrEqual(source.length + 1)
        }
      }),
      { numRuns: 4000 },
    )
  })

  it.each(DIALECTS)('is refused in %s where it is nested or chained too deeply', (dialect) => {
    const deep = [
      `${'('.repeat(5000)}1${')'.repeat(5000)}`,
      `${'-'.repeat(9000)}1`,
      `${'!'.repeat(9000)}true`,
      `1${'+1'.repeat(7000)}`,
      `true${'&&true'.repeat(2500)}`,
      `true${'||true'.repeat(1100)}`,
      '['.repeat(9000),
      `as${'["a"]'.repeat(3000)}`,
      `${'size('.repeat(3000)}as${')'.repeat(3000)}`,
      `${'('.repeat(150)}1${`${'+1'.repeat(40)})`.repeat(150)}`,
      'a'.repeat(20_000),
    ]
    for (const source of deep) {
      const result = compileExpression(source, { dialect, vocabulary: VOCABULARY })
      expect(result.ok, source.slice(0, 20)).toBe(false)
    }
  })
})

describe('generated expressions', () => {
  it.each([
    ['CEXL', cexlSources],
    ['CEL', celSources],
  ] as const)('of %s compile, and evaluate without throwing', (dialect, sources) => {
    fc.assert(
      fc.property(sources, bags, (source, bag) => {
        const result = compileExpression(source, { dialect, vocabulary: VOCABULARY })
        if (!result.ok) throw new Error(`${source}: ${result.problems[0]?.message}`)
        result.expression.evaluate(bag)
      }),
      { numRuns: 2000 },
    )
  })
})
