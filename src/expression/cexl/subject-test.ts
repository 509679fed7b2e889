// What a boolean CEXL expression over one subject asks of it, as data.

import type { SubjectTest } from '../../kernel/subject-test.ts'
import type { ValueType } from '../../kernel/value.ts'
import { comparison } from '../subject-test.ts'
import { mapEntryOf } from './analysis.ts'
import type { Node } from './ast.ts'

type TypeOf = (attribute: string) => ValueType | undefined

/** Types of which equal values are the same to Mixer and to us. */
const TESTED: ReadonlySet<ValueType | undefined> = new Set(['STRING', 'INT64', 'BOOL', 'DOUBLE'])

/** @param node reads one attribute or entry only @returns `undefined` where what it asks has no such form */
export function cexlSubjectTest(node: Node, typeOf: TypeOf): SubjectTest | undefined {
  if (node.kind === 'constant') return undefined
  if (isSubject(node, typeOf)) return { op: 'equals', value: true }
  if (node.kind === 'variable') return undefined
  if (node.name === 'LAND' || node.name === 'LOR') {
    const parts = node.args.map((arg) => cexlSubjectTest(arg, typeOf))
    const of = parts.filter((part) => part !== undefined)
    return of.length < parts.length ? undefined : { op: node.name === 'LAND' ? 'all' : 'any', of }
  }
  const [left, right, ...others] = node.target === undefined ? node.args : [node.target, ...node.args]
  if (left === undefined || right === undefined || others.length > 0) return undefined
  // The pattern is the target of `matches`.
  const isMatch = node.name === 'matches'
  const isSwapped = left.kind === 'constant'
  const [subject, constant] = isSwapped ? [right, left] : [left, right]
  if (constant.kind !== 'constant' || (isMatch && !isSwapped) || !isSubject(subject, typeOf)) return undefined
  return comparison(node.name, constant.value, isSwapped && !isMatch)
}

/** Whether the node is the subject itself: what `|` gives where that is absent is never asked. */
function isSubject(node: Node, typeOf: TypeOf): boolean {
  if (node.kind === 'variable') return TESTED.has(typeOf(node.name))
  if (node.kind !== 'call') return false
  if (mapEntryOf(node) !== undefined) return true
  return node.name === 'OR' && node.args[0] !== undefined && isSubject(node.args[0], typeOf)
}
