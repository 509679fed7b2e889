// Compiles a checked CEXL tree to closures. Under `|` an operand is compiled in "optional" mode, in which an absent
// attribute or map key is `undefined`; everywhere else absence is an error.

import { EMPTY_BAG } from '../../kernel/attribute-bag.ts'
import type { AttributeValue, ValueType } from '../../kernel/value.ts'
import { EvaluationError } from '../compiled.ts'
import { asPredicate, clausePredicate, type Evaluate, type EvaluateOptional, predicateOf } from '../evaluate.ts'
import { compilePattern, findPattern, requestPattern } from '../functions/regexp.ts'
import { SourceError } from '../source-error.ts'
import { EXHAUSTED, spendCharacters } from '../steps.ts'
import { canonicalText, mapEntryOf, referencesOf, subjectOf, type Types } from './analysis.ts'
import type { Call, Node } from './ast.ts'
import { cexlClause } from './clause.ts'
import { ADDITION, type Apply, type Binary, byteCodeType, EQUALITY, FUNCTIONS, ORDER } from './operations.ts'
import { cexlSubjectTest } from './subject-test.ts'
import { lookUp, type ReadMap, readAttribute, readMap, readMapEntry } from './reads.ts'

export interface GenerateOptions {
  readonly source: string
  readonly types: Types
  readonly typeOf: (attribute: string) => ValueType | undefined
  /** Functions beside CEXL's own. */
  readonly functions: ReadonlyMap<string, Apply>
  /** Whether boolean parts over one attribute log their answer instead of what they read. */
  readonly predicates: boolean
  readonly maxSteps: number
}

/** Compiles a tree. @throws SourceError where Mixer's compiler refuses what its type check let through. */
export function generate(node: Node, options: GenerateOptions): Evaluate {
  return new Generator(options).strict(node)
}

class Generator {
  readonly #options: GenerateOptions

  constructor(options: GenerateOptions) {
    this.#options = options
  }

  strict(node: Node): Evaluate {
    if (node.kind === 'variable') return readAttribute(node.name, this.#type(node), 'error')
    if (node.kind === 'constant') return constantly(node.value)
    const reads = referencesOf(node)
    if (reads.length === 0) return constantly(this.#call(node)(EMPTY_BAG, undefined))
    const { types, typeOf, predicates, maxSteps } = this.#options
    const boolean = types.get(node) === 'BOOL' && node.name !== 'OR'
    const subject = predicates && boolean ? subjectOf(node, typeOf) : undefined
    if (subject === undefined) return this.#call(node)
    const plain = generate(node, { ...this.#options, predicates: false })
    const predicate = predicateOf(
      subject,
      `cexl:${canonicalText(node, types)}`,
      plain,
      takesSteps(node) ? maxSteps : undefined,
      () => cexlSubjectTest(node, typeOf),
    )
    const clause = cexlClause(node, typeOf)
    return clause === undefined ? asPredicate(predicate, plain) : clausePredicate(predicate, clause, plain)
  }

  #optional(node: Node): EvaluateOptional {
    if (node.kind === 'variable') return readAttribute(node.name, this.#type(node), 'nothing')
    if (node.kind !== 'call') return this.strict(node)
    if (node.name === 'INDEX') return this.#index(node, 'nothing')
    if (node.name === 'OR') return fallBack(this.#optional(first(node)), this.#optional(second(node)))
    return this.strict(node)
  }

  #call(node: Call): Evaluate {
    switch (node.name) {
      case 'EQ':
      case 'NEQ':
        return this.#equality(node)
      case 'LOR':
        return either(this.strict(first(node)), this.strict(second(node)))
      case 'LAND':
        return this.#conjunction(node)
      case 'INDEX':
        return this.#index(node, 'error') as Evaluate
      case 'OR':
        return fallBack(this.#optional(first(node)), this.strict(second(node))) as Evaluate
      case 'conditional':
        return choose(this.strict(first(node)), this.strict(second(node)), this.strict(third(node)))
      case 'ADD':
        return this.#sum(node)
      case 'matches':
        return this.#matches(node)
      default:
        return this.#order(node) ?? this.#apply(node)
    }
  }

  /** `a && b && c`, the usual shape of a rule, becomes one closure instead of two nested ones. */
  #conjunction(node: Call): Evaluate {
    const left = first(node)
    const last = this.strict(second(node))
    const nested = left.kind === 'call' && left.name === 'LAND' ? left : undefined
    const ownPredicate = nested !== undefined && subjectOf(nested, this.#options.typeOf) !== undefined
    if (nested === undefined || ownPredicate || referencesOf(nested).length === 0) return both(this.strict(left), last)
    return three(this.strict(first(nested)), this.strict(second(nested)), last)
  }

  #equality(node: Call): Evaluate {
    const equal = this.#binary(node, EQUALITY[this.#type(first(node))] ?? this.#unsupported(node, 'equality'))
    if (node.name === 'EQ') return equal
    return (bag, log) => {
      const answer = equal(bag, log)
      return typeof answer === 'boolean' ? !answer : answer
    }
  }

  #order(node: Call): Evaluate | undefined {
    const order = ORDER[node.name]
    if (order === undefined) return undefined
    const type = this.#type(first(node))
    const known = type === 'STRING' || type === 'INT64' || type === 'DOUBLE' || type === 'TIMESTAMP'
    return this.#binary(node, known ? order[type] : this.#unsupported(node, order.words))
  }

  #sum(node: Call): Evaluate {
    const type = this.#type(first(node))
    const add = ADDITION[type] ?? this.#unsupported(node, 'Add')
    return this.#binary(node, type === 'STRING' ? join : add)
  }

  #binary(node: Call, operation: Binary): Evaluate {
    return binary(this.strict(first(node)), this.strict(second(node)), operation, this.#text(node))
  }

  #index(node: Call, absent: 'error' | 'nothing'): EvaluateOptional {
    const entry = mapEntryOf(node)
    if (entry !== undefined) return readMapEntry(entry.attribute, entry.mapKey, absent)
    const key = second(node)
    const optional = absent === 'nothing'
    return lookUp(this.#map(first(node), absent), optional ? this.#optional(key) : this.strict(key), absent)
  }

  #map(node: Node, absent: 'error' | 'nothing'): ReadMap {
    if (node.kind === 'variable') return readMap(node.name, absent)
    if (node.kind === 'call' && node.name === 'OR') {
      const left = this.#map(first(node), 'nothing')
      const right = this.#map(second(node), absent)
      return (bag, log) => left(bag, log) ?? right(bag, log)
    }
    if (node.kind === 'call' && node.name === 'conditional') {
      const condition = this.strict(first(node))
      const yes = this.#map(second(node), 'error')
      const no = this.#map(third(node), 'error')
      return (bag, log) => {
        const answer = condition(bag, log)
        if (answer instanceof EvaluationError) return answer
        return answer === true ? yes(bag, log) : no(bag, log)
      }
    }
    const map = new Map<string, string>()
    return () => ({ name: undefined, map })
  }

  #matches(node: Call): Evaluate {
    const pattern = this.strict(node.target as Node)
    const text = this.strict(first(node))
    if (referencesOf(node.target as Node).length > 0) {
      const find = (source: string, subject: string) => findPattern(requestPattern(source), subject)
      return binary(pattern, text, find, this.#text(node))
    }
    const source = pattern(EMPTY_BAG, undefined)
    const compiled = source instanceof EvaluationError ? source : compilePattern(source as string)
    return unary(text, (subject: string) => findPattern(compiled, subject), this.#text(node))
  }

  #apply(node: Call): Evaluate {
    const own = this.#options.functions.get(node.name)
    const apply = own ?? FUNCTIONS.get(node.name)
    if (apply === undefined) throw new SourceError(`unknown function: ${node.name}`, node.start, node.end)
    const parts = [...(node.target === undefined ? [] : [node.target]), ...node.args].map((arg) => this.strict(arg))
    const [one, two, three] = parts
    if (one === undefined) return () => apply(NONE, NONE, NONE)
    const part = this.#text(node)
    if (two === undefined) return unary(one, (value) => apply(value, NONE, NONE), part)
    if (three === undefined) return binary(one, two, (left, right) => apply(left, right, NONE), part)
    return (bag, log) => {
      const values = [NONE, NONE, NONE]
      for (const [i, part] of parts.entries()) {
        const value = part(bag, log)
        if (value instanceof EvaluationError) return value
        values[i] = value as never
      }
      return located(apply(values[0] as never, values[1] as never, values[2] as never), part)
    }
  }

  #text({ start, end }: Node): string {
    return this.#options.source.slice(start, end)
  }

  #type(node: Node): ValueType {
    return this.#options.types.get(node) as ValueType
  }

  #unsupported(node: Call, operation: string): never {
    const type = byteCodeType(this.#type(first(node)))
    const message = `internal compiler error -- ${operation} for type not yet implemented: ${type}`
    throw new SourceError(message, node.start, node.end)
  }
}

/** Stands for an argument that a function does not have. */
const NONE = undefined as never

const first = (node: Call) => node.args[0] as Node
const second = (node: Call) => node.args[1] as Node
const third = (node: Call) => node.args[2] as Node

function constantly(value: AttributeValue | EvaluationError): Evaluate {
  return () => value
}

function both(left: Evaluate, right: Evaluate): Evaluate {
  return (bag, log) => {
    const answer = left(bag, log)
    return answer === true ? right(bag, log) : answer
  }
}

function three(one: Evaluate, two: Evaluate, last: Evaluate): Evaluate {
  return (bag, log) => {
    const first = one(bag, log)
    if (first !== true) return first
    const second = two(bag, log)
    return second === true ? last(bag, log) : second
  }
}

function either(left: Evaluate, right: Evaluate): Evaluate {
  return (bag, log) => {
    const answer = left(bag, log)
    return answer === false ? right(bag, log) : answer
  }
}

function fallBack(left: EvaluateOptional, right: EvaluateOptional): EvaluateOptional {
  return (bag, log) => {
    const value = left(bag, log)
    return value === undefined ? right(bag, log) : value
  }
}

function choose(condition: Evaluate, yes: Evaluate, no: Evaluate): Evaluate {
  return (bag, log) => {
    const answer = condition(bag, log)
    if (answer === true) return yes(bag, log)
    return answer === false ? no(bag, log) : answer
  }
}

/** Sums of strings grow with every operand, so they take steps. */
function join(left: string, right: string): string | EvaluationError {
  return spendCharacters(left.length + right.length) ? left + right : EXHAUSTED
}

/** Whether evaluating the tree takes steps of the budget. */
export function takesSteps(node: Node): boolean {
  if (node.kind !== 'call') return false
  if (node.name === 'ADD' || node.name === 'matches') return true
  return (node.target !== undefined && takesSteps(node.target)) || node.args.some(takesSteps)
}

/** A failure of an operation knows which part of the source it is. */
function located(value: AttributeValue | EvaluationError, part: string): AttributeValue | EvaluationError {
  return value instanceof EvaluationError ? value.at(part) : value
}

type Operation = (value: never) => AttributeValue | EvaluationError

function unary(operand: Evaluate, operation: Operation, part: string): Evaluate {
  return (bag, log) => {
    const value = operand(bag, log)
    return value instanceof EvaluationError ? value : located(operation(value as never), part)
  }
}

function binary(left: Evaluate, right: Evaluate, operation: Binary, part: string): Evaluate {
  return (bag, log) => {
    const one = left(bag, log)
    if (one instanceof EvaluationError) return one
    const two = right(bag, log)
    return two instanceof EvaluationError ? two : located(operation(one as never, two as never), part)
  }
}
