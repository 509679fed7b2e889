// How many steps an expression takes for a typical request, told from its tree: comprehensions within comprehensions
// multiply.

import type { ASTNode } from '@marcbachmann/cel-js'
import { operandsOf } from './analysis.ts'
import { macroAt } from './macros.ts'

/** Entries that a map of a request, or a list made of one, is taken to have. */
export const TYPICAL_SIZE = 100

/** About the steps of the node's evaluation. Short circuits are not counted on. */
export function estimateSteps(node: ASTNode): number {
  const macro = macroAt(node)
  if (macro === undefined) return operandsOf(node).reduce((sum, operand) => sum + estimateSteps(operand), 1)
  const body = macro.bodies.reduce((sum, part) => sum + estimateSteps(part), 1)
  return estimateSteps(macro.collection) + (macro.name === 'bind' ? 1 : sizeOf(macro.collection)) * body
}

/** How many comprehensions over what a request brings are within one another. */
export function nestedLoops(node: ASTNode): number {
  const macro = macroAt(node)
  if (macro === undefined) return Math.max(0, ...operandsOf(node).map(nestedLoops))
  const inner = Math.max(...macro.bodies.map(nestedLoops))
  const isLoop = macro.name !== 'bind' && !isLiteral(macro.collection)
  return Math.max(nestedLoops(macro.collection), inner + (isLoop ? 1 : 0))
}

function sizeOf(collection: ASTNode): number {
  if (collection.op === 'list' || collection.op === 'map') return collection.args.length
  const macro = macroAt(collection)
  return macro === undefined ? TYPICAL_SIZE : sizeOf(macro.collection)
}

function isLiteral(collection: ASTNode): boolean {
  const macro = macroAt(collection)
  return macro === undefined ? collection.op === 'list' || collection.op === 'map' : isLiteral(macro.collection)
}
