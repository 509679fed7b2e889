// What an expression is worth, written after the documents of the two languages (README.md, examples/README.md,
// src/expression/README.md) and sharing nothing with their compilers.
//
// In CEXL an absent attribute is absent, and an absent key of a map that is there is the empty text; under `|` both are
// absent. In CEL an absent attribute is its type's zero value, and an absent key is absent. A value of another type than
// declared fails in both, and so does all that reads an unknown attribute. CEXL evaluates from left to right; in CEL a side
// of `&&` or `||` that decides absorbs what becomes of the other, and of two that have no value the worse is the result.

import { Duration } from '../../../src/kernel/time.ts'
import type { AttributeType } from '../vocabulary.ts'
import type { Dialect, Expression } from './syntax.ts'
import {
  ABSENT,
  addressOf,
  FAILED,
  isLack,
  isSame,
  isValue,
  type Readable,
  type Result,
  Unknown,
  type Value,
  worst,
} from './values.ts'

const ZERO: Readonly<Record<AttributeType, Value>> = {
  STRING: '',
  INT64: 0n,
  DURATION: new Duration(0n),
  IP_ADDRESS: new Uint8Array(),
  STRING_MAP: new Map(),
}

export function evaluate(expression: Expression, dialect: Dialect, bag: Readable): Result {
  return new Interpreter(dialect, bag).value(expression)
}

class Interpreter {
  readonly #isCel: boolean
  readonly #bag: Readable
  /** The key that a comprehension is at. */
  #key = ''

  constructor(dialect: Dialect, bag: Readable) {
    this.#isCel = dialect === 'CEL'
    this.#bag = bag
  }

  value(node: Expression): Result {
    switch (node.is) {
      case 'constant':
        return node.value
      case 'attribute':
        return this.#or(this.#attribute(node.name, node.type), this.#isCel ? ZERO[node.type] : ABSENT)
      case 'entry':
        return this.#entry(node.map, node.key)
      case 'else': {
        // CEL asks whether the key is there, as `key in map` does.
        const key = this.#isCel && node.left.is === 'entry' ? this.value(node.left.key) : ''
        if (!isValue(key)) return key
        return this.#isPresent(node.left) ? this.value(node.left) : this.value(node.right)
      }
      case 'and':
      case 'or':
        return this.#logical(node.left, node.right, node.is === 'or')
      case 'choice': {
        const condition = this.value(node.condition)
        return isValue(condition) ? this.value(condition === true ? node.left : node.right) : condition
      }
      case 'not':
        return this.#with(node.of, (value) => value !== true)
      case 'address':
        return this.#with(node.of, (value) => addressOf(value as string))
      case 'integer':
        return this.#with(node.of, (value) => (/^[+-]?\d+$/.test(value as string) ? BigInt(value as string) : FAILED))
      case 'key':
        return this.#key
      case 'size':
      case 'same':
      case 'has':
      case 'holds':
      case 'some':
      case 'every':
        return this.#ofMap(node)
      default:
        return this.#binary(node)
    }
  }

  #with(operand: Expression, operation: (value: Value) => Result): Result {
    const value = this.value(operand)
    return isValue(value) ? operation(value) : value
  }

  #or(result: Result, otherwise: Result): Result {
    return result === ABSENT ? otherwise : result
  }

  #attribute(name: string, type: AttributeType): Result {
    const value = this.#bag.get(name)
    if (value === undefined) return this.#bag.whyUnknown?.(name) ?? ABSENT
    return isOfType(value, type) ? value : FAILED
  }

  #entry(name: string, key: Expression): Result {
    const map = this.#attribute(name, 'STRING_MAP')
    if (!isValue(map) && !(this.#isCel && map === ABSENT)) return map
    return this.#with(key, (text) => {
      const value = isValue(map) ? (map as ReadonlyMap<string, string>).get(text as string) : undefined
      return value ?? (this.#isCel ? ABSENT : '')
    })
  }

  /** Whether `|` or `pick` takes it: only attributes and entries can be absent, and in `pick` no attribute of one word. */
  #isPresent(node: Expression): boolean {
    if (node.is === 'else') return this.#isPresent(node.left) || this.#isPresent(node.right)
    if (node.is === 'attribute') {
      const isWord = this.#isCel && !node.name.includes('.')
      return isWord || this.#attribute(node.name, node.type) !== ABSENT
    }
    if (node.is !== 'entry') return true
    // What fails is there: it has its say. CEXL looks at the map first, CEL at the key.
    const map = this.#attribute(node.map, 'STRING_MAP')
    const key = this.value(node.key)
    if (!isValue(this.#isCel ? key : map) && (this.#isCel || map !== ABSENT)) return true
    if (map === ABSENT || (!this.#isCel && !this.#isPresent(node.key))) return false
    return !isValue(map) || !isValue(key) || (map as ReadonlyMap<string, string>).has(key as string)
  }

  #logical(left: Expression, right: Expression, decisive: boolean): Result {
    const one = this.value(left)
    if (one === decisive) return decisive
    if (!this.#isCel && !isValue(one)) return one
    const two = this.value(right)
    if (two === decisive) return decisive
    return worst(([one, two] as Result[]).filter(isLack)) ?? two
  }

  #binary(node: Extract<Expression, { readonly left: Expression }>): Result {
    // The one that stands first in the text has its say first: in CEXL a pattern is asked whether it matches.
    const isTurned = node.is === 'matches' && !this.#isCel
    const first = this.value(isTurned ? node.right : node.left)
    if (!isValue(first)) return first
    const second = this.value(isTurned ? node.left : node.right)
    if (!isValue(second)) return second
    const [left, right] = isTurned ? [second, first] : [first, second]
    switch (node.is) {
      case 'equal':
        return isSame(left, right)
      case 'unequal':
        return !isSame(left, right)
      case 'less':
        return (left as bigint) < (right as bigint)
      case 'join':
        return `${left as string}${right as string}`
      case 'quotient':
        return right === 0n ? FAILED : (left as bigint) / (right as bigint)
      case 'starts':
      case 'ends':
      case 'glob':
      case 'matches':
        return textTest(node.is, left as string, right as string)
      default:
        throw new Error(`${node.is} is no operation on two values`)
    }
  }

  #ofMap(node: Extract<Expression, { readonly is: 'size' | 'same' | 'has' | 'holds' | 'some' | 'every' }>): Result {
    if (node.is === 'has') {
      const value = this.#attribute(node.name, 'STRING')
      return value instanceof Unknown ? value : value !== ABSENT
    }
    // `key in map`: the key stands first.
    const key = node.is === 'holds' ? this.value(node.key) : ''
    if (!isValue(key)) return key
    const map = this.#or(this.#attribute(node.map, 'STRING_MAP'), ZERO.STRING_MAP)
    if (!isValue(map)) return map
    const keys = [...(map as ReadonlyMap<string, string>).keys()]
    switch (node.is) {
      case 'size':
        return BigInt(keys.length)
      case 'same': {
        const other = this.#or(this.#attribute(node.other, 'STRING_MAP'), ZERO.STRING_MAP)
        return isValue(other) ? isSame(map, other) : other
      }
      case 'holds':
        return keys.includes(key as string)
      default:
        return this.#quantified(keys, node.body, node.is === 'some')
    }
  }

  #quantified(keys: readonly string[], body: Expression, decisive: boolean): Result {
    const results = keys.map((key) => {
      this.#key = key
      return this.value(body)
    })
    if (results.includes(decisive)) return decisive
    return worst(results.filter(isLack)) ?? !decisive
  }
}

function isOfType(value: unknown, type: AttributeType): value is Value {
  if (type === 'STRING') return typeof value === 'string'
  if (type === 'INT64') return typeof value === 'bigint'
  if (type === 'DURATION') return value instanceof Duration
  return type === 'IP_ADDRESS' ? value instanceof Uint8Array : value instanceof Map
}

function textTest(test: 'starts' | 'ends' | 'glob' | 'matches', text: string, part: string): Result {
  if (test === 'starts') return text.startsWith(part)
  if (test === 'ends') return text.endsWith(part)
  if (test === 'glob') {
    if (part.endsWith('*')) return text.startsWith(part.slice(0, -1))
    return part.startsWith('*') ? text.endsWith(part.slice(1)) : text === part
  }
  try {
    return new RegExp(part).test(text)
  } catch {
    return FAILED
  }
}
