// The types of all parts of a CEL expression, as the checker left them on the tree.

import type { ASTNode } from '@marcbachmann/cel-js'
import type { Vocabulary } from '../../kernel/attribute-bag.ts'
import { checkedType, operandsOf } from './analysis.ts'
import { environmentOf, mixerTypeNames } from './environment.ts'
import { prepare } from './prepare.ts'

/** One part of an expression. `start` and `end` are offsets into the source. */
export interface TypedPart {
  readonly start: number
  readonly end: number
  readonly type: string
}

/** The parts of an expression that compiles, in no particular order. */
export function celParts(source: string, vocabulary: Vocabulary): readonly TypedPart[] {
  const prepared = prepare(source)
  const parsed = environmentOf(vocabulary).environment.parse(prepared.text)
  parsed.check()
  const parts: TypedPart[] = []
  const visit = (node: ASTNode): void => {
    const type = checkedType(node)
    if (type !== undefined) {
      const place = { start: prepared.originalOffset(node.start), end: prepared.originalOffset(node.end) }
      parts.push({ ...place, type: mixerTypeNames(type) })
    }
    for (const operand of operandsOf(node)) visit(operand)
  }
  visit(parsed.ast)
  return parts
}
