// What a boolean CEL expression over one subject asks of it, as data.

import type { ASTNode } from '@marcbachmann/cel-js'
import type { PlainValue, SubjectTest } from '../../kernel/subject-test.ts'
import { comparison, isPlain } from '../subject-test.ts'
import { attributeAt, mapEntryAt } from './analysis.ts'
import type { AttributeNode } from './attribute-tree.ts'
import { clauseParts } from './clause.ts'

/** Mixer's names of the operators of order. */
const ORDER: Readonly<Record<string, string>> = { '<': 'LT', '<=': 'LEQ', '>': 'GT', '>=': 'GEQ' }

/** The JavaScript type of a subject's values, by its type. Those of other types are not compared as they are. */
const TESTED: Readonly<Record<string, string>> = {
  STRING: 'string',
  INT64: 'bigint',
  BOOL: 'boolean',
  DOUBLE: 'number',
}

/** @param node reads one attribute or entry only @returns `undefined` where what it asks has no such form */
export function celSubjectTest(node: ASTNode, tree: AttributeNode): SubjectTest | undefined {
  switch (node.op) {
    case '&&':
      return joined('all', node.args, tree)
    case '||':
      return joined('any', node.args, tree)
    case '!_': {
      const of = celSubjectTest(node.args, tree)
      return of === undefined ? undefined : { op: 'not', of }
    }
    case 'in':
      return memberTest(node.args[0], node.args[1], tree)
    case '<':
    case '<=':
    case '>':
    case '>=': {
      const [left, right] = node.args
      const isSwapped = left.op === 'value'
      return compared(ORDER[node.op] ?? '', isSwapped ? [right, left] : [left, right], isSwapped, tree)
    }
    default: {
      if (typeAt(node, tree) === 'boolean') return { op: 'equals', value: true }
      const parts = clauseParts(node)
      return parts === undefined ? undefined : compared(parts.name, [parts.subject, parts.constant], false, tree)
    }
  }
}

function joined(op: 'all' | 'any', operands: readonly ASTNode[], tree: AttributeNode): SubjectTest | undefined {
  const parts = operands.map((operand) => celSubjectTest(operand, tree))
  const of = parts.filter((part) => part !== undefined)
  return of.length < parts.length ? undefined : { op, of }
}

function compared(
  name: string,
  [subject, constant]: readonly [ASTNode, ASTNode],
  isSwapped: boolean,
  tree: AttributeNode,
): SubjectTest | undefined {
  if (constant.op !== 'value' || typeof constant.args !== typeAt(subject, tree)) return undefined
  return comparison(name, constant.args, isSwapped)
}

/** `subject in ["a", "b"]` */
function memberTest(subject: ASTNode, list: ASTNode, tree: AttributeNode): SubjectTest | undefined {
  if (list.op !== 'list') return undefined
  const type = typeAt(subject, tree)
  const values: PlainValue[] = []
  for (const item of list.args) {
    if (item.op !== 'value' || typeof item.args !== type || !isPlain(item.args)) return undefined
    values.push(item.args)
  }
  return { op: 'oneOf', values }
}

/** What `typeof` says of the subject's values, where the node is a subject that can be compared as it is. */
function typeAt(node: ASTNode, tree: AttributeNode): string | undefined {
  if (mapEntryAt(node, tree) !== undefined) return 'string'
  return TESTED[attributeAt(node, tree)?.type ?? '']
}
