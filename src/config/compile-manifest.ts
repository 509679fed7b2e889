// Attribute manifests: the vocabulary that expressions are checked against.

import { RATE_LIMIT_ATTRIBUTES } from '../kernel/rate-limit-attributes.ts'
import { VALUE_TYPES, type ValueType } from '../kernel/value.ts'
import type { ConfigNode, MapEntry, ScalarNode } from './config-node.ts'
import { Fields } from './fields.ts'
import type { ConfigObject } from './objects.ts'
import { placeOf, type ProblemList } from './problem-list.ts'
import { readChoice } from './values.ts'

const ATTRIBUTE = /^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$/

/** The attributes of all manifests so far, each with where it was declared first, beside those that need no manifest. */
export class VocabularyBuilder {
  readonly vocabulary = new Map<string, ValueType>(RATE_LIMIT_ATTRIBUTES)
  readonly #places = new Map<string, ConfigNode>()
  readonly #problems: ProblemList

  constructor(problems: ProblemList) {
    this.#problems = problems
  }

  /** Takes in one manifest. Declaring an attribute again is harmless with the same type and an error with another. */
  add(object: ConfigObject): void {
    if (object.spec === undefined) {
      this.#problems.error(object.nameNode, 'missing-field', 'the manifest has no "spec" with its attributes.')
      return
    }
    const fields = new Fields(object.spec, 'an attributemanifest', ['revision', 'name', 'attributes'], this.#problems)
    const attributes = fields.map('attributes')
    for (const entry of attributes?.entries ?? []) this.#attribute(entry)
  }

  #attribute({ key, keyNode, value }: MapEntry): void {
    if (!ATTRIBUTE.test(key)) {
      const message = `"${key}" cannot be written in an expression: use letters, digits and "_", with "." between parts.`
      this.#problems.error(keyNode, 'invalid-name', message)
      return
    }
    const node = this.#typeNode(keyNode, value)
    const type = node && readChoice(node, VALUE_TYPES, this.#problems)
    if (type === undefined) return
    const known = this.vocabulary.get(key)
    const place = this.#places.get(key)
    if (known !== undefined && known !== type) {
      const there = place === undefined ? 'by itself' : `at ${placeOf(place)}`
      const message = `the attribute "${key}" is ${type} here and ${known} ${there}: give it one type.`
      this.#problems.error(keyNode, 'conflicting-attribute', message)
    } else if (known === undefined) {
      this.vocabulary.set(key, type)
      this.#places.set(key, keyNode)
    }
  }

  /** The type: `{valueType: STRING}` as in Mixer, or just `STRING`. */
  #typeNode(keyNode: ScalarNode, value: ConfigNode): ScalarNode | undefined {
    const node =
      value.kind === 'map'
        ? new Fields(value, 'an attribute', ['description', 'valueType'], this.#problems).scalar('valueType')
        : value
    if (node?.kind === 'scalar' && node.text !== '') return node
    this.#problems.error(keyNode, 'missing-field', `the attribute "${keyNode.text}" has no "valueType".`)
    return undefined
  }
}
