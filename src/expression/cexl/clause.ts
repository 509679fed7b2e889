// Finds the clauses that rules are made of: one string attribute or map entry compared with a constant.

import type { ValueType } from '../../kernel/value.ts'
import { type Clause, clauseOf } from '../evaluate.ts'
import { mapEntryOf } from './analysis.ts'
import type { Node } from './ast.ts'

/** The clause that the node is; `undefined` where it is something else. */
export function cexlClause(node: Node, typeOf: (attribute: string) => ValueType | undefined): Clause | undefined {
  if (node.kind !== 'call') return undefined
  const [left, right] = node.target === undefined ? node.args : [node.target, ...node.args]
  if (left === undefined || right === undefined || node.args.length > 2) return undefined
  const swapped = (node.name === 'EQ' || node.name === 'NEQ') && left.kind === 'constant'
  const [subject, constant] = swapped ? [right, left] : [left, right]
  if (constant.kind !== 'constant' || typeof constant.value !== 'string') return undefined
  const text = subject.kind === 'variable' ? typeOf(subject.name) === 'STRING' : mapEntryOf(subject) !== undefined
  return text ? clauseOf(node.name, constant.value) : undefined
}
