// What a sidecar tells callers that keep answers by their shape, such as filters inside Envoy: what it has heard of nodes. It
// confirms to them what these callers have.

import type { NodePool } from '../client/nodes/node-pool.ts'
import type { RetoldRevocations } from '../client/nodes/retold-revocations.ts'
import type { Epoch } from '../kernel/revocation.ts'
import type { Clock } from '../kernel/ports.ts'
import type { NodeNews } from '../server/caller-news.ts'
import type { NodeConfig } from '../wire/batch/news.ts'

/** Of callers that are told nothing: everything may have been revoked. */
const FOREVER_MS = 1e12

interface RetoldNewsOptions {
  readonly clock: Pick<Clock, 'turn'>
  readonly retold: RetoldRevocations
  readonly nodes: () => Pick<NodePool, 'config' | 'revocations' | 'confirm'>
}

export class RetoldNews implements NodeNews {
  readonly revocations: NodeNews['revocations']
  readonly isRelayed = true
  readonly #options: RetoldNewsOptions
  readonly #listeners = new Set<() => void>()
  /** What was told last. */
  #told: { readonly epoch: Epoch | undefined; readonly config: NodeConfig | undefined } | undefined
  #isBooked = false

  constructor(options: RetoldNewsOptions) {
    const { retold, nodes, clock } = options
    this.#options = options
    const { revocations } = retold
    this.revocations = {
      get epoch() {
        return retold.hasBegun ? revocations.epoch : undefined
      },
      since: (sequence) => revocations.since(sequence),
    }
    // Many confirm at one time: nodes hear of it once.
    retold.callers.onSettled(() => {
      if (this.#isBooked) return
      this.#isBooked = true
      clock.turn(() => {
        this.#isBooked = false
        nodes().confirm()
      })
    })
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
    return this.#options.nodes().config(NO_AFFINITY)
  }

  /** Callers of a sidecar have it beside them, and know no node. */
  members(): undefined {}

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Nodes have told something: mostly that all is as it was. */
  changed(): void {
    const { epoch } = this.revocations
    const config = this.config()
    if (this.#told?.epoch === epoch && this.#told?.config === config) return
    this.#told = { epoch, config }
    for (const listener of this.#listeners) listener()
  }
}

const NO_AFFINITY = { affinity: '', tenant: '' }
