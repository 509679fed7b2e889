// Whether a sidecar can serve: from when a node has told by which config it answers. Nodes may go after that; what was
// answered before is given on as long as it may be, and what a caller then gets for other requests is its failure mode.

import type { Affinity, Nodes } from '../client/nodes/nodes.ts'
import type { Clock, Logger } from '../kernel/ports.ts'
import type { Health } from '../observe/health.ts'

export interface NodeReadinessOptions {
  readonly nodes: Pick<Nodes, 'config'> & {
    /** Whether any node can be heard now. */
    readonly isHeard: boolean
  }
  readonly health: Pick<Health, 'set'>
  readonly clock: Clock
  readonly log: Logger
}

const LOOK_MS = 250
const ANY: Affinity = { affinity: '', tenant: '' }

export class NodeReadiness implements Disposable {
  readonly #options: NodeReadinessOptions
  #isReady = false
  #isInTouch = false
  #cancel = () => {}

  constructor(options: NodeReadinessOptions) {
    this.#options = options
    options.health.set('nodes', false, 'no node has told its config yet')
    this.#look()
  }

  [Symbol.dispose](): void {
    this.#cancel()
  }

  #look(): void {
    const { nodes, health, clock, log } = this.#options
    const config = nodes.config(ANY)
    const isInTouch = config !== undefined && nodes.isHeard
    if (config !== undefined && !this.#isReady) {
      this.#isReady = true
      log.info({ config: config.id }, 'a node has told its config')
    } else if (this.#isReady && isInTouch !== this.#isInTouch) {
      if (isInTouch) log.info({}, 'in touch with nodes again')
      else log.warn({}, 'out of touch with all nodes: what was answered before is given on while it may be')
    }
    this.#isInTouch = isInTouch
    if (this.#isReady) health.set('nodes', true, isInTouch ? 'in touch' : 'out of touch: going on with what is known')
    this.#cancel = clock.after(LOOK_MS, () => this.#look())
  }
}
