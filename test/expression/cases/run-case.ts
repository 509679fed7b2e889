// Runs one expression case: what it expects of parsing, checking and evaluating against what happens.

import { isDeepStrictEqual } from 'node:util'
import { equalityTermsOf } from '../../../src/expression/cexl/analysis.ts'
import { type Node, nodeText } from '../../../src/expression/cexl/ast.ts'
import { compileCexl, type ExtraFunction } from '../../../src/expression/cexl/compile-cexl.ts'
import { parseLiteral } from '../../../src/expression/cexl/literal.ts'
import { parseCexl } from '../../../src/expression/cexl/parse.ts'
import { compileExpression } from '../../../src/expression/compile.ts'
import { type CompiledExpression, type CompileResult, EvaluationError } from '../../../src/expression/compiled.ts'
import { reverse } from '../../../src/expression/functions/bytes.ts'
import { type AttributeBag, MapBag, type Vocabulary } from '../../../src/kernel/attribute-bag.ts'
import type { AttributeValue } from '../../../src/kernel/value.ts'
import type { CaseFunction, ExpressionCase, Manifests } from './case-file.ts'
import { cexlToCel } from './to-cel.ts'
import { valueFromJson } from './values.ts'
import { valueToJson } from '../../../src/cli/expr-explain.ts'
import { ReadNames } from '../../../src/cli/expr-reads.ts'

/** Runs a case. @returns why it failed, or `undefined` where it passed. */
export function runCase(test: ExpressionCase, manifests: Manifests): string | undefined {
  const manifest = test.manifest === undefined ? {} : manifests[test.manifest]
  if (manifest === undefined) return `manifest '${test.manifest}' is not known`
  const vocabulary: Vocabulary = new Map(Object.entries({ ...manifest, ...test.attributes }))
  if (test.expect === 'parse') return differs('syntax tree', textOfTree(test.expr), test.ast)
  if (test.expect === 'eqMatches') return differs('equality matches', equalityMatches(test.expr), test.eqMatches)
  if (test.literal === true) return literalFault(test)
  const bag = bagOf(test)
  if (typeof bag === 'string') return bag
  const extra = new Map((test.extraFunctions ?? []).map((definition) => [definition.name, extraFunction(definition)]))
  const compile = (): CompileResult => {
    if (test.dialect === 'CEL') return compileExpression(test.expr, { dialect: 'CEL', vocabulary })
    return compileCexl(test.expr, { vocabulary }, extra)
  }
  return outcomeFault(test, compile(), bag) ?? (test.dialect === 'CEL' ? undefined : celFault(test, vocabulary, bag))
}

function textOfTree(source: string): string {
  return attempt(() => nodeText(parseCexl(source)))
}

function attempt(action: () => string): string {
  try {
    return action()
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

function equalityMatches(source: string): Readonly<Record<string, unknown>> {
  const constantOf = (node: Node) => (node.kind === 'constant' ? node.value : undefined)
  const terms = equalityTermsOf(parseCexl(source), constantOf).filter(({ mapKey }) => mapKey === undefined)
  return Object.fromEntries(terms.map(({ attribute, constant }) => [attribute, valueToJson(constant)]))
}

function literalFault(test: ExpressionCase): string | undefined {
  const literal = parseLiteral(test.expr, test.kind ?? 'STRING')
  if ('error' in literal) {
    if (test.expect === 'compileError')
      return errorFault('literal', literal.error, test.compileError, test.compileErrorMatch)
    return `expected a constant, but: ${literal.error}`
  }
  if (test.expect !== 'constant') return `expected an error, got ${JSON.stringify(valueToJson(literal.value))}`
  return differs('type', literal.type, test.kind) ?? differs('constant', valueToJson(literal.value), test.result)
}

function extraFunction(definition: CaseFunction): ExtraFunction {
  const typeOf = (type: CaseFunction['returnType'] | null) => {
    return type === null || type === 'VALUE_TYPE_UNSPECIFIED' ? undefined : type
  }
  return {
    signature: {
      instance: definition.instance,
      target: typeOf(definition.targetType),
      args: definition.argumentTypes.map(typeOf),
      returns: typeOf(definition.returnType),
    },
    // The one function that cases evaluate; the others are only type-checked.
    apply: (text?: string) => reverse(text ?? ''),
  }
}

function bagOf(test: ExpressionCase): AttributeBag | string {
  const values = new Map<string, AttributeValue>()
  for (const [name, json] of Object.entries(test.input ?? {})) {
    const type = test.inputTypes?.[name]
    if (type === undefined) return `inputTypes lacks '${name}'`
    const hex = test.inputBytesHex?.[name]
    const value = hex === undefined ? valueFromJson(json, type) : new Uint8Array(Buffer.from(hex, 'hex'))
    if (value === undefined) return `input '${name}' is not a ${type}: ${JSON.stringify(json)}`
    values.set(name, value)
  }
  return new MapBag(values)
}

function outcomeFault(test: ExpressionCase, compiled: CompileResult, bag: AttributeBag): string | undefined {
  if (test.expect === 'compileError') {
    if (compiled.ok) return `expected a compile error, but it compiles to ${compiled.expression.type}`
    return errorFault('compile error', compiled.problems[0]?.message ?? '', test.compileError, test.compileErrorMatch)
  }
  if (!compiled.ok) return `does not compile: ${compiled.problems[0]?.message}`
  const { expression } = compiled
  const typeFault = test.kind === undefined ? undefined : differs('type', expression.type, test.kind)
  if (typeFault !== undefined || test.expect === 'type' || test.expect === 'compiles') return typeFault
  if (test.expect === 'runtimeError') {
    const { runtimeError, runtimeErrorMatch, referenced } = test
    if (test.dialect === 'CEL' && MIXER_GAPS.has(runtimeError ?? '')) return gapFault(expression, bag, referenced)
    return evaluationFault(expression, bag, { error: runtimeError, errorMatch: runtimeErrorMatch, referenced })
  }
  const { result, resultBytesHex, referenced } = test
  return evaluationFault(expression, bag, { result, resultBytesHex, referenced })
}

/** Failures of Mixer's CEL with maps of strings where the language says that there is a value: ours has it. */
const MIXER_GAPS: ReadonlySet<string> = new Set([
  'stringmap does not support equality',
  'size not implemented on stringmaps',
  'cannot convert stringmap to CEL types',
])

function gapFault(expression: CompiledExpression, bag: AttributeBag, referenced: ExpressionCase['referenced']) {
  const log = new ReadNames()
  const value = expression.evaluate(bag, log)
  if (value instanceof EvaluationError) return `failed: ${value.message}`
  return referenced === undefined ? undefined : differs('reads', log.names, referenced.toSorted())
}

/** What the expression, rewritten to CEL, is expected to do where that differs. */
function celFault(test: ExpressionCase, vocabulary: Vocabulary, bag: AttributeBag): string | undefined {
  const { celResult: result, celError: error, celReferenced } = test
  const differing = result !== undefined || error !== undefined || celReferenced !== undefined
  if (!differing && test.dialect === 'CEXL') return undefined
  const compiled = compileExpression(cexlToCel(test.expr), { dialect: 'CEL', vocabulary })
  if (!compiled.ok) return `as CEL: does not compile: ${compiled.problems[0]?.message}`
  if (test.expect === 'compiles') return undefined
  const expected = result === undefined && error === undefined ? test.result : result
  const referenced = celReferenced ?? (error === undefined ? test.referenced : undefined)
  const fault = evaluationFault(compiled.expression, bag, {
    result: expected,
    error,
    errorMatch: 'contains',
    referenced,
  })
  return fault === undefined ? undefined : `as CEL: ${fault}`
}

interface Expected {
  readonly result?: unknown
  readonly resultBytesHex?: string | undefined
  readonly error?: string | undefined
  readonly errorMatch?: ExpressionCase['runtimeErrorMatch'] | undefined
  readonly referenced: readonly string[] | undefined
}

function evaluationFault(expression: CompiledExpression, bag: AttributeBag, expected: Expected): string | undefined {
  const log = new ReadNames()
  const value = expression.evaluate(bag, log)
  const again = expression.evaluate(bag)
  if (!isDeepStrictEqual(value, again)) return 'the result with a read log differs from that without'
  const reads =
    expected.referenced === undefined ? undefined : differs('reads', log.names, expected.referenced.toSorted())
  if (value instanceof EvaluationError) {
    if (expected.error === undefined) return `failed: ${value.message}`
    return errorFault('run-time error', value.message, expected.error, expected.errorMatch) ?? reads
  }
  const shown = valueToJson(value)
  if (expected.error !== undefined) return `expected a run-time error, got ${JSON.stringify(shown)}`
  return resultFault(value, shown, expected) ?? reads
}

function resultFault(value: AttributeValue, shown: unknown, expected: Expected): string | undefined {
  const { result, resultBytesHex } = expected
  if (resultBytesHex !== undefined) {
    return differs('bytes', value instanceof Uint8Array ? Buffer.from(value).toString('hex') : shown, resultBytesHex)
  }
  const empty = typeof shown === 'object' && shown !== null && Object.keys(shown).length === 0
  return result === undefined && empty ? undefined : differs('result', shown, result)
}

function errorFault(what: string, message: string, expected = '', match = 'exact'): string | undefined {
  const fits =
    match === 'any' ||
    (match === 'exact' && message === expected) ||
    (match === 'prefix' && message.startsWith(expected)) ||
    (match === 'contains' && message.includes(expected))
  return fits ? undefined : `${what}: expected (${match}) ${JSON.stringify(expected)}, got ${JSON.stringify(message)}`
}

function differs(what: string, actual: unknown, expected: unknown): string | undefined {
  if (isDeepStrictEqual(actual, expected)) return undefined
  return `${what}: expected ${JSON.stringify(expected)}, got ${JSON.stringify(actual)}`
}
