// What is doubtful about a CEL tree that compiles: parts that can only fail, parts that a caller can make fail, parts
// that take too long.

import type { ASTNode } from '@marcbachmann/cel-js'
import { EMPTY_BAG } from '../../kernel/attribute-bag.ts'
import { EvaluationError, type ExpressionDoubt } from '../compiled.ts'
import { alwaysFails, doubtAt, mayFail, type Place, unmatchableKey } from '../doubts.ts'
import { compilePattern } from '../functions/regexp.ts'
import { setRemainingSteps } from '../steps.ts'
import { attributeAt, celReferences, checkedType, keyTested, mapEntryAt, operandsOf } from './analysis.ts'
import { mixerTypeNames } from './environment.ts'
import { estimateSteps, nestedLoops, TYPICAL_SIZE } from './cost.ts'
import { type CelOptions, generateCel } from './generate.ts'
import { type MacroParts, macroAt } from './macros.ts'
import { CEL_TYPES } from './values.ts'

export interface DoubtOptions extends CelOptions {
  /** The place of a node in the source. */
  placeOf(node: ASTNode): Place
}

const NUMBER = 'the text is not a number in range'
const ZONED = /^get(FullYear|Month|Date|DayOfMonth|DayOfWeek|DayOfYear|Hours|Minutes|Seconds|Milliseconds)$/

/** Functions that refuse some values: the types of arguments for which they do, and which values. */
const REFUSALS: ReadonlyMap<string, readonly [types: RegExp, reason: string]> = new Map([
  ['int', [/^(string|double|uint|dyn)$/, NUMBER]],
  ['uint', [/^(string|double|int|dyn)$/, NUMBER]],
  ['double', [/^(string|dyn)$/, NUMBER]],
  ['bool', [/^(string|dyn)$/, 'the text is not a boolean']],
  ['string', [/^(bytes|dyn)$/, 'the bytes are not UTF-8']],
  ['timestamp', [/^(string|int|dyn)$/, 'the value is not a timestamp']],
  ['duration', [/^(string|dyn)$/, 'the value is not a duration']],
  ['ip', [/./, 'the value is not an IP address']],
  ['email', [/./, 'the value is not an e-mail address']],
  ['dnsName', [/./, 'the value is not a DNS name']],
  ['uri', [/./, 'the value is not a URI']],
])

/** Types with parts, and those that are known only at run time. */
const INDEXABLE = /^(list|map|dyn|attributes\.|[A-Z]$)/

/** Finds the doubts of a checked tree, in the order of the source. */
export function celDoubts(root: ASTNode, options: DoubtOptions): readonly ExpressionDoubt[] {
  const finder = new DoubtFinder(options)
  finder.visit(root, new Set())
  return finder.found
}

class DoubtFinder {
  readonly found: ExpressionDoubt[] = []
  readonly #options: DoubtOptions

  constructor(options: DoubtOptions) {
    this.#options = options
  }

  /** `bound` are the variables of the macros around the node; `isLoop` tells that one of them is a comprehension. */
  visit(node: ASTNode, bound: ReadonlySet<string>, isWithinLoop = false): void {
    if (node.op === 'value' || node.op === 'id') return
    const { tree } = this.#options
    if (this.#isConstant(node, bound)) return this.#constant(node)
    const entry = mapEntryAt(node, tree) ?? keyTested(node, tree)
    if (entry !== undefined) {
      this.#add(unmatchableKey(this.#options.placeOf(node), entry.attribute, entry.mapKey))
      return
    }
    const macro = macroAt(node)
    if (macro === undefined) {
      this.#add(this.#doubtOf(node, bound))
      for (const operand of operandsOf(node)) this.visit(operand, bound, isWithinLoop)
      return
    }
    if (!isWithinLoop) this.#cost(node)
    this.#macro(macro, bound, isWithinLoop)
  }

  #macro({ name, variable, collection, bodies }: MacroParts, bound: ReadonlySet<string>, isWithinLoop: boolean): void {
    this.visit(collection, bound, isWithinLoop)
    const inner = new Set([...bound, variable])
    for (const body of bodies) this.visit(body, inner, isWithinLoop || name !== 'bind')
  }

  #isConstant(node: ASTNode, bound: ReadonlySet<string>): boolean {
    return celReferences(node, this.#options.tree).length === 0 && !mentions(node, bound)
  }

  /** A part that reads nothing: either it always works or it never does. */
  #constant(node: ASTNode): void {
    setRemainingSteps(this.#options.maxSteps)
    const value = generateCel(node, this.#options)(EMPTY_BAG, undefined)
    if (value instanceof EvaluationError) this.#add(this.#fails(node, value.message))
  }

  #doubtOf(node: ASTNode, bound: ReadonlySet<string>): ExpressionDoubt | undefined {
    switch (node.op) {
      case 'call':
        return this.#callDoubt(node, node.args[0], node.args[1], bound)
      case 'rcall':
        return this.#callDoubt(node, node.args[0], [node.args[1], ...node.args[2]], bound)
      case '/':
      case '%':
        return this.#divisionDoubt(node, node.args[1], bound)
      case '.':
      case '[]':
        return this.#indexDoubt(node, node.args[0], node.op === '.' ? 'string' : checkedType(node.args[1]))
      case '+':
        return this.#sumDoubt(node, node.args)
      default:
        return undefined
    }
  }

  #callDoubt(
    node: ASTNode,
    name: string,
    operands: readonly ASTNode[],
    bound: ReadonlySet<string>,
  ): ExpressionDoubt | undefined {
    const [first, second] = operands
    if (first === undefined) return undefined
    const refusal = REFUSALS.get(name)
    if (refusal !== undefined) {
      const [types, reason] = refusal
      return types.test(checkedType(first) ?? 'dyn') ? this.#mayFail(node, reason) : undefined
    }
    if (second === undefined) return undefined
    if (name === 'matches') return this.#patternDoubt(node, second, bound)
    return ZONED.test(name) && !this.#isConstant(second, bound)
      ? this.#mayFail(node, 'there is no such time zone')
      : undefined
  }

  #patternDoubt(node: ASTNode, pattern: ASTNode, bound: ReadonlySet<string>): ExpressionDoubt | undefined {
    if (pattern.op === 'value' && typeof pattern.args === 'string') {
      const compiled = compilePattern(pattern.args)
      return compiled instanceof EvaluationError ? this.#fails(node, compiled.message) : undefined
    }
    return this.#isConstant(pattern, bound)
      ? undefined
      : this.#mayFail(node, 'the value is not a (short) regular expression')
  }

  #divisionDoubt(node: ASTNode, divisor: ASTNode, bound: ReadonlySet<string>): ExpressionDoubt | undefined {
    if (checkedType(node) === 'double' || this.#isConstant(divisor, bound)) return undefined
    return this.#mayFail(node, 'the divisor is 0')
  }

  #indexDoubt(node: ASTNode, collection: ASTNode, key = 'dyn'): ExpressionDoubt | undefined {
    const attribute = attributeAt(collection, this.#options.tree)?.type
    const type = attribute === undefined ? (checkedType(collection) ?? 'dyn') : CEL_TYPES[attribute]
    if (!INDEXABLE.test(type)) return this.#fails(node, `a value of type ${mixerTypeNames(type)} has no parts`)
    if (type.startsWith('list')) return this.#mayFail(node, 'the list has no such item')
    const [, keys = 'dyn'] = /^map<([\w.]+),/.exec(type) ?? []
    if (kindOfKey(keys) !== kindOfKey(key) && keys !== 'dyn' && key !== 'dyn') {
      return this.#fails(node, `the map has no keys of type ${mixerTypeNames(key)}`)
    }
    return collection.op === 'map' ? this.#mayFail(node, 'the map has no such key') : undefined
  }

  /** The checker takes the sum for a duration. */
  #sumDoubt(node: ASTNode, [left, right]: readonly [ASTNode, ASTNode]): ExpressionDoubt | undefined {
    const isReversed = checkedType(left) === CEL_TYPES.DURATION && checkedType(right) === CEL_TYPES.TIMESTAMP
    return isReversed ? this.#fails(node, 'write the timestamp first') : undefined
  }

  #cost(node: ASTNode): void {
    const { maxSteps } = this.#options
    const steps = estimateSteps(node)
    if (steps > maxSteps) {
      const message = `${this.#options.textOf(node)} takes about ${steps} steps where maps have ${TYPICAL_SIZE} entries, and an evaluation may take ${maxSteps}`
      this.#add(doubtAt(this.#options.placeOf(node), 'costly', message))
    } else if (nestedLoops(node) > 1) {
      const message = `${this.#options.textOf(node)} takes more than ${maxSteps} steps where maps are large`
      this.#add(doubtAt(this.#options.placeOf(node), 'may-exhaust', message))
    }
  }

  #fails(node: ASTNode, reason: string): ExpressionDoubt {
    return alwaysFails(this.#options.placeOf(node), this.#options.textOf(node), reason)
  }

  #mayFail(node: ASTNode, reason: string): ExpressionDoubt {
    return mayFail(this.#options.placeOf(node), this.#options.textOf(node), reason)
  }

  #add(doubt: ExpressionDoubt | undefined): void {
    if (doubt !== undefined) this.found.push(doubt)
  }
}

/** Numbers that are equal are one key. */
function kindOfKey(type: string): string {
  return type === 'int' || type === 'uint' || type === 'double' ? 'number' : type
}

function mentions(node: ASTNode, variables: ReadonlySet<string>): boolean {
  if (variables.size === 0) return false
  if (node.op === 'id') return variables.has(node.args)
  return operandsOf(node).some((operand) => mentions(operand, variables))
}
