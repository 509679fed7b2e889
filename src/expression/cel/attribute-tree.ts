// Attribute names as nested objects: `request.headers` is the field `headers` of the object `request`.

import type { Vocabulary } from '../../kernel/attribute-bag.ts'
import type { ValueType } from '../../kernel/value.ts'

/** A name, or the beginning of names. An attribute has a type and hides what the vocabulary has below it. */
export interface AttributeNode {
  readonly name: string
  readonly type: ValueType | undefined
  readonly children: ReadonlyMap<string, AttributeNode>
}

interface GrowingNode extends AttributeNode {
  type: ValueType | undefined
  readonly children: Map<string, GrowingNode>
}

/** Attributes whose names are not made of identifiers cannot be named in CEL and are left out. */
const NAMEABLE = /^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$/

/** The tree over a whole vocabulary; its root has the empty name. */
export function attributeTree(vocabulary: Vocabulary): AttributeNode {
  const root: GrowingNode = { name: '', type: undefined, children: new Map() }
  for (const [name, type] of vocabulary) if (NAMEABLE.test(name)) insert(root, name, type)
  return root
}

function insert(root: GrowingNode, name: string, type: ValueType): void {
  let node = root
  for (const word of name.split('.')) {
    let child = node.children.get(word)
    if (child === undefined) {
      child = { name: node === root ? word : `${node.name}.${word}`, type: undefined, children: new Map() }
      node.children.set(word, child)
    }
    node = child
  }
  node.type = type
}
