// Compiles a checked CEL tree to closures, so that reads are recorded and nothing is boxed that need not be.

import { type ASTNode, serialize } from '@marcbachmann/cel-js'
import { EvaluationError } from '../compiled.ts'
import { asPredicate, clausePredicate, predicateOf } from '../evaluate.ts'
import { compilePattern, findPattern, PatternCache } from '../functions/regexp.ts'
import { SourceError } from '../source-error.ts'
import { attributeAt, celReferences, celSubject, keyTested, mapEntryAt } from './analysis.ts'
import type { AttributeNode } from './attribute-tree.ts'
import { celClause } from './clause.ts'
import { type BinaryOperator, equals, negate, operate } from './operations.ts'
import { CEL_FUNCTIONS } from './functions.ts'
import { compileMacro, type Scope } from './macros.ts'
import { type Cel, contains, hasAttribute, hasEntry, index, namespace, readAttribute, readEntry } from './reads.ts'
import { type CelValue, mapKey, TypeValue, typeName, Uint } from './values.ts'

const EMPTY_BAG = { get: () => undefined, names: () => [] }

const TYPE_NAMES = new Set(['int', 'uint', 'double', 'bool', 'string', 'bytes', 'list', 'map', 'null_type', 'type'])

const BOOLEAN_METHODS = new Set(['startsWith', 'endsWith', 'contains', 'matches', 'match', 'has'])

/** Compiles the tree of an expression. @throws SourceError, with offsets into the parsed text, for what is not supported. */
export function generateCel(root: ASTNode, tree: AttributeNode): Cel {
  return new Generator(tree, true).compile(root, new Map())
}

class Generator {
  readonly #tree: AttributeNode
  readonly #predicates: boolean

  constructor(tree: AttributeNode, predicates: boolean) {
    this.#tree = tree
    this.#predicates = predicates
  }

  compile(node: ASTNode, scope: Scope): Cel {
    if (node.op === 'value') return this.#literal(node.args)
    if (scope.size > 0) return this.#node(node, scope)
    if (node.op !== 'id' && celReferences(node, this.#tree).length === 0) return fold(this.#node(node, scope))
    const subject = this.#predicates && isBoolean(node) ? celSubject(node, this.#tree) : undefined
    if (subject === undefined) return this.#node(node, scope)
    const plain = new Generator(this.#tree, false).compile(node, scope)
    const predicate = predicateOf(subject, `cel:${subject.type}:${serialize(node)}`, plain)
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
        return this.#conditional(node.args, scope)
      case '!_':
        return not(this.compile(node.args, scope))
      case '-_':
        return this.#negative(node.args, scope)
      case 'list':
        return this.#list(node.args, scope)
      case 'map':
        return this.#map(node.args, scope)
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
    return binary(collection, key, (left, right, log) => index(left, right, log))
  }

  #logical(node: ASTNode & { op: '&&' | '||' }, scope: Scope): Cel {
    const left = this.compile(node.args[0], scope)
    const right = this.compile(node.args[1], scope)
    return logical(left, right, node.op === '||')
  }

  #conditional([condition, yes, no]: readonly [ASTNode, ASTNode, ASTNode], scope: Scope): Cel {
    return choose(this.compile(condition, scope), this.compile(yes, scope), this.compile(no, scope))
  }

  #negative(operand: ASTNode, scope: Scope): Cel {
    // The smallest integer has no positive counterpart, so the sign belongs to the literal.
    if (operand.op === 'value' && operand.args === 2n ** 63n) return constantly(-(2n ** 63n))
    const value = this.compile(operand, scope)
    return (bag, log) => {
      const number = value(bag, log)
      return number instanceof EvaluationError ? number : negate(number)
    }
  }

  #list(nodes: readonly ASTNode[], scope: Scope): Cel {
    const items = nodes.map((node) => this.compile(node, scope))
    return (bag, log) => {
      const values: CelValue[] = []
      for (const item of items) {
        const value = item(bag, log)
        if (value instanceof EvaluationError) return value
        values.push(value)
      }
      return values
    }
  }

  #map(nodes: readonly (readonly [ASTNode, ASTNode])[], scope: Scope): Cel {
    const entries = nodes.map(([key, value]) => [this.compile(key, scope), this.compile(value, scope)] as const)
    return (bag, log) => {
      const map = new Map<NonNullable<ReturnType<typeof mapKey>>, CelValue>()
      for (const [keyOf, valueOf] of entries) {
        const key = keyOf(bag, log)
        if (key instanceof EvaluationError) return key
        const value = valueOf(bag, log)
        if (value instanceof EvaluationError) return value
        const normalised = mapKey(key)
        if (normalised === undefined) return new EvaluationError(`unsupported key type: ${typeName(key)}`)
        if (map.has(normalised)) return new EvaluationError(`duplicate map key: ${normalised}`)
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
    if (node.op === '==') return binary(left, right, equals)
    if (node.op === '!=') return not(binary(left, right, equals))
    if (node.op === 'in') return binary(left, right, (item, items, log) => contains(item, items, log, equals))
    const operator = node.op as BinaryOperator
    return binary(left, right, (one, two) => operate(operator, one, two))
  }

  #call(name: string, target: ASTNode | undefined, args: readonly ASTNode[], node: ASTNode, scope: Scope): Cel {
    const [first, second, third] = args
    if (target === undefined) {
      if (name === 'has' && first !== undefined) return this.#has(first, scope)
      if (name === 'pick') return this.#pick(args, scope)
      if (name === 'conditional' && first !== undefined && second !== undefined && third !== undefined) {
        return this.#conditional([first, second, third], scope)
      }
    } else {
      const macro = compileMacro({ generator: this, name, target, args, scope })
      if (macro !== undefined) return macro
    }
    const operands = target === undefined ? args : [target, ...args]
    if (name === 'matches') return this.#matches(operands, scope)
    const apply = CEL_FUNCTIONS.get(name)
    if (apply === undefined) return unsupported(node, `the function '${name}'`)
    const parts = operands.map((operand) => this.compile(operand, scope))
    return (bag, log) => {
      const values: CelValue[] = []
      for (const part of parts) {
        const value = part(bag, log)
        if (value instanceof EvaluationError) return value
        values.push(value)
      }
      return apply(values)
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
    return binary(constantly(key), this.compile(node.args[0], scope), (item, items, log) =>
      contains(item, items, log, equals),
    )
  }

  /** The first argument that is there. Only fields and entries can be absent; anything else ends the choice. */
  #pick(args: readonly ASTNode[], scope: Scope): Cel {
    const [first, ...others] = args as [ASTNode, ...ASTNode[]]
    const value = this.compile(first, scope)
    if (others.length === 0) return value
    const present = this.#presence(first, scope)
    return present === undefined ? value : choose(present, value, this.#pick(others, scope))
  }

  #presence(node: ASTNode, scope: Scope): Cel | undefined {
    if (node.op === '.') return this.#has(node, scope)
    if (node.op !== '[]') return undefined
    const entry = this.#attributeAt(node.args[0], scope) === undefined ? undefined : mapEntryAt(node, this.#tree)
    if (entry !== undefined) return hasEntry(entry)
    const [collection, key] = node.args
    return binary(this.compile(key, scope), this.compile(collection, scope), (item, items, log) => {
      return contains(item, items, log, equals)
    })
  }

  #matches(operands: readonly ASTNode[], scope: Scope): Cel {
    const [text, pattern] = operands as [ASTNode, ASTNode]
    const subject = this.compile(text, scope)
    if (pattern.op === 'value' && typeof pattern.args === 'string') {
      const compiled = compilePattern(pattern.args)
      return binary(subject, constantly(''), (value) => {
        return typeof value === 'string' ? findPattern(compiled, value) : noMatch(value)
      })
    }
    const cache = new PatternCache()
    return binary(subject, this.compile(pattern, scope), (value, source) => {
      if (typeof value !== 'string' || typeof source !== 'string') return noMatch(value)
      return findPattern(cache.get(source), value)
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

function fold(evaluate: Cel): Cel {
  return constantly(evaluate(EMPTY_BAG, undefined))
}

function constantly(value: ReturnType<Cel>): Cel {
  return () => value
}

function unsupported(node: ASTNode, what: string): never {
  throw new SourceError(`${what} is not supported`, node.start, node.end)
}

function undefinedField(node: ASTNode): never {
  const field = node.op === '.' ? node.args[1] : ''
  throw new SourceError(`undefined field '${field}'`, node.start, node.end)
}

type Operation = (left: CelValue, right: CelValue, log: Parameters<Cel>[1]) => ReturnType<Cel>

function binary(left: Cel, right: Cel, operation: Operation): Cel {
  return (bag, log) => {
    const one = left(bag, log)
    if (one instanceof EvaluationError) return one
    const two = right(bag, log)
    return two instanceof EvaluationError ? two : operation(one, two, log)
  }
}

function not(operand: Cel): Cel {
  return (bag, log) => {
    const value = operand(bag, log)
    if (typeof value === 'boolean') return !value
    return value instanceof EvaluationError ? value : new EvaluationError(`no such overload: !${typeName(value)}`)
  }
}

/** A side that decides the result absorbs an error of the other side. */
function logical(left: Cel, right: Cel, decisive: boolean): Cel {
  return (bag, log) => {
    const one = left(bag, log)
    if (one === decisive) return decisive
    const two = right(bag, log)
    if (two === decisive) return decisive
    const failure = one instanceof EvaluationError ? one : two
    if (failure instanceof EvaluationError) return failure
    if (typeof one === 'boolean' && typeof two === 'boolean') return !decisive
    return new EvaluationError(
      `no such overload: ${typeName(one as CelValue)} ${decisive ? '||' : '&&'} ${typeName(failure)}`,
    )
  }
}

function choose(condition: Cel, yes: Cel, no: Cel): Cel {
  return (bag, log) => {
    const answer = condition(bag, log)
    if (answer === true) return yes(bag, log)
    if (answer === false) return no(bag, log)
    return answer instanceof EvaluationError ? answer : new EvaluationError(`no such overload: ${typeName(answer)} ? :`)
  }
}
