// Comprehensions of CEL: all, exists, exists_one, map, filter, and cel.bind.

import type { ASTNode } from '@marcbachmann/cel-js'
import { EvaluationError, worse } from '../compiled.ts'
import { EXHAUSTED, spend } from '../steps.ts'
import { type Cel, itemsOf } from './reads.ts'
import type { CelResult, CelValue } from './values.ts'

/** Holds a comprehension's variable. Evaluation is synchronous and never re-enters, so one slot serves all of them. */
export interface Slot {
  value: CelValue
}

/** The variables of the comprehensions around a node. */
export type Scope = ReadonlyMap<string, Slot>

/** The parts of a comprehension or of `cel.bind`. */
export interface MacroParts {
  readonly name: string
  /** What is gone through; of `cel.bind` the value that the variable stands for. */
  readonly collection: ASTNode
  readonly variable: string
  /** What is evaluated with the variable. */
  readonly bodies: readonly ASTNode[]
}

/** The parts of a node that is a macro's call; `undefined` where it is something else. */
export function macroAt(node: ASTNode): MacroParts | undefined {
  if (node.op !== 'rcall') return undefined
  const [name, target, [variable, ...nodes]] = node.args
  if (variable?.op !== 'id') return undefined
  const [value, body] = nodes
  if (name === 'bind' && target.op === 'id' && target.args === 'cel' && value !== undefined && body !== undefined) {
    return { name, collection: value, variable: variable.args, bodies: [body] }
  }
  return `${name}/${nodes.length}` in FOLDS
    ? { name, collection: target, variable: variable.args, bodies: nodes }
    : undefined
}

interface MacroCall {
  /** Compiles the parts of the call. */
  readonly generator: { compile(node: ASTNode, scope: Scope): Cel }
  readonly macro: MacroParts
  readonly scope: Scope
  /** The source text of the call. */
  readonly part: string
}

/** Compiles the call of a macro. */
export function compileMacro({ generator, macro, scope, part }: MacroCall): Cel {
  const slot: Slot = { value: null }
  const inner: Scope = new Map([...scope, [macro.variable, slot]])
  const collection = generator.compile(macro.collection, scope)
  const bodies = macro.bodies.map((body) => generator.compile(body, inner))
  const fold = FOLDS[`${macro.name}/${bodies.length}`]
  return fold === undefined
    ? bind(slot, collection, bodies[0] as Cel)
    : comprehend(fold, slot, collection, bodies, part)
}

function comprehend(fold: Fold, slot: Slot, collection: Cel, bodies: readonly Cel[], part: string): Cel {
  return (bag, log) => {
    const value = collection(bag, log)
    if (value instanceof EvaluationError) return value
    const items = itemsOf(value, log)
    if (items instanceof EvaluationError) return items
    const outer = slot.value
    const result = fold(items, (item, i) => {
      if (!spend(1)) return EXHAUSTED
      slot.value = item
      return (bodies[i] as Cel)(bag, log)
    })
    slot.value = outer
    return result instanceof EvaluationError ? result.at(part) : result
  }
}

function bind(slot: Slot, value: Cel, body: Cel): Cel {
  return (bag, log) => {
    const bound = value(bag, log)
    if (bound instanceof EvaluationError) return bound
    const outer = slot.value
    slot.value = bound
    const result = body(bag, log)
    slot.value = outer
    return result
  }
}

type Fold = (items: readonly CelValue[], evaluate: (item: CelValue, part: number) => CelResult) => CelResult

const NOT_BOOLEAN = new EvaluationError('the predicate of a comprehension must be a boolean')

/** As with `&&` and `||`, an item that decides the result absorbs the errors of the others. */
function quantifier(decisive: boolean): Fold {
  return (items, evaluate) => {
    let failure: EvaluationError | undefined
    for (const item of items) {
      const answer = evaluate(item, 0)
      if (answer === decisive) return decisive
      if (answer === !decisive) continue
      const error = answer instanceof EvaluationError ? answer : NOT_BOOLEAN
      if (error.kind === 'exhausted') return error
      failure = failure === undefined ? error : worse(failure, error)
    }
    return failure ?? !decisive
  }
}

function select(
  items: readonly CelValue[],
  evaluate: (item: CelValue) => CelResult,
): readonly CelValue[] | EvaluationError {
  const selected: CelValue[] = []
  for (const item of items) {
    const answer = evaluate(item)
    if (answer === true) selected.push(item)
    else if (answer !== false) return answer instanceof EvaluationError ? answer : NOT_BOOLEAN
  }
  return selected
}

function transform(items: readonly CelValue[], evaluate: (item: CelValue) => CelResult): CelResult {
  const results: CelValue[] = []
  for (const item of items) {
    const result = evaluate(item)
    if (result instanceof EvaluationError) return result
    results.push(result)
  }
  return results
}

/** Comprehensions by name and number of bodies. */
const FOLDS: Readonly<Partial<Record<string, Fold>>> = {
  'all/1': quantifier(false),
  'exists/1': quantifier(true),
  'filter/1': (items, evaluate) => select(items, (item) => evaluate(item, 0)),
  'map/1': (items, evaluate) => transform(items, (item) => evaluate(item, 0)),
  'exists_one/1'(items, evaluate) {
    const selected = select(items, (item) => evaluate(item, 0))
    return selected instanceof EvaluationError ? selected : selected.length === 1
  },
  'map/2'(items, evaluate) {
    const selected = select(items, (item) => evaluate(item, 0))
    return selected instanceof EvaluationError ? selected : transform(selected, (item) => evaluate(item, 1))
  },
}
