// Reading the fields of a map: both spellings, unknown ones reported with what would be right.

import type { ConfigNode, ListNode, MapNode, ScalarNode } from './config-node.ts'
import type { ProblemList } from './problem-list.ts'
import { suggest } from '../kernel/suggest.ts'

/** `label_names` → `labelNames`; names without underscores stay as they are. */
export function camelCase(name: string): string {
  return name.replaceAll(/_+([a-zA-Z0-9])/g, (_, letter: string) => letter.toUpperCase())
}

/** `labelNames` → `label_names`. */
export function snakeCase(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}

/** The known fields of one map. A field whose value is empty counts as absent. */
export class Fields<Name extends string> {
  readonly node: MapNode
  readonly #found = new Map<string, ConfigNode>()
  readonly #problems: ProblemList

  /**
   * Reports every key that is none of `names`; `what` says whose fields they are ("a rule"). `annotations` are names that
   * are fields only under our own API, with the annotation that says the same elsewhere.
   */
  constructor(
    node: MapNode,
    what: string,
    names: readonly Name[],
    problems: ProblemList,
    annotations: ReadonlyMap<string, string> = new Map(),
  ) {
    this.node = node
    this.#problems = problems
    const known: ReadonlySet<string> = new Set(names)
    for (const { key, keyNode, value } of node.entries) {
      const name = known.has(key) ? key : camelCase(key)
      if (!known.has(name)) {
        const annotation = annotations.get(name)
        const hint =
          annotation === undefined
            ? suggest(key, names)
            : ` Under this apiVersion write the annotation ${annotation}, or use apiVersion intermix.dev/v1.`
        problems.error(keyNode, 'unknown-field', `${what} has no field "${key}".${hint}`)
      } else if (this.#found.has(name)) {
        problems.error(keyNode, 'duplicate-field', `"${key}" sets the field "${name}" a second time: keep one.`)
      } else {
        this.#found.set(name, value)
      }
    }
  }

  get(name: Name): ConfigNode | undefined {
    const node = this.#found.get(name)
    return node?.kind === 'scalar' && node.value === undefined ? undefined : node
  }

  /** The field as text; anything but a scalar is reported. Numbers and booleans give their text. */
  scalar(name: Name): ScalarNode | undefined {
    const node = this.get(name)
    if (node === undefined || node.kind === 'scalar') return node
    this.#problems.error(node, 'wrong-type', `"${name}" must be a single value, not a ${node.kind}.`)
    return undefined
  }

  list(name: Name): ListNode | undefined {
    const node = this.get(name)
    if (node === undefined || node.kind === 'list') return node
    this.#problems.error(node, 'wrong-type', `"${name}" must be a list (each item after "- ").`)
    return undefined
  }

  map(name: Name): MapNode | undefined {
    const node = this.get(name)
    if (node === undefined || node.kind === 'map') return node
    this.#problems.error(node, 'wrong-type', `"${name}" must be a map of fields (key: value).`)
    return undefined
  }
}
