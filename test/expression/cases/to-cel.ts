// Rewrites CEXL to CEL: `a | b` becomes `pick(a, b)` and duration strings become `duration("…")`. The rest of the
// syntax is shared, but not all of the meaning (absent attributes read as zero values, `matches` swaps its operands).

import { goText } from '../../../src/expression/functions/bytes.ts'
import type { Call, Constant, Node } from '../../../src/expression/cexl/ast.ts'
import { parseCexl } from '../../../src/expression/cexl/parse.ts'

const OPERATORS: Readonly<Record<string, string>> = {
  ADD: '+',
  SUB: '-',
  MUL: '*',
  QUO: '/',
  REM: '%',
  EQ: '==',
  NEQ: '!=',
  LT: '<',
  LEQ: '<=',
  GT: '>',
  GEQ: '>=',
  LOR: '||',
  LAND: '&&',
}

/** @throws SourceError where the source is not CEXL. */
export function cexlToCel(source: string): string {
  return write(parseCexl(source))
}

function write(node: Node): string {
  if (node.kind === 'variable') return node.name
  return node.kind === 'constant' ? writeConstant(node) : writeCall(node)
}

function writeConstant({ type, value }: Constant): string {
  if (type === 'DURATION') return `duration(${JSON.stringify(goText(value))})`
  if (typeof value === 'string') return JSON.stringify(value)
  const text = goText(value)
  return type === 'DOUBLE' && /^-?\d+$/.test(text) ? `${text}.0` : text
}

function writeCall(call: Call): string {
  const args = call.args.map(write)
  const [left, right] = args
  const operator = OPERATORS[call.name]
  if (operator !== undefined && args.length === 2) return `(${left} ${operator} ${right})`
  if (call.name === 'INDEX') return `${left}[${right}]`
  if (call.name === 'OR') return `pick(${args.join(', ')})`
  const target = call.target === undefined ? '' : `${write(call.target)}.`
  return `${target}${call.name}(${args.join(', ')})`
}
