// Compiles a checked CEL tree to closures, so that reads are recorded and nothing is boxed that need not be.

import { type ASTNode, serialize } from '@marcbachmann/cel-js'
import { EvaluationError } from '../compiled.ts'
import { asPredicate, clausePredicate, predicateOf } from '../evaluate.ts'
import { compilePattern, findPattern, requestPattern } from '../functions/regexp.ts'
import { SourceError } from '../source-error.ts'
import { EXHAUSTED, READER_WEIGHT, spend, spendCharacters } from '../steps.ts'
import { attributeAt, celReferences, celSubject, keyTested, mapEntryAt } from './analysis.ts'
import type { AttributeNode } from './attribute-tree.ts'
import { celClause } from './clause.ts'
import {
  binary,
  charactersIn,
  choose,
  constantly,
  fold,
  isIn,
  located,
  logical,
  not,
  type Operation,
  valuesOf,
} from './closures.ts'
import { celSubjectTest } from './subject-test.ts'
import { type BinaryOperator, equals, negate, operate } from './operations.ts'
import { CEL_FUNCTIONS } from './functions.ts'
import { compileMacro, macroAt, type Scope } from './macros.ts'
import { type Cel, hasAttribute, hasEntry, index, namespace, readAttribute, readEntry } from './reads.ts'
import { type CelValue, mapKey, TypeValue, typeName, Uint } from './values.ts'

const TYPE_NAMES = new Set(['int', 'uint', 'double', 'bool', 'string', 'bytes', 'list', 'map', 'null_type', 'type'])

const BOOLEAN_METHODS = new Set(['startsWith', 'endsWith', 'contains', 'matches', 'match', 'has'])

/** Functions that look at each character of a name or an address several times. */
const READERS = new Set(['dnsName', 'email', 'uri'])

/** Compiles the tree of an expression. @throws SourceError, with offsets into the parsed text, for what is not supported. */
export function generateCel(root: ASTNode, options: CelOptions): Cel {
  return new Generator(options, true).compile(root, new Map())
}

export interface CelOptions {
  readonly tree: AttributeNode
  readonly maxSteps: number
  /** The source text of a node. */
  textOf(node: ASTNode): string
}

class Generator {
  readonly #options: CelOptions
  readonly #tree: AttributeNode
  readonly #predicates: boolean

  constructor(options: CelOptions, predicates: boolean) {
    this.#options = options
    this.#tree = options.tree
    this.#predicates = predicates
  }

  compile(node: ASTNode, scope: Scope): Cel {
    if (node.op === 'value') return this.#literal(node.args)
    if (scope.size > 0) return this.#node(node, scope)
    if (node.op !== 'id' && celReferences(node, this.#tree).length === 0) return fold(this.#node(node, scope))
    const subject = this.#predicates && isBoolean(node) ? celSubject(node, this.#tree) : undefined
    if (subject === undefined) return this.#node(node, scope)
    const plain = new Generator(this.#options, false).compile(node, scope)
    const id = `cel:${subject.type}:${serialize(node)}`
    const predicate = predicateOf(subject, id, plain, this.#options.maxSteps, () => celSubjectTest(node, this.#tree))
    const clause = celClause(node, this.#tree)
    return clause === undefined ? asPredicate(predicate, plain) : clausePredicate(predicate, clause, plain)
  }

  #node(node: ASTNode, scope: Scope): Cel {
    switch (node.op) {
      case 'id':
        return this.#identifier(node.args, node, scope)
      case '.':
      case '[]':
        return this.#access(node, scope)
      case '&&':
      case '||':
        return this.#logical(node, scope)
      case '?:':
        return this.#conditional(node, node.args, scope)
      case '!_':
        return not(this.compile(node.args, scope), this.#options.textOf(node))
      case '-_':
        return this.#negative(node, scope)
      case 'list':
        return this.#list(node.args, scope)
      case 'map':
        return this.#map(node, scope)
      case 'call':
        return this.#call(node.args[0], undefined, node.args[1], node, scope)
      case 'rcall':
        return this.#call(node.args[0], node.args[1], node.args[2], node, scope)
      case '.?':
      case '[?]':
        return unsupported(node, 'optional access')
      default:
        return this.#binary(node as ASTNode & { args: [ASTNode, ASTNode] }, scope)
    }
  }

  #literal(value: (ASTNode & { op: 'value' })['args']): Cel {
    const primitive = typeof value !== 'object' || value === null || value instanceof Uint8Array
    return constantly(primitive ? value : new Uint(value.valueOf()))
  }

  #identifier(name: string, node: ASTNode, scope: Scope): Cel {
    const slot = scope.get(name)
    if (slot !== undefined) return () => slot.value
    const attribute = attributeAt(node, this.#tree)
    if (attribute !== undefined) return this.#attribute(attribute)
    if (!TYPE_NAMES.has(name)) return unsupported(node, `'${name}'`)
    const type = new TypeValue(name)
    return () => type
  }

  #attribute({ name, type }: AttributeNode): Cel {
    return type === undefined ? namespace(name) : readAttribute(name, type)
  }

  /** The attribute that a chain of names stands for, unless its first word is a variable. */
  #attributeAt(node: ASTNode, scope: Scope): AttributeNode | undefined {
    let first = node
    while (first.op === '.') first = first.args[0]
    return first.op === 'id' && scope.has(first.args) ? undefined : attributeAt(node, this.#tree)
  }

  #access(node: ASTNode & { op: '.' | '[]' }, scope: Scope): Cel {
    const [operand] = node.args
    const map = this.#attributeAt(operand, scope)
    const entry = map === undefined ? undefined : mapEntryAt(node, this.#tree)
    if (entry !== undefined) return readEntry(entry)
    if (map !== undefined && map.type === undefined) {
      const field = node.op === '.' ? map.children.get(node.args[1]) : undefined
      return field === undefined ? undefinedField(node) : this.#attribute(field)
    }
    const collection = this.compile(operand, scope)
    const key = node.op === '.' ? constantly(node.args[1]) : this.compile(node.args[1], scope)
    return this.#apply(node, collection, key, index)
  }

  #logical(node: ASTNode & { op: '&&' | '||' }, scope: Scope): Cel {
    const left = this.compile(node.args[0], scope)
    const right = this.compile(node.args[1], scope)
    return logical(left, right, node.op === '||', this.#options.textOf(node))
  }

  #conditional(node: ASTNode, parts: readonly [ASTNode, ASTNode, ASTNode], scope: Scope): Cel {
    const [condition, yes, no] = parts.map((part) => this.compile(part, scope)) as [Cel, Cel, Cel]
    return choose(condition, yes, no, this.#options.textOf(node))
  }

  /** An operation on two values; its failure is at the node. */
  #apply(node: ASTNode, left: Cel, right: Cel, operation: Operation): Cel {
    return binary(left, right, operation, this.#options.textOf(node))
  }

  #negative(node: ASTNode & { op: '-_' }, scope: Scope): Cel {
    const operand = node.args
    // The smallest integer has no positive counterpart, so the sign belongs to the literal.
    if (operand.op === 'value' && operand.args === 2n ** 63n) return constantly(-(2n ** 63n))
    const value = this.compile(operand, scope)
    const part = this.#options.textOf(node)
    return (bag, log) => {
      const number = value(bag, log)
      return number instanceof EvaluationError ? number : located(negate(number), part)
    }
  }

  #list(nodes: readonly ASTNode[], scope: Scope): Cel {
    const items = nodes.map((node) => this.compile(node, scope))
    return (bag, log) => {
      if (!spend(items.length)) return EXHAUSTED
      return valuesOf(items, bag, log)
    }
  }

  #map(node: ASTNode & { op: 'map' }, scope: Scope): Cel {
    const part = this.#options.textOf(node)
    const entries = node.args.map(([key, value]) => [this.compile(key, scope), this.compile(value, scope)] as const)
    return (bag, log) => {
      if (!spend(entries.length)) return EXHAUSTED
      const map = new Map<NonNullable<ReturnType<typeof mapKey>>, CelValue>()
      for (const [keyOf, valueOf] of entries) {
        const key = keyOf(bag, log)
        if (key instanceof EvaluationError) return key
        const value = valueOf(bag, log)
        if (value instanceof EvaluationError) return value
        const normalised = mapKey(key)
        if (normalised === undefined)
          return new EvaluationError(`unsupported key type: ${typeName(key)}`, 'failed', part)
        if (map.has(normalised)) return new EvaluationError(`duplicate map key: ${normalised}`, 'failed', part)
        map.set(normalised, value)
      }
      return map
    }
  }

  #binary(node: ASTNode & { args: [ASTNode, ASTNode] }, scope: Scope): Cel {
    const tested = scope.size === 0 ? keyTested(node, this.#tree) : undefined
    if (tested !== undefined) return hasEntry(tested)
    const left = this.compile(node.args[0], scope)
    const right = this.compile(node.args[1], scope)
    if (node.op === '==') return this.#apply(node, left, right, equals)
    if (node.op === '!=') return not(this.#apply(node, left, right, equals), this.#options.textOf(node))
    if (node.op === 'in') return this.#apply(node, left, right, isIn)
    const operator = node.op as BinaryOperator
    return this.#apply(node, left, right, (one, two) => operate(operator, one, two))
  }

  #call(name: string, target: ASTNode | undefined, args: readonly ASTNode[], node: ASTNode, scope: Scope): Cel {
    const [first, second, third] = args
    if (target === undefined) {
      if (name === 'has' && first !== undefined) return this.#has(first, scope)
      if (name === 'pick') return this.#pick(args, scope)
      if (name === 'conditional' && first !== undefined && second !== undefined && third !== undefined) {
        return this.#conditional(node, [first, second, third], scope)
      }
    } else {
      const macro = macroAt(node)
      if (macro !== undefined) return compileMacro({ generator: this, macro, scope, part: this.#options.textOf(node) })
    }
    const operands = target === undefined ? args : [target, ...args]
    if (name === 'matches') return this.#matches(node, operands, scope)
    const apply = CEL_FUNCTIONS.get(name)
    if (apply === undefined) return unsupported(node, `the function '${name}'`)
    const parts = operands.map((operand) => this.compile(operand, scope))
    const text = this.#options.textOf(node)
    const weight = READERS.has(name) ? READER_WEIGHT : 1
    return (bag, log) => {
      const values = valuesOf(parts, bag, log)
      if (values instanceof EvaluationError) return values
      return located(spendCharacters(weight * charactersIn(values)) ? apply(values, log) : EXHAUSTED, text)
    }
  }

  #has(node: ASTNode, scope: Scope): Cel {
    if (node.op !== '.') return unsupported(node, 'has() of something else than a field')
    const operand = this.#attributeAt(node.args[0], scope)
    const entry = operand === undefined ? undefined : mapEntryAt(node, this.#tree)
    if (entry !== undefined) return hasEntry(entry)
    if (operand !== undefined && operand.type === undefined) {
      const field = operand.children.get(node.args[1])
      if (field === undefined) return undefinedField(node)
      return field.type === undefined ? constantly(true) : hasAttribute(field.name)
    }
    const key = node.args[1]
    return this.#apply(node, constantly(key), this.compile(node.args[0], scope), isIn)
  }

  /** The first argument that is there. Only fields and entries can be absent; anything else ends the choice. */
  #pick(args: readonly ASTNode[], scope: Scope): Cel {
    const [first, ...others] = args as [ASTNode, ...ASTNode[]]
    const value = this.compile(first, scope)
    if (others.length === 0) return value
    const present = this.#presence(first, scope)
    return present === undefined
      ? value
      : choose(present, value, this.#pick(others, scope), this.#options.textOf(first))
  }

  #presence(node: ASTNode, scope: Scope): Cel | undefined {
    if (node.op === '.') return this.#has(node, scope)
    if (node.op !== '[]') return undefined
    const entry = this.#attributeAt(node.args[0], scope) === undefined ? undefined : mapEntryAt(node, this.#tree)
    if (entry !== undefined) return hasEntry(entry)
    const [collection, key] = node.args
    return this.#apply(node, this.compile(key, scope), this.compile(collection, scope), isIn)
  }

  #matches(node: ASTNode, operands: readonly ASTNode[], scope: Scope): Cel {
    const [text, pattern] = operands as [ASTNode, ASTNode]
    const subject = this.compile(text, scope)
    if (pattern.op === 'value' && typeof pattern.args === 'string') {
      const compiled = compilePattern(pattern.args)
      return this.#apply(node, subject, constantly(''), (value) => {
        return typeof value === 'string' ? findPattern(compiled, value) : noMatch(value)
      })
    }
    return this.#apply(node, subject, this.compile(pattern, scope), (value, source) => {
      if (typeof value !== 'string' || typeof source !== 'string') return noMatch(value)
      return findPattern(requestPattern(source), value)
    })
  }
}

function noMatch(value: CelValue): EvaluationError {
  return new EvaluationError(`no such overload: ${typeName(value)}.matches`)
}

/** Whether the node's value is a boolean whatever its operands are. */
function isBoolean(node: ASTNode): boolean {
  if (node.op === 'call' || node.op === 'rcall') return BOOLEAN_METHODS.has(node.args[0])
  return ['==', '!=', '<', '<=', '>', '>=', 'in', '&&', '||', '!_'].includes(node.op)
}

function unsupported(node: ASTNode, what: string): never {
  throw new SourceError(`${what} is not supported`, node.start, node.end)
}

function undefinedField(node: ASTNode): never {
  const field = node.op === '.' ? node.args[1] : ''
  throw new SourceError(`undefined field '${field}'`, node.start, node.end)
}
