// Comprehensions of CEL: all, exists, exists_one, map, filter, and cel.bind.

import type { ASTNode } from '@marcbachmann/cel-js'
import { EvaluationError } from '../compiled.ts'
import { type Cel, itemsOf } from './reads.ts'
import type { CelResult, CelValue } from './values.ts'

/** Holds a comprehension's variable. Evaluation is synchronous and never re-enters, so one slot serves all of them. */
export interface Slot {
  value: CelValue
}

/** The variables of the comprehensions around a node. */
export type Scope = ReadonlyMap<string, Slot>

interface MacroCall {
  /** Compiles the parts of the call. */
  readonly generator: { compile(node: ASTNode, scope: Scope): Cel }
  readonly name: string
  readonly target: ASTNode
  readonly args: readonly ASTNode[]
  readonly scope: Scope
}

/** Compiles the call of a macro; `undefined` where the call is not one. */
export function compileMacro({ generator, name, target, args, scope }: MacroCall): Cel | undefined {
  const [variable, ...bodies] = args
  if (variable?.op !== 'id') return undefined
  const slot: Slot = { value: null }
  const inner: Scope = new Map([...scope, [variable.args, slot]])
  const body = (i: number) => generator.compile(bodies[i] as ASTNode, inner)
  if (name === 'bind' && target.op === 'id' && target.args === 'cel' && bodies.length === 2) {
    return bind(slot, generator.compile(bodies[0] as ASTNode, scope), body(1))
  }
  const fold = FOLDS[`${name}/${bodies.length}`]
  if (fold === undefined) return undefined
  const collection = generator.compile(target, scope)
  const parts = bodies.map((_body, i) => body(i))
  return (bag, log) => {
    const value = collection(bag, log)
    if (value instanceof EvaluationError) return value
    const items = itemsOf(value, log)
    if (items instanceof EvaluationError) return items
    const outer = slot.value
    const result = fold(items, (item, i) => {
      slot.value = item
      return (parts[i] as Cel)(bag, log)
    })
    slot.value = outer
    return result
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
      if (answer !== !decisive) failure ??= answer instanceof EvaluationError ? answer : NOT_BOOLEAN
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
