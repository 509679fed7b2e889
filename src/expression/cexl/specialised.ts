// Faster closures for the clauses that rules are made of: one string attribute or map entry compared with a constant.

import type { Predicate } from '../../kernel/read-log.ts'
import type { ValueType } from '../../kernel/value.ts'
import { entryPredicate, equalsPredicate, type Evaluate, stringPredicate } from '../evaluate.ts'
import { match } from '../functions/conversions.ts'
import { mapEntryOf } from './analysis.ts'
import type { Node } from './ast.ts'

type Test = (text: string) => boolean

/** A closure that needs no generic operands; `undefined` where the node is not one of the common clauses. */
export function specialised(
  node: Node,
  predicate: Predicate,
  plain: Evaluate,
  typeOf: (attribute: string) => ValueType | undefined,
): Evaluate | undefined {
  const clause = clauseOf(node)
  if (clause === undefined) return undefined
  const { subject, test, equals } = clause
  if (mapEntryOf(subject) !== undefined) return entryPredicate(predicate, test, plain)
  if (subject.kind !== 'variable' || typeOf(subject.name) !== 'STRING') return undefined
  return equals === undefined ? stringPredicate(predicate, test, plain) : equalsPredicate(predicate, equals, plain)
}

interface Clause {
  readonly subject: Node
  readonly test: Test
  readonly equals: string | undefined
}

function clauseOf(node: Node): Clause | undefined {
  if (node.kind !== 'call') return undefined
  const [left, right] = node.target === undefined ? node.args : [node.target, ...node.args]
  if (left === undefined || right === undefined || node.args.length > 2) return undefined
  const symmetric = node.name === 'EQ' || node.name === 'NEQ'
  const swapped = symmetric && left.kind === 'constant'
  const constant = swapped ? left : right
  if (constant.kind !== 'constant' || typeof constant.value !== 'string') return undefined
  const text = constant.value
  const test = testOf(node.name, text)
  if (test === undefined) return undefined
  return { subject: swapped ? right : left, test, equals: node.name === 'EQ' ? text : undefined }
}

function testOf(name: string, constant: string): Test | undefined {
  switch (name) {
    case 'EQ':
      return (text) => text === constant
    case 'NEQ':
      return (text) => text !== constant
    case 'startsWith':
      return (text) => text.startsWith(constant)
    case 'endsWith':
      return (text) => text.endsWith(constant)
    case 'match':
      return (text) => match(text, constant)
    default:
      return undefined
  }
}
