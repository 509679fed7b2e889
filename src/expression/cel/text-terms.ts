// Finds the text terms of a CEL expression.

import type { ASTNode } from '@marcbachmann/cel-js'
import type { Subject } from '../evaluate.ts'
import { joined, type TextTerm, textPattern } from '../text-term.ts'
import { attributeAt, mapEntryAt } from './analysis.ts'
import type { AttributeNode } from './attribute-tree.ts'
import { clauseParts } from './clause.ts'

/** What the operands of the top-level `&&` demand of single texts, but for what `celEqualityTerms` finds. */
export function celTextTerms(node: ASTNode, tree: AttributeNode): readonly TextTerm[] {
  if (node.op === '&&') return node.args.flatMap((operand) => celTextTerms(operand, tree))
  const term = node.op === '==' ? undefined : termOf(node, tree)
  return term === undefined ? [] : [term]
}

function termOf(node: ASTNode, tree: AttributeNode): TextTerm | undefined {
  if (node.op === '||') return joined(node.args.map((operand) => termOf(operand, tree)))
  if (node.op === 'in') return memberTerm(node.args[0], node.args[1], tree)
  const parts = clauseParts(node)
  if (parts?.constant.op !== 'value' || typeof parts.constant.args !== 'string') return undefined
  const pattern = textPattern(parts.name, parts.constant.args)
  const subject = pattern === undefined ? undefined : textAt(parts.subject, tree)
  return pattern === undefined || subject === undefined ? undefined : { ...subject, anyOf: [pattern] }
}

/** `attribute in ["a", "b"]` */
function memberTerm(operand: ASTNode, list: ASTNode, tree: AttributeNode): TextTerm | undefined {
  if (list.op !== 'list') return undefined
  const subject = textAt(operand, tree)
  if (subject === undefined) return undefined
  const patterns = list.args.map((item) =>
    item.op === 'value' && typeof item.args === 'string' ? textPattern('EQ', item.args) : undefined,
  )
  return joined(patterns.map((pattern) => pattern && { ...subject, anyOf: [pattern] }))
}

function textAt(node: ASTNode, tree: AttributeNode): Subject | undefined {
  const attribute = attributeAt(node, tree)
  if (attribute?.type === 'STRING') return { attribute: attribute.name, mapKey: undefined }
  return mapEntryAt(node, tree)
}
