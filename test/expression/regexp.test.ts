// Patterns that a request brings: small ones work, others are refused before they cost anything.

import fc from 'fast-check'
import { RE2JS } from 're2js'
import { describe, expect, it } from 'vitest'
import { EvaluationError } from '../../src/expression/compiled.ts'
import { estimateProgram } from '../../src/expression/functions/pattern-size.ts'
import { compilePattern, findPattern, requestPattern } from '../../src/expression/functions/regexp.ts'
import { DEFAULT_MAX_STEPS, setRemainingSteps } from '../../src/expression/steps.ts'

function find(pattern: string, text: string): unknown {
  setRemainingSteps(DEFAULT_MAX_STEPS)
  const found = findPattern(requestPattern(pattern), text)
  return found instanceof EvaluationError ? `${found.kind}: ${found.message}` : found
}

describe('a pattern of a request', () => {
  it('is matched anywhere in the text', () => {
    expect(find('b+c', 'abbbc')).toBe(true)
    expect(find('^b', 'ab')).toBe(false)
    expect(find('b+c', 'abbbc')).toBe(true)
  })

  it('is refused where it is long, whatever it is', () => {
    const branches = Array.from({ length: 3_000 }, (_, i) => `branch${i}`).join('|')
    expect(find(branches, 'branch7')).toBe('exhausted: the pattern is longer than 512 characters')
  })

  it.each(['\\pL{1000}'.repeat(50), '(a|b|c){1000}(d|e){1000}', '((a{100}){10}){1}x{999}', '(?i)k{999}(?i)k{999}'])(
    'is refused where its repetitions make it large: %s',
    (pattern) => {
      expect(find(pattern, 'x')).toBe('exhausted: the pattern is too complex')
    },
  )

  it('that is none is a failure', () => {
    expect(find('(', 'x')).toBe('failed: error parsing regexp: missing closing ): `(`')
  })

  it('takes steps for its text, the same ones when it is known already', () => {
    const long = 'é'.repeat(100_000)
    expect(find('\\pL{500}x', long)).toMatch(/^exhausted/)
    expect(find('\\pL{500}x', long)).toMatch(/^exhausted/)
    expect(find('\\pL{500}x', 'é')).toBe(false)
  })
})

describe('a pattern of a config', () => {
  it('may be long', () => {
    const branches = Array.from({ length: 3_000 }, (_, i) => `branch${(i * 7_919) % 10_007}`).join('|')
    setRemainingSteps(DEFAULT_MAX_STEPS)
    expect(findPattern(compilePattern(branches), `${'x'.repeat(800)}branch0x`)).toBe(true)
  })

  it('keeps few states, and answers all the same', () => {
    // A matcher that needs a state for each set of places in the last 14 characters.
    const pattern = compilePattern('(a|b)*a(a|b){13}c')
    const random = fc.sample(fc.string({ unit: fc.constantFrom('a', 'b'), minLength: 900, maxLength: 1_000 }), {
      numRuns: 60,
      seed: 7,
    })
    for (const text of random) {
      setRemainingSteps(DEFAULT_MAX_STEPS)
      expect(findPattern(pattern, `${text}a${text.slice(0, 13)}c`)).toBe(true)
      expect(findPattern(pattern, `${text}b${text.slice(0, 13)}c`)).toBe(false)
    }
  })
})

const atom = fc.constantFrom('a', '.', '\\d', '[a-z]', '[^]x]', '\\pL', '\\p{Greek}', '[[:alpha:]]')
const { pattern: patterns } = fc.letrec<{ pattern: string }>((tie) => ({
  pattern: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    atom,
    fc.tuple(tie('pattern'), tie('pattern')).map(([one, two]) => one + two),
    fc.tuple(tie('pattern'), tie('pattern')).map(([one, two]) => `(?:${one}|${two})`),
    fc.tuple(tie('pattern'), fc.integer({ min: 1, max: 30 })).map(([part, times]) => `(?:${part}){${times}}`),
    fc.tuple(tie('pattern'), fc.integer({ min: 1, max: 30 })).map(([part, most]) => `(?:${part}){0,${most}}`),
    tie('pattern').map((part) => `(${part})+`),
  ),
}))

describe('the estimate of a program', () => {
  it('lets patterns through that people write', () => {
    for (const pattern of [
      '^/api/v[0-9]+/users/[^/]+(/.*)?$',
      '^(?:[a-z0-9-]{1,63}\\.){1,3}example\\.com$',
      '\\b[A-Fa-f0-9]{8}(?:-[A-Fa-f0-9]{4}){3}-[A-Fa-f0-9]{12}\\b',
    ]) {
      expect(find(pattern, '')).toBe(false)
    }
  })

  it('is not much below its size', () => {
    fc.assert(
      fc.property(patterns, (pattern) => {
        let size: number
        try {
          size = RE2JS.compile(pattern).programSize()
        } catch {
          return
        }
        expect(estimateProgram(pattern) * 4 + 10, `${pattern}: ${size}`).toBeGreaterThan(size)
      }),
      { numRuns: 500 },
    )
  })
})
