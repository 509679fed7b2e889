// The oracle's interpreter against the product's expressions, one by one: a whole run of the oracle meets a rare operation on
// rare attributes hardly ever.

import { describe, expect, it } from 'vitest'
import { compileExpression } from '../../src/expression/compile.ts'
import { EvaluationError } from '../../src/expression/compiled.ts'
import { CompletedBag, MapBag } from '../../src/kernel/attribute-bag.ts'
import { IntermixError } from '../../src/kernel/errors.ts'
import type { AttributeValue } from '../../src/kernel/value.ts'
import { ExpressionSource } from './generate-expression.ts'
import { evaluate } from './oracle/interpreter.ts'
import type { Dialect } from './oracle/syntax.ts'
import { write } from './oracle/text.ts'
import { ABSENT, describe as textOf, FAILED, type Result, Unknown } from './oracle/values.ts'
import { seededPicker } from './random.ts'
import { ATTRIBUTES, OWN_WORDS } from './vocabulary.ts'

const VOCABULARY = new Map(ATTRIBUTES.map(({ name, type }) => [name, type]))
const DOWN = new IntermixError('BACKEND_FAILED', 'down')

function told(result: Result): string {
  if (result === ABSENT) return 'absent'
  if (result === FAILED) return 'failed'
  return result instanceof Unknown ? 'unknown' : textOf(result)
}

describe.each<Dialect>(['CEXL', 'CEL'])('an expression in %s', (dialect) => {
  it('has the value that the oracle says, or none for the same reason, whatever is absent, unknown or wrong', () => {
    const pick = seededPicker(dialect === 'CEL' ? 7 : 8)
    const source = new ExpressionSource(pick, dialect, OWN_WORDS)
    let unknown = 0
    for (let count = 0; count < 3_000; count++) {
      const expression = source.match()
      const text = write(expression, dialect)
      const compiled = compileExpression(text, { dialect, vocabulary: VOCABULARY })
      if (!compiled.ok) throw new Error(`${text}: ${JSON.stringify(compiled.problems)}`)
      for (let time = 0; time < 8; time++) {
        const own = new Map<string, AttributeValue>()
        const unknowns = new Map<string, IntermixError>()
        for (const { name, type, value } of ATTRIBUTES) {
          if (pick.chance(0.25)) unknowns.set(name, DOWN)
          else if (pick.chance(0.15)) own.set(name, type === 'STRING' ? 5n : 'x')
          else if (pick.chance(0.7)) own.set(name, value(pick))
        }
        const bag = new CompletedBag(new MapBag(own), new Map(), unknowns)
        const value = compiled.expression.evaluate(bag)
        const wanted = evaluate(expression, dialect, {
          get: (name) => own.get(name),
          whyUnknown: (name) => (unknowns.has(name) ? new Unknown(0) : undefined),
        })
        const given = value instanceof EvaluationError ? value.kind : textOf(value)
        if (given === 'unknown') unknown++
        expect(given, `${text} of ${[...own].map(([name, each]) => `${name}=${textOf(each)}`).join(' ')}`).toBe(
          told(wanted),
        )
      }
    }
    expect(unknown).toBeGreaterThan(1_000)
  })
})
