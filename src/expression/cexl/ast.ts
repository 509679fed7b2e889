// The syntax tree of CEXL: constants, attributes and calls (operators are calls too, by Mixer's names such as `EQ`).

import type { AttributeValue, ValueType } from '../../kernel/value.ts'

interface Span {
  /** Offsets into the source. */
  readonly start: number
  readonly end: number
}

export interface Constant extends Span {
  readonly kind: 'constant'
  /** As it was written. */
  readonly text: string
  readonly type: ValueType
  readonly value: AttributeValue
}

export interface Variable extends Span {
  readonly kind: 'variable'
  readonly name: string
}

export interface Call extends Span {
  readonly kind: 'call'
  readonly name: string
  readonly target: Node | undefined
  readonly args: readonly Node[]
}

export type Node = Constant | Variable | Call

/** Mixer's text of a tree, which its messages show: `EQ($a.b, 2)`, `"abc":startsWith("a")`. */
export function nodeText(node: Node): string {
  if (node.kind === 'constant') return node.text
  if (node.kind === 'variable') return `$${node.name}`
  const target = node.target === undefined ? '' : `${nodeText(node.target)}:`
  return `${target}${node.name}(${node.args.map(nodeText).join(', ')})`
}
