// The configs that nodes have told: mostly they have the same one, and which node it is then does not matter. It is not the same
// where nodes read requests differently, as their flags say: its id is that of the rules alone.

import type { NodeConfig } from './nodes.ts'

interface Told {
  readonly config: NodeConfig
  /** What two nodes have to have in common. */
  readonly essence: string
  /** Whether the node can be heard. */
  isHeard: boolean
}

export class ToldConfigs {
  readonly #told = new Map<string, Told>()
  #same: NodeConfig | undefined

  /** The config that all nodes have which can be heard; of all nodes, where none can. */
  get same(): NodeConfig | undefined {
    return this.#same
  }

  set(node: string, config: NodeConfig): void {
    const { id, normalizes, allowedAmbiguities, isUnknown = false } = config
    const essence = JSON.stringify([id, normalizes, [...allowedAmbiguities].sort(), isUnknown])
    this.#told.set(node, { config, essence, isHeard: true })
    this.#compare()
  }

  lost(node: string): void {
    const told = this.#told.get(node)
    if (told === undefined) return
    told.isHeard = false
    this.#compare()
  }

  delete(node: string): void {
    if (this.#told.delete(node)) this.#compare()
  }

  /** What a node told last. */
  of(node: string): NodeConfig | undefined {
    return this.#told.get(node)?.config
  }

  /** That of the first of these nodes which has told one; of any, where none of them has. */
  firstOf(nodes: readonly string[]): NodeConfig | undefined {
    for (const node of nodes) {
      const told = this.#told.get(node)
      if (told !== undefined) return told.config
    }
    const [any] = this.#told.values()
    return any?.config
  }

  #compare(): void {
    const all = Array.from(this.#told.values())
    const heard = all.filter(({ isHeard }) => isHeard)
    const [first, ...others] = heard.length > 0 ? heard : all
    this.#same = others.every(({ essence }) => essence === first?.essence) ? first?.config : undefined
  }
}
