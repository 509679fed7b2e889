// Writes expressions in CEXL and CEL.

import { Duration } from '../../../src/kernel/time.ts'
import type { Dialect, Expression } from './syntax.ts'

/** @throws Error for what the dialect does not have. */
export function write(expression: Expression, dialect: Dialect): string {
  const text = (part: Expression) => write(part, dialect)
  // CEXL lets entries be asked in parentheses only.
  const target = (part: Expression) => (part.is === 'entry' ? `(${text(part)})` : text(part))
  switch (expression.is) {
    case 'constant':
      return constantText(expression.value, dialect)
    case 'attribute':
      return expression.name
    case 'entry':
      return `${expression.map}[${text(expression.key)}]`
    case 'else': {
      const [left, right] = [text(expression.left), text(expression.right)]
      return dialect === 'CEL' ? `pick(${left}, ${right})` : `(${left} | ${right})`
    }
    case 'starts':
      return `${target(expression.left)}.startsWith(${text(expression.right)})`
    case 'ends':
      return `${target(expression.left)}.endsWith(${text(expression.right)})`
    case 'glob':
      return `match(${text(expression.left)}, ${text(expression.right)})`
    case 'matches': {
      // The other way round in CEXL: the pattern is asked.
      const [asked, given] =
        dialect === 'CEL' ? [expression.left, expression.right] : [expression.right, expression.left]
      return `${target(asked)}.matches(${text(given)})`
    }
    case 'choice': {
      const [condition, left, right] = [expression.condition, expression.left, expression.right].map(text)
      return dialect === 'CEL' ? `(${condition} ? ${left} : ${right})` : `conditional(${condition}, ${left}, ${right})`
    }
    case 'address':
      return `ip(${text(expression.of)})`
    default:
      return 'left' in expression && expression.is in OPERATORS
        ? `(${text(expression.left)} ${OPERATORS[expression.is]} ${text(expression.right)})`
        : celText(expression, dialect)
  }
}

const OPERATORS: Readonly<Record<string, string>> = {
  and: '&&',
  or: '||',
  equal: '==',
  unequal: '!=',
  less: '<',
  join: '+',
  quotient: '/',
}

function celText(expression: Expression, dialect: Dialect): string {
  if (dialect !== 'CEL') throw new Error(`${dialect} has no ${expression.is}`)
  switch (expression.is) {
    case 'integer':
      return `int(${write(expression.of, dialect)})`
    case 'not':
      return `!(${write(expression.of, dialect)})`
    case 'size':
      return `size(${expression.map})`
    case 'same':
      return `(${expression.map} == ${expression.other})`
    case 'has':
      return `has(${expression.name})`
    case 'holds':
      return `(${write(expression.key, dialect)} in ${expression.map})`
    case 'some':
      return `${expression.map}.exists(key, ${write(expression.body, dialect)})`
    case 'every':
      return `${expression.map}.all(key, ${write(expression.body, dialect)})`
    case 'key':
      return 'key'
    default:
      throw new Error(`no text for ${expression.is}`)
  }
}

function constantText(value: string | bigint | Duration, dialect: Dialect): string {
  if (!(value instanceof Duration)) return typeof value === 'string' ? JSON.stringify(value) : String(value)
  const text = `"${Number(value.nanos) / 1e6}ms"`
  return dialect === 'CEL' ? `duration(${text})` : text
}
