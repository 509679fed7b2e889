// Recognises, in what the expression compilers say, that an attribute is not declared, and which one.

import type { ExpressionProblem } from '../expression/compiled.ts'

const CHAIN = /[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*/g

/** An attribute that an expression names and no manifest declares; `index` is where it starts in the source. */
export interface UnknownAttribute {
  readonly name: string
  readonly index: number
}

/** CEXL says "unknown attribute a.b"; CEL sees objects and fields, so that the whole name is taken from the source. */
export function unknownAttribute(source: string, { message, column }: ExpressionProblem): UnknownAttribute | undefined {
  const named = /^unknown attribute ['"`]?([\w.$-]+)/i.exec(message)?.[1]
  if (named !== undefined) return { name: named, index: column - 1 }
  if (!/^(undefined field|undeclared reference)/.test(message)) return undefined
  for (const { 0: chain, index } of source.matchAll(CHAIN)) {
    if (column - 1 < index || column - 1 >= index + chain.length) continue
    const isCall = /^\s*\(/.test(source.slice(index + chain.length))
    const name = isCall && chain.includes('.') ? chain.slice(0, chain.lastIndexOf('.')) : chain
    return { name, index }
  }
  return undefined
}
