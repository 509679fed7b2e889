// Finds the clauses that rules are made of: one string attribute or map entry compared with a constant.

import type { ASTNode } from '@marcbachmann/cel-js'
import { type Clause, clauseOf } from '../evaluate.ts'
import { attributeAt, mapEntryAt } from './analysis.ts'
import type { AttributeNode } from './attribute-tree.ts'

/** The clause that the node is; `undefined` where it is something else. */
export function celClause(node: ASTNode, tree: AttributeNode): Clause | undefined {
  const parts = clauseParts(node)
  if (parts === undefined) return undefined
  const { name, subject, constant } = parts
  if (constant.op !== 'value' || typeof constant.args !== 'string') return undefined
  const text = attributeAt(subject, tree)?.type === 'STRING' || mapEntryAt(subject, tree) !== undefined
  return text ? clauseOf(name, constant.args) : undefined
}

/** What is tested by an operator or function (operators by Mixer's names), and against what. */
export function clauseParts(node: ASTNode): { name: string; subject: ASTNode; constant: ASTNode } | undefined {
  if (node.op === '==' || node.op === '!=') {
    const [left, right] = node.args
    const name = node.op === '==' ? 'EQ' : 'NEQ'
    return left.op === 'value' ? { name, subject: right, constant: left } : { name, subject: left, constant: right }
  }
  if (node.op === 'call' && node.args[0] === 'match') {
    const [subject, constant] = node.args[1]
    return subject === undefined || constant === undefined ? undefined : { name: 'match', subject, constant }
  }
  if (node.op !== 'rcall') return undefined
  const [name, subject, [constant]] = node.args
  return constant === undefined || name === 'match' ? undefined : { name, subject, constant }
}
