// What a sidecar tells callers that keep answers by their shape, such as filters inside Envoy: what it has heard of nodes. It
// confirms to them what these callers have.

import type { NodePool } from '../client/nodes/node-pool.ts'
import type { RetoldRevocations } from '../client/nodes/retold-revocations.ts'
import type { NodeNews } from '../server/caller-news.ts'
import type { NodeConfig } from '../wire/batch/news.ts'

/** Of callers that are told nothing: everything may have been revoked. */
const FOREVER_MS = 1e12

interface RetoldNewsOptions {
  readonly retold: RetoldRevocations
  readonly nodes: () => Pick<NodePool, 'config' | 'revocations' | 'confirm'>
}

export class RetoldNews implements NodeNews {
  readonly revocations: NodeNews['revocations']
  readonly #options: RetoldNewsOptions
  readonly #listeners = new Set<() => void>()
  #config: NodeConfig | undefined

  constructor(options: RetoldNewsOptions) {
    const { retold, nodes } = options
    this.#options = options
    this.revocations = retold.revocations
    retold.callers.onSettled(() => nodes().confirm())
  }

  get maxAgeMs(): number {
    return this.#options.nodes().revocations.partitionMaxAgeMs()
  }

  join(name: string): ReturnType<NodeNews['join']> {
    return this.#options.retold.callers.join(name)
  }

  outOfTouchMs(): number {
    return Math.min(this.#options.nodes().revocations.outOfTouchMs(), FOREVER_MS)
  }

  /** Where nodes have different ones, that of the nodes which would be asked for a request without any attributes. */
  config(): NodeConfig | undefined {
    const config = this.#options.nodes().config(NO_AFFINITY)
    if (config !== undefined && !isSame(config, this.#config)) this.#config = config
    return this.#config
  }

  /** Callers of a sidecar have it beside them, and know no node. */
  members(): undefined {}

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Nodes have told something. */
  changed(): void {
    for (const listener of this.#listeners) listener()
  }
}

const NO_AFFINITY = { affinity: '', tenant: '' }

/** Another node tells the same config in other words. */
function isSame(one: NodeConfig, other: NodeConfig | undefined): boolean {
  if (one === other) return true
  return (
    one.id === other?.id &&
    one.normalizes === other.normalizes &&
    one.isUnknown === other.isUnknown &&
    one.allowedAmbiguities.size === other.allowedAmbiguities.size &&
    [...one.allowedAmbiguities].every((each) => other.allowedAmbiguities.has(each))
  )
}
