// The configs that nodes have told: mostly they have the same one, and which node it is then does not matter. It is not the same
// where nodes read requests differently, as their flags say: its id is that of the rules alone. What a node told that cannot be heard
// any more says nothing while others can be: it may have another one by now, and what was answered by the one before is void.

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
  /** That of the node which was heard last, where none can be heard. */
  #last: Told | undefined

  /**
   * The config that all nodes have which can be heard; where none can, that of the one which was heard last. The same object as long as it
   * is the same config, whichever node tells it.
   */
  get same(): NodeConfig | undefined {
    return this.#same
  }

  set(node: string, config: NodeConfig): void {
    const { id, normalizes, allowedAmbiguities, isUnknown = false } = config
    const essence = JSON.stringify([id, normalizes, [...allowedAmbiguities].sort(), isUnknown])
    const known = [...this.#told.values(), this.#last].find((told) => told?.essence === essence)
    this.#told.set(node, { config: known?.config ?? config, essence, isHeard: true })
    this.#last = undefined
    this.#compare()
  }

  lost(node: string): void {
    const told = this.#told.get(node)
    if (told?.isHeard !== true) return
    told.isHeard = false
    this.#ended(told)
  }

  delete(node: string): void {
    const told = this.#told.get(node)
    this.#told.delete(node)
    if (told?.isHeard === true) this.#ended(told)
  }

  /** What a node told last. */
  of(node: string): NodeConfig | undefined {
    return this.#told.get(node)?.config
  }

  /** That of the first of these nodes which can be heard; of any, where none of them can. */
  firstOf(nodes: readonly string[]): NodeConfig | undefined {
    for (const node of nodes) {
      const told = this.#told.get(node)
      if (told?.isHeard === true) return told.config
    }
    const [any] = this.#heard()
    return (any ?? this.#last)?.config
  }

  #ended(told: Told): void {
    if (this.#heard().length === 0) this.#last = told
    this.#compare()
  }

  #heard(): Told[] {
    return Array.from(this.#told.values()).filter(({ isHeard }) => isHeard)
  }

  #compare(): void {
    const [first, ...others] = this.#heard()
    if (first === undefined) this.#same = this.#last?.config
    else this.#same = others.every(({ essence }) => essence === first.essence) ? first.config : undefined
  }
}
