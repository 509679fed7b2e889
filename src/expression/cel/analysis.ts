// What a CEL tree names and reads, without evaluating it.

import type { ASTNode } from '@marcbachmann/cel-js'
import type { AttributeValue } from '../../kernel/value.ts'
import type { EqualityTerm, StaticReference } from '../compiled.ts'
import type { Subject } from '../evaluate.ts'
import type { AttributeNode } from './attribute-tree.ts'
import { attributeWord } from './prepare.ts'

/** The attribute, or the part of attribute names, that a chain of names stands for. */
export function attributeAt(node: ASTNode, tree: AttributeNode): AttributeNode | undefined {
  if (node.op === 'id') return tree.children.get(attributeWord(node.args))
  if (node.op !== '.') return undefined
  const parent = attributeAt(node.args[0], tree)
  return parent?.type === undefined ? parent?.children.get(node.args[1]) : undefined
}

/** The map attribute and the constant key, where the node is `attribute["key"]` or `attribute.key`. */
export function mapEntryAt(node: ASTNode, tree: AttributeNode): (Subject & { mapKey: string }) | undefined {
  if (node.op !== '.' && node.op !== '[]') return undefined
  const map = attributeAt(node.args[0], tree)
  if (map?.type !== 'STRING_MAP') return undefined
  if (node.op === '.') return { attribute: map.name, mapKey: node.args[1] }
  const key = node.args[1]
  return key.op === 'value' && typeof key.args === 'string' ? { attribute: map.name, mapKey: key.args } : undefined
}

/** The operands of a node. */
export function operandsOf(node: ASTNode): readonly ASTNode[] {
  switch (node.op) {
    case 'value':
    case 'id':
      return []
    case '.':
    case '.?':
      return [node.args[0]]
    case 'call':
      return node.args[1]
    case 'rcall':
      return [node.args[1], ...node.args[2]]
    case '!_':
    case '-_':
      return [node.args]
    case 'map':
      return node.args.flat()
    default:
      return node.args
  }
}

/** The type that the checker left on a node, if it saw the node. */
export function checkedType(node: ASTNode): string | undefined {
  return (node as { checkedType?: { name: string } }).checkedType?.name
}

/** Every attribute and constant map key that a tree names, each once, in the order of the source. */
export function celReferences(root: ASTNode, tree: AttributeNode): readonly StaticReference[] {
  const found = new Map<string, StaticReference>()
  const add = (attribute: string, mapKey: string | undefined) => {
    found.set(JSON.stringify([attribute, mapKey]), { attribute, mapKey })
  }
  const visit = (node: ASTNode): void => {
    const entry = mapEntryAt(node, tree) ?? keyTested(node, tree)
    if (entry !== undefined) return add(entry.attribute, entry.mapKey)
    const attribute = attributeAt(node, tree)
    if (attribute?.type !== undefined) return add(attribute.name, undefined)
    for (const operand of operandsOf(node)) visit(operand)
  }
  visit(root)
  return [...found.values()]
}

/** The map attribute and the constant key, where the node is `"key" in attribute`. */
export function keyTested(node: ASTNode, tree: AttributeNode): (Subject & { mapKey: string }) | undefined {
  if (node.op !== 'in') return undefined
  const [key, operand] = node.args
  const map = attributeAt(operand, tree)
  if (map?.type !== 'STRING_MAP' || key.op !== 'value' || typeof key.args !== 'string') return undefined
  return { attribute: map.name, mapKey: key.args }
}

/** The one attribute or map entry that a tree reads; `undefined` where it reads none, several or a whole map. */
export function celSubject(node: ASTNode, tree: AttributeNode): (Subject & { type: string }) | undefined {
  const [subject, ...others] = celReferences(node, tree)
  if (subject === undefined || others.length > 0) return undefined
  if (subject.mapKey !== undefined) return { ...subject, type: 'STRING_MAP' }
  const type = typeOf(subject.attribute, tree)
  return type === undefined || type === 'STRING_MAP' ? undefined : { ...subject, type }
}

function typeOf(name: string, tree: AttributeNode): string | undefined {
  let node: AttributeNode | undefined = tree
  for (const word of name.split('.')) node = node?.children.get(word)
  return node?.type
}

/** `attribute == literal` terms joined by the top-level `&&`. */
export function celEqualityTerms(node: ASTNode, tree: AttributeNode): readonly EqualityTerm[] {
  if (node.op === '&&') return node.args.flatMap((operand) => celEqualityTerms(operand, tree))
  if (node.op !== '==') return []
  const [left, right] = node.args
  const term = equalityTerm(left, right, tree) ?? equalityTerm(right, left, tree)
  return term === undefined ? [] : [term]
}

function equalityTerm(side: ASTNode, other: ASTNode, tree: AttributeNode): EqualityTerm | undefined {
  const constant = other.op === 'value' ? literalOf(other.args) : undefined
  if (constant === undefined) return undefined
  const entry = mapEntryAt(side, tree)
  if (entry !== undefined) return { ...entry, constant }
  const attribute = attributeAt(side, tree)
  if (attribute?.type === undefined || attribute.type === 'STRING_MAP') return undefined
  // An absent attribute reads as the zero value, so that term is not one of equality with what the bag holds.
  const zero = constant === '' || constant === 0n || constant === 0 || constant === false
  return zero ? undefined : { attribute: attribute.name, mapKey: undefined, constant }
}

function literalOf(value: unknown): AttributeValue | undefined {
  const type = typeof value
  return type === 'string' || type === 'bigint' || type === 'number' || type === 'boolean'
    ? (value as AttributeValue)
    : undefined
}
