// Runs the tests of the CEL specification that expressions over attributes can express.

import { compileExpression } from '../../src/expression/compile.ts'
import { EvaluationError } from '../../src/expression/compiled.ts'
import { MapBag } from '../../src/kernel/attribute-bag.ts'
import type { AttributeValue, ValueType } from '../../src/kernel/value.ts'
import {
  getConformanceSuite,
  type IncrementalTest,
  type IncrementalTestSuite,
} from '@bufbuild/cel-spec/testdata/tests.js'

/** Files of the specification about the language itself; the others are about extensions and protobuf messages. */
const FILES =
  'basic comparisons conversions fp_math integer_math lists logic macros parse plumbing string timestamps'.split(' ')

type Kind = 'stringValue' | 'int64Value' | 'uint64Value' | 'doubleValue' | 'boolValue'

const TYPES: Readonly<Record<Kind, ValueType>> = {
  stringValue: 'STRING',
  int64Value: 'INT64',
  uint64Value: 'INT64',
  doubleValue: 'DOUBLE',
  boolValue: 'BOOL',
}

interface SpecResults {
  readonly passed: number
  readonly deviations: readonly string[]
}

/** Runs every test with scalar variables and a scalar result (or an error). */
export function runSpecification(): SpecResults {
  let passed = 0
  const deviations: string[] = []
  for (const { name, test } of allTests(getConformanceSuite(), '')) {
    if (!FILES.includes(name.split('/')[0] ?? '') || test.original.container !== '') continue
    const outcome = run(test)
    if (outcome === true) passed++
    if (outcome === false) deviations.push(name)
  }
  return { passed, deviations }
}

function allTests(suite: IncrementalTestSuite, path: string): readonly { name: string; test: IncrementalTest }[] {
  const below = (name: string) => (path === '' ? name : `${path}/${name}`)
  return [
    ...suite.tests.map((test) => ({ name: below(test.name), test })),
    ...suite.suites.flatMap((inner) => allTests(inner, below(inner.name))),
  ]
}

/** Whether the test passes; `undefined` where it needs values that attributes do not have. */
function run({ original }: IncrementalTest): boolean | undefined {
  const vocabulary = new Map<string, ValueType>()
  const values = new Map<string, AttributeValue>()
  for (const [name, binding] of Object.entries(original.bindings)) {
    const value = binding.kind.case === 'value' ? binding.kind.value.kind : undefined
    if (value === undefined || !isScalar(value.case) || value.case === 'uint64Value') return undefined
    vocabulary.set(name, TYPES[value.case])
    values.set(name, value.value as AttributeValue)
  }
  const { resultMatcher } = original
  const failure = resultMatcher.case === 'evalError' || resultMatcher.case === 'anyEvalErrors'
  const expected = resultMatcher.case === 'value' ? resultMatcher.value.kind : undefined
  if (resultMatcher.case === undefined || (!failure && (expected === undefined || !isScalar(expected.case))))
    return undefined
  if (original.typeEnv.some(({ name }) => !vocabulary.has(name))) return undefined
  const compiled = compileExpression(original.expr, { dialect: 'CEL', vocabulary })
  if (!compiled.ok) return failure
  const result = compiled.expression.evaluate(new MapBag(values))
  if (result instanceof EvaluationError) return failure
  return !failure && Object.is(result, expected?.value)
}

function isScalar(kind: string | undefined): kind is Kind {
  return kind !== undefined && kind in TYPES
}
