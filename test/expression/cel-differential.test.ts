// Own closures against cel-js's evaluator, on the part of CEL that both mean to treat alike.

import { Environment } from '@marcbachmann/cel-js'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compileExpression } from '../../src/expression/compile.ts'
import { EvaluationError } from '../../src/expression/compiled.ts'
import type { AttributeBag } from '../../src/kernel/attribute-bag.ts'
import { bags, celSources, VOCABULARY } from './generators.ts'

const TYPES = { STRING: 'string', INT64: 'int', DOUBLE: 'double', BOOL: 'bool', STRING_MAP: 'map<string, string>' }
const ZEROS = { STRING: '', INT64: 0n, DOUBLE: 0, BOOL: false, STRING_MAP: {} }

const simple = [...VOCABULARY].filter((entry): entry is [string, keyof typeof TYPES] => entry[1] in TYPES)

/** Attribute names with dots become names with underscores: cel-js cannot tell an absent field from its zero value. */
const flat = (name: string) => name.replaceAll('.', '_')

function flatten(source: string): string {
  return simple.reduce(
    (text, [name]) => text.replaceAll(new RegExp(`(?<![\\w".])${name}\\b`, 'g'), `v_${flat(name)}`),
    source,
  )
}

const environment = new Environment({ unlistedVariablesAreDyn: false })
for (const [name, type] of simple) environment.registerVariable(`v_${flat(name)}`, TYPES[type])

function contextOf(bag: AttributeBag): Record<string, unknown> {
  return Object.fromEntries(
    simple.map(([name, type]) => {
      const value = bag.get(name) ?? ZEROS[type]
      return [`v_${flat(name)}`, value instanceof Map ? Object.fromEntries(value) : value]
    }),
  )
}

function reference(source: string, bag: AttributeBag): unknown {
  try {
    return environment.evaluate(flatten(source), contextOf(bag))
  } catch (error) {
    return error instanceof Error ? 'error' : error
  }
}

function own(source: string, bag: AttributeBag): unknown {
  const result = compileExpression(source, { dialect: 'CEL', vocabulary: VOCABULARY })
  if (!result.ok) throw new Error(`${source}: ${result.problems[0]?.message}`)
  const value = result.expression.evaluate(bag)
  return value instanceof EvaluationError ? 'error' : value
}

// Mixer's own functions, presence of absent attributes, and (for UTF-8 order) characters above U+FFFF are left out.
const common = celSources.filter((source) => !/pick\(|has\(|[\ud800-\udfff]/u.test(source))
const plainBags = bags.filter((bag) => {
  return simple.every(([name]) => {
    const value = bag.get(name)
    return typeof value !== 'string' || !/[\ud800-\udfff\ue000-\uffff]/.test(value)
  })
})

describe('closures of CEL', () => {
  it('give what cel-js gives, errors included', () => {
    let values = 0
    fc.assert(
      fc.property(common, plainBags, (source, bag) => {
        const expected = reference(source, bag)
        if (expected !== 'error') values++
        expect(own(source, bag), flatten(source)).toEqual(expected)
      }),
      { numRuns: 3000 },
    )
    expect(values).toBeGreaterThan(1000)
  })
})
