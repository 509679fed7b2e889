// Whether a sidecar can serve: from when a node has told by which config it answers. Nodes may go after that: what was
// answered before is given on as long as it may be, and for the rest callers have their failure mode.

import type { Affinity, Nodes } from '../client/nodes/nodes.ts'
import type { Logger } from '../kernel/ports.ts'
import type { Health } from '../observe/health.ts'

export interface NodeReadinessOptions {
  readonly nodes: Pick<Nodes, 'config'> & {
    /** Whether any node can be heard now. */
    readonly isHeard: boolean
  }
  readonly health: Pick<Health, 'set'>
  readonly log: Logger
}

const ANY: Affinity = { affinity: '', tenant: '' }

export class NodeReadiness {
  readonly #options: NodeReadinessOptions
  #isReady = false
  #isInTouch = false

  constructor(options: NodeReadinessOptions) {
    this.#options = options
    options.health.set('nodes', false, 'no node has told its config yet')
  }

  /** Looks how it is now. */
  look(): void {
    const { nodes, health, log } = this.#options
    const config = nodes.config(ANY)
    const isInTouch = nodes.isHeard
    if (config !== undefined && !this.#isReady) {
      log.info({ config: config.id }, 'a node has told its config')
      this.#isReady = true
    } else if (this.#isReady && isInTouch !== this.#isInTouch) {
      if (isInTouch) log.info({}, 'in touch with nodes again')
      else log.warn({}, 'out of touch with all nodes: what they answered before is given as long as it may be')
    }
    this.#isInTouch = isInTouch
    if (this.#isReady) health.set('nodes', true, isInTouch ? 'in touch' : 'out of touch: going on with what is known')
  }
}
