// What can be said of a checked CEXL tree without evaluating it.

import type { AttributeValue, ValueType } from '../../kernel/value.ts'
import { type EqualityTerm, type StaticReference } from '../compiled.ts'
import type { Subject } from '../evaluate.ts'
import { goText } from '../functions/bytes.ts'
import type { Node } from './ast.ts'

export type Types = ReadonlyMap<Node, ValueType>

/** Every attribute and constant map key that a tree names, each once, in the order of the source. */
export function referencesOf(node: Node): readonly StaticReference[] {
  const found = new Map<string, StaticReference>()
  const add = (attribute: string, mapKey: string | undefined) => {
    found.set(JSON.stringify([attribute, mapKey]), { attribute, mapKey })
  }
  const visit = (current: Node): void => {
    if (current.kind === 'variable') return add(current.name, undefined)
    if (current.kind === 'constant') return
    const entry = mapEntryOf(current)
    if (entry !== undefined) return add(entry.attribute, entry.mapKey)
    if (current.target !== undefined) visit(current.target)
    for (const arg of current.args) visit(arg)
  }
  visit(node)
  return [...found.values()]
}

/** The map attribute and the constant key, where the node is `attribute["key"]`. */
export function mapEntryOf(node: Node): (Subject & { mapKey: string }) | undefined {
  if (node.kind !== 'call' || node.name !== 'INDEX' || node.target !== undefined) return undefined
  const [map, key] = node.args
  if (map?.kind !== 'variable' || key?.kind !== 'constant' || typeof key.value !== 'string') return undefined
  return { attribute: map.name, mapKey: key.value }
}

/** The one attribute or map entry that a tree reads; `undefined` where it reads none, several or a whole map. */
export function subjectOf(node: Node, typeOf: (attribute: string) => ValueType | undefined): Subject | undefined {
  const [subject, ...others] = referencesOf(node)
  if (subject === undefined || others.length > 0) return undefined
  return subject.mapKey === undefined && typeOf(subject.attribute) === 'STRING_MAP' ? undefined : subject
}

/** `attribute == constant` terms joined by the top-level `&&`. */
export function equalityTermsOf(
  node: Node,
  constantOf: (node: Node) => AttributeValue | undefined,
): readonly EqualityTerm[] {
  if (node.kind !== 'call') return []
  if (node.name === 'LAND') return node.args.flatMap((arg) => equalityTermsOf(arg, constantOf))
  const [left, right] = node.args
  if (node.name !== 'EQ' || left === undefined || right === undefined) return []
  const term = equalityTerm(left, right, constantOf) ?? equalityTerm(right, left, constantOf)
  return term === undefined ? [] : [term]
}

function equalityTerm(
  side: Node,
  other: Node,
  constantOf: (node: Node) => AttributeValue | undefined,
): EqualityTerm | undefined {
  const subject = side.kind === 'variable' ? { attribute: side.name, mapKey: undefined } : mapEntryOf(side)
  const constant = subject === undefined ? undefined : constantOf(other)
  if (subject === undefined || constant === undefined) return undefined
  // An absent key reads as the empty string, so that term is not one of equality with what the map holds.
  return subject.mapKey !== undefined && constant === '' ? undefined : { ...subject, constant }
}

/**
 * Canonical text of a checked tree, types included: two trees with the same text are the same function of a bag.
 * The sides of `==` and `!=` are sorted, as neither the answer nor (for one subject) the reads depend on their order.
 */
export function canonicalText(node: Node, types: Types): string {
  if (node.kind === 'variable') return `$${types.get(node)}${JSON.stringify(node.name)}`
  if (node.kind === 'constant') return `${node.type}${JSON.stringify(goText(node.value))}`
  const args = node.args.map((arg) => canonicalText(arg, types))
  if (node.name === 'EQ' || node.name === 'NEQ') args.sort()
  const target = node.target === undefined ? '' : `${canonicalText(node.target, types)}:`
  return `${target}${node.name}(${args.join(',')})`
}
