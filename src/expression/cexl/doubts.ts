// What is doubtful about a CEXL tree that compiles: parts that can only fail, parts that a caller can make fail.

import { EMPTY_BAG } from '../../kernel/attribute-bag.ts'
import { EvaluationError, type ExpressionDoubt } from '../compiled.ts'
import { alwaysFails, mayFail, unmatchableKey } from '../doubts.ts'
import { compilePattern } from '../functions/regexp.ts'
import { mapEntryOf, referencesOf } from './analysis.ts'
import type { Call, Node } from './ast.ts'
import { generate, type GenerateOptions } from './generate.ts'

/** Functions that refuse some strings, and what they take. */
const READERS: ReadonlyMap<string, string> = new Map([
  ['ip', 'an IP address'],
  ['timestamp', 'an RFC 3339 timestamp'],
  ['dnsName', 'a DNS name'],
  ['email', 'an e-mail address'],
  ['uri', 'a URI'],
])

/** Finds the doubts of a checked tree, in the order of the source. */
export function cexlDoubts(root: Node, options: GenerateOptions): readonly ExpressionDoubt[] {
  const found: ExpressionDoubt[] = []
  const textOf = ({ start, end }: Node) => options.source.slice(start, end)
  const visit = (node: Node): void => {
    if (node.kind !== 'call') return
    if (referencesOf(node).length === 0) {
      const value = generate(node, options)(EMPTY_BAG, undefined)
      if (value instanceof EvaluationError) found.push(alwaysFails(node, textOf(node), value.message))
      return
    }
    const entry = mapEntryOf(node)
    const key = entry && unmatchableKey(node, entry.attribute, entry.mapKey)
    if (key !== undefined) found.push(key)
    const call = callDoubt(node, textOf(node), options)
    if (call !== undefined) found.push(call)
    if (node.target !== undefined) visit(node.target)
    for (const arg of node.args) visit(arg)
  }
  visit(root)
  return found
}

function callDoubt(call: Call, text: string, options: GenerateOptions): ExpressionDoubt | undefined {
  const takes = options.functions.has(call.name) ? undefined : READERS.get(call.name)
  if (takes !== undefined) return mayFail(call, text, `the value is not ${takes}`)
  if (call.name !== 'matches' || call.target === undefined) return undefined
  if (referencesOf(call.target).length > 0) return mayFail(call, text, 'the value is not a (short) regular expression')
  const pattern = generate(call.target, options)(EMPTY_BAG, undefined)
  const compiled = typeof pattern === 'string' ? compilePattern(pattern) : undefined
  return compiled instanceof EvaluationError ? alwaysFails(call, text, compiled.message) : undefined
}
