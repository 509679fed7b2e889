// The configs that nodes have told: mostly they have the same one, and which node it is then does not matter.

import type { NodeConfig } from './nodes.ts'

interface Told {
  readonly config: NodeConfig
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
    this.#told.set(node, { config, isHeard: true })
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
    this.#same = others.every(({ config }) => config.id === first?.config.id) ? first?.config : undefined
  }
}
