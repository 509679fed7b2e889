// From Go's expression tree to CEXL's: dotted names become attributes, operators become calls, the rest is refused.

import { MAX_SOURCE_LENGTH, SourceError } from '../source-error.ts'
import type { Node } from './ast.ts'
import { type GoExpression, parseGoExpression } from './go-expression.ts'
import { parseLiteral } from './literal.ts'

/** Mixer's names of Go's operators. Operators without a name become the empty one, which no function has. */
const OPERATOR_NAMES: Readonly<Record<string, string>> = {
  '+': 'ADD',
  '-': 'SUB',
  '*': 'MUL',
  '/': 'QUO',
  '%': 'REM',
  '&': 'AND',
  '|': 'OR',
  '^': 'XOR',
  '&&': 'LAND',
  '||': 'LOR',
  '==': 'EQ',
  '<': 'LT',
  '>': 'GT',
  '!': 'NOT',
  '!=': 'NEQ',
  '<=': 'LEQ',
  '>=': 'GEQ',
}

/** Parses CEXL. @throws SourceError at the first mistake. */
export function parseCexl(source: string): Node {
  if (source.length > MAX_SOURCE_LENGTH) {
    throw new SourceError(`expression is longer than ${MAX_SOURCE_LENGTH} characters`, MAX_SOURCE_LENGTH, source.length)
  }
  return new Reducer(source).reduce(parseGoExpression(source))
}

class Reducer {
  readonly #source: string

  constructor(source: string) {
    this.#source = source
  }

  reduce(expression: GoExpression): Node {
    const { start, end } = expression
    const call = (name: string, ...operands: GoExpression[]): Node => {
      return {
        kind: 'call',
        name,
        target: undefined,
        args: operands.map((operand) => this.reduce(operand)),
        start,
        end,
      }
    }
    switch (expression.form) {
      case 'unary':
        return call(OPERATOR_NAMES[expression.operator] ?? '', expression.operand)
      case 'binary':
        return call(OPERATOR_NAMES[expression.operator] ?? '', expression.left, expression.right)
      case 'index':
        return call('INDEX', expression.operand, expression.index)
      case 'parenthesis':
        return this.reduce(expression.inner)
      case 'literal':
        return this.#literal(expression)
      case 'identifier':
        return identifier(expression.name, start, end)
      case 'selector':
        return { kind: 'variable', name: this.#attributeName(expression), start, end }
      case 'call':
        return this.#call(expression)
      case 'other':
        return this.#unexpected(expression)
    }
  }

  #literal(expression: GoExpression & { form: 'literal' }): Node {
    const { kind, text, start, end } = expression
    const result = parseLiteral(text, kind === 'INT' ? 'INT64' : kind === 'FLOAT' ? 'DOUBLE' : 'STRING')
    if ('error' in result) throw new SourceError(result.error, start, end)
    return { kind: 'constant', text, ...result, start, end }
  }

  #call(expression: GoExpression & { form: 'call' }): Node {
    const { callee, start, end } = expression
    const args = () => expression.args.map((arg) => this.reduce(arg))
    if (callee.form === 'identifier')
      return { kind: 'call', name: callee.name, target: undefined, args: args(), start, end }
    if (callee.form !== 'selector') return this.#unexpected(callee)
    const { operand, name } = callee
    let target: Node
    if (operand.form === 'identifier' || operand.form === 'selector') {
      target = { kind: 'variable', name: this.#attributeName(operand), start: operand.start, end: operand.end }
    } else if (operand.form === 'call' || operand.form === 'literal' || operand.form === 'parenthesis') {
      target = this.reduce(operand)
    } else {
      return this.#unexpected(operand)
    }
    return { kind: 'call', name, target, args: args(), start, end }
  }

  /** Joins `a.b.c`; anything else than names in front of a dot is refused. */
  #attributeName(expression: GoExpression): string {
    const names: string[] = []
    let rest = expression
    while (rest.form === 'selector') {
      names.unshift(rest.name)
      rest = rest.operand
    }
    if (rest.form !== 'identifier') return this.#unexpected(expression)
    return [rest.name, ...names].join('.')
  }

  #unexpected({ start, end }: GoExpression): never {
    throw new SourceError(`unexpected expression: ${this.#source.slice(start, end)}`, start, end)
  }
}

function identifier(name: string, start: number, end: number): Node {
  const text = name.toLowerCase()
  if (text !== 'true' && text !== 'false') return { kind: 'variable', name, start, end }
  return { kind: 'constant', text, type: 'BOOL', value: text === 'true', start, end }
}
