// Shows people what an expression means: its types, what it read, what came out, and where a mistake is.

import { type CompiledExpression, type ExpressionProblem, EvaluationError } from '../expression/compiled.ts'
import { patternText } from '../expression/text-term.ts'
import { typedParts } from '../expression/typed-parts.ts'
import type { AttributeBag, Vocabulary } from '../kernel/attribute-bag.ts'
import { formatIp } from '../kernel/ip-address.ts'
import { Duration, Timestamp } from '../kernel/time.ts'
import { type AttributeValue, isStringMap } from '../kernel/value.ts'
import { ReadNames } from './expr-reads.ts'

/** The line of the source that a problem is in, carets under its place, and the message. */
export function problemLines(source: string, problems: readonly ExpressionProblem[]): readonly string[] {
  return problems.flatMap(({ message, column, length }) => {
    const start = source.lastIndexOf('\n', column - 2) + 1
    const end = source.indexOf('\n', start)
    const line = source.slice(start, end < 0 ? undefined : end)
    const indent = column - 1 - start
    const width = Math.max(1, Math.min(length, line.length - indent))
    return [`  ${line}`, `  ${' '.repeat(indent)}${'^'.repeat(width)}`, `${column}: ${message}`]
  })
}

/** A result as one line. */
export function resultLine(result: AttributeValue | EvaluationError): string {
  return result instanceof EvaluationError ? `failed: ${result.message}` : JSON.stringify(valueToJson(result))
}

/** Everything that is known of an expression, and what an evaluation against the bag does. */
export function explanation(
  expression: CompiledExpression,
  vocabulary: Vocabulary,
  bag: AttributeBag,
): readonly string[] {
  const { source, dialect, type, constant, references, equalityTerms, textTerms } = expression
  const log = new ReadNames()
  const result = expression.evaluate(bag, log)
  const subject = (attribute: string, mapKey: string | undefined) => {
    return mapKey === undefined ? attribute : `${attribute}[${JSON.stringify(mapKey)}]`
  }
  const parts = typedParts(source, { dialect, vocabulary }).map(
    (part) => `${source.slice(part.start, part.end)}: ${part.type}`,
  )
  const terms = equalityTerms.map((term) => `${subject(term.attribute, term.mapKey)} == ${resultLine(term.constant)}`)
  for (const { attribute, mapKey, anyOf } of textTerms) {
    terms.push(`${subject(attribute, mapKey)} ${anyOf.map(patternText).join(' or ')}`)
  }
  return [
    `${dialect} expression of type ${type}`,
    ...section('types', parts),
    ...section(
      'names',
      references.map(({ attribute, mapKey }) => subject(attribute, mapKey)),
    ),
    ...section('must hold', terms),
    ...section('constant', constant === undefined ? [] : [resultLine(constant)]),
    ...section('read (- is absent)', log.names),
    ...section('asked instead of reading the value', log.predicates),
    ...section('result', [resultLine(result)]),
  ]
}

function section(title: string, lines: readonly string[]): readonly string[] {
  return lines.length === 0 ? [] : [`${title}:`, ...lines.map((line) => `  ${line}`)]
}

/** A value as JSON shows it: integers as digits, addresses, times and durations as text, maps as objects. */
export function valueToJson(value: AttributeValue): unknown {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : String(value)
  if (value instanceof Uint8Array) return value.length === 0 ? '' : formatIp(value)
  if (value instanceof Duration || value instanceof Timestamp) return value.toString()
  if (typeof value === 'object' && isStringMap(value)) return Object.fromEntries(value.entries())
  return value
}
