// From CEL source to a compiled expression: parsed and checked by cel-js, evaluated by own closures.

import { type ASTNode, ParseError, TypeError as CheckError } from '@marcbachmann/cel-js'
import { EMPTY_BAG } from '../../kernel/attribute-bag.ts'
import type { ReadLog } from '../../kernel/read-log.ts'
import type { AttributeValue, ValueType } from '../../kernel/value.ts'
import { ambiguousEntries } from '../ambiguous-reads.ts'
import { type CompileOptions, type CompileResult, EvaluationError, type ExpressionProblem } from '../compiled.ts'
import type { Evaluate } from '../evaluate.ts'
import { MAX_SOURCE_LENGTH, SourceError } from '../source-error.ts'
import { budgeted, DEFAULT_MAX_STEPS, setRemainingSteps } from '../steps.ts'
import { checkHeight } from './height.ts'
import { attributeAt, celEqualityTerms, checkedType, celReferences, operandsOf } from './analysis.ts'
import type { AttributeNode } from './attribute-tree.ts'
import { celDoubts } from './doubts.ts'
import { environmentOf, mixerTypeNames } from './environment.ts'
import { generateCel } from './generate.ts'
import { attributeWord, prepare, type PreparedSource } from './prepare.ts'
import type { Cel } from './reads.ts'
import { celTextTerms } from './text-terms.ts'
import { AttributeMap, CEL_TYPES, toAttribute } from './values.ts'

/** Compiles CEL against a vocabulary, which must not change afterwards. */
export function compileCel(source: string, options: Omit<CompileOptions, 'dialect'>): CompileResult {
  let prepared: PreparedSource = { text: source, originalOffset: (offset) => offset }
  try {
    if (source.length > MAX_SOURCE_LENGTH)
      throw new SourceError(`expression is longer than ${MAX_SOURCE_LENGTH} characters`, 0, 1)
    prepared = prepare(source)
    return compile(source, prepared, options)
  } catch (error) {
    return { ok: false, problems: [problemOf(error, prepared)] }
  }
}

function compile(
  source: string,
  prepared: PreparedSource,
  { vocabulary, maxSteps = DEFAULT_MAX_STEPS }: Omit<CompileOptions, 'dialect'>,
): CompileResult {
  setRemainingSteps(maxSteps)
  const { text } = prepared
  const { environment, tree } = environmentOf(vocabulary)
  const parsed = environment.parse(text)
  const { ast } = parsed
  checkHeight(ast)
  const checked = parsed.check()
  if (!checked.valid) throw checkError(checked.error, text)
  checkIndexes(ast, tree)
  const type = attributeType(checked.type ?? 'dyn', ast)
  const references = celReferences(ast, tree)
  const placeOf = ({ start, end }: ASTNode) => ({
    start: prepared.originalOffset(start),
    end: prepared.originalOffset(end),
  })
  const textOf = (node: ASTNode) => {
    const { start, end } = placeOf(node)
    return source.slice(start, end)
  }
  const options = { tree, maxSteps, textOf }
  const evaluate = budgeted(asExpression(generateCel(ast, options), type), maxSteps)
  const constant = references.length === 0 ? evaluate(EMPTY_BAG, undefined) : undefined
  return {
    ok: true,
    expression: {
      source,
      dialect: 'CEL',
      type,
      constant: constant instanceof EvaluationError ? undefined : constant,
      references,
      equalityTerms: celEqualityTerms(ast, tree),
      textTerms: celTextTerms(ast, tree),
      doubts: celDoubts(ast, { ...options, placeOf }),
      evaluate,
    },
  }
}

/** The checker throws errors of its own, and plain ones where overloads of operators on `dyn` are in each other's way. */
function checkError(error: Error | undefined, text: string): Error {
  if (error instanceof CheckError || error instanceof ParseError || error instanceof RangeError) return error
  return new SourceError(error?.message ?? 'the types do not fit', 0, text.length)
}

/** The result as an attribute value; a map attribute that leaves the expression is read as a whole. */
function asExpression(cel: Cel, type: ValueType): Evaluate {
  if (type === 'BOOL') {
    return (bag, log) => {
      const value = cel(bag, log)
      return typeof value === 'boolean' || value instanceof EvaluationError ? value : toAttribute(value, type)
    }
  }
  return (bag, log) => {
    const value = cel(bag, log)
    if (value instanceof EvaluationError) return value
    return value instanceof AttributeMap ? wholeMap(value, log) : toAttribute(value, type)
  }
}

function wholeMap({ name, map }: AttributeMap, log: ReadLog | undefined): AttributeValue | EvaluationError {
  if (log !== undefined) log.wholeMap(name, map)
  return map === undefined ? new Map<string, string>() : (ambiguousEntries(map, name) ?? map)
}

/** The checker lets any key into a map of strings. */
function checkIndexes(node: ASTNode, tree: AttributeNode): void {
  for (const operand of operandsOf(node)) checkIndexes(operand, tree)
  if (node.op !== '[]' || attributeAt(node.args[0], tree)?.type !== 'STRING_MAP') return
  const type = checkedType(node.args[1]) ?? 'dyn'
  if (type === 'string' || type === 'dyn') return
  const message = `found no matching overload for '_[_]' applied to '(map(string, string), ${type})'`
  throw new SourceError(message, node.start, node.end)
}

/**
 * The attribute type of an expression. Type names are strings, unsigned integers integers; what is known only at run
 * time must turn out to be a string.
 */
function attributeType(type: string, { start, end }: ASTNode): ValueType {
  for (const [name, celName] of Object.entries(CEL_TYPES)) if (celName === type) return name as ValueType
  if (type === 'uint') return 'INT64'
  if (type === 'type' || type === 'dyn' || /^[A-Z]$/.test(type)) return 'STRING'
  if (type.startsWith('map<') && /^map<(K, V|dyn, dyn|string, dyn|dyn, string)>$/.test(type)) return 'STRING_MAP'
  if (type === 'map') return 'STRING_MAP'
  throw new SourceError(
    `the type of the expression, ${mixerTypeNames(type)}, is not one that attributes have`,
    start,
    end,
  )
}

function problemOf(error: unknown, prepared: PreparedSource): ExpressionProblem {
  const { message, start, end } = placeOf(error)
  const from = prepared.originalOffset(start)
  return { message, column: from + 1, length: Math.max(1, prepared.originalOffset(end) - from) }
}

function placeOf(error: unknown): { message: string; start: number; end: number } {
  if (error instanceof SourceError) return error
  // The parser recurses; it has limits of its own, but not for every kind of nesting.
  if (error instanceof RangeError) return { message: 'expression is nested too deeply', start: 0, end: 1 }
  if (!(error instanceof ParseError || error instanceof CheckError)) throw error
  const { start, end } = error.range ?? { start: 0, end: 1 }
  return { message: mixerMessage(error.code, error.summary), start, end }
}

/** The checker's message in the words of Mixer's. */
function mixerMessage(code: string, summary: string): string {
  const text = mixerTypeNames(summary)
  const [, operand = ''] = /: (.*)$/s.exec(text) ?? []
  if (code === 'no_such_key') return `undefined field '${operand}'`
  if (code === 'unknown_variable') return `undeclared reference to '${attributeWord(operand)}'`
  if (code === 'cannot_index_type')
    return `${text.replace('Cannot index type', 'type')} does not support field selection`
  const overload = /^no such overload: (.+) (==|!=|<=|>=|<|>|\+|-|\*|\/|%|in) (.+)$/.exec(text)
  if (overload === null) return text
  const [, left, operator, right] = overload
  return `found no matching overload for '_${operator}_' applied to '(${left}, ${right})'`
}
