// Finds the text terms of a CEXL expression.

import type { ValueType } from '../../kernel/value.ts'
import { fits, joined, type TextTerm, textPattern } from '../text-term.ts'
import type { Subject } from '../evaluate.ts'
import { mapEntryOf } from './analysis.ts'
import type { Node } from './ast.ts'

type TypeOf = (attribute: string) => ValueType | undefined

/** What the operands of the top-level `&&` demand of single texts, but for what `equalityTermsOf` finds. */
export function cexlTextTerms(node: Node, typeOf: TypeOf): readonly TextTerm[] {
  if (node.kind === 'call' && node.name === 'LAND') return node.args.flatMap((arg) => cexlTextTerms(arg, typeOf))
  const term = termOf(node, typeOf)
  return term === undefined || isEqualityTerm(node) ? [] : [term]
}

/** `attribute == "text"` is an equality term; with a default for the attribute it is none. */
function isEqualityTerm(node: Node): boolean {
  if (node.kind !== 'call' || node.name !== 'EQ') return false
  return !node.args.some((arg) => arg.kind === 'call' && arg.name === 'OR')
}

function termOf(node: Node, typeOf: TypeOf): TextTerm | undefined {
  if (node.kind !== 'call') return undefined
  if (node.name === 'LOR') return joined(node.args.map((arg) => termOf(arg, typeOf)))
  const [left, right, ...others] = node.target === undefined ? node.args : [node.target, ...node.args]
  if (left === undefined || right === undefined || others.length > 0) return undefined
  const isSwapped = node.name === 'EQ' && left.kind === 'constant'
  const [operand, constant] = isSwapped ? [right, left] : [left, right]
  if (constant.kind !== 'constant' || typeof constant.value !== 'string') return undefined
  const pattern = textPattern(node.name, constant.value)
  const text = pattern === undefined ? undefined : textOf(operand, typeOf)
  if (pattern === undefined || text === undefined) return undefined
  const { subject, otherwise } = text
  // Where the default fits, a request without the attribute matches.
  if (otherwise !== undefined && fits(otherwise, pattern)) return undefined
  return { ...subject, anyOf: [pattern] }
}

/** The attribute or entry that an operand reads, and the constant after `|` that stands for it where it is absent. */
function textOf(node: Node, typeOf: TypeOf): { subject: Subject; otherwise: string | undefined } | undefined {
  if (node.kind === 'variable') {
    if (typeOf(node.name) !== 'STRING') return undefined
    return { subject: { attribute: node.name, mapKey: undefined }, otherwise: undefined }
  }
  const entry = mapEntryOf(node)
  if (entry !== undefined) return { subject: entry, otherwise: undefined }
  if (node.kind !== 'call' || node.name !== 'OR') return undefined
  const [left, right] = node.args
  if (left === undefined || right?.kind !== 'constant' || typeof right.value !== 'string') return undefined
  const text = textOf(left, typeOf)
  return text === undefined || text.otherwise !== undefined ? undefined : { ...text, otherwise: right.value }
}
