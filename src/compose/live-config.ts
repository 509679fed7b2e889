// The config as the process lives by it: each new snapshot gets its rules indexed and its handlers started before it
// is used, and everything that follows the config is told.

import type { Variety } from '../adapter-kit/templates.ts'
import type { ConfigSource } from '../config/watch.ts'
import { RuleSelector } from '../config/rule-index.ts'
import type { Snapshot } from '../config/snapshot.ts'
import type { Clock, Logger } from '../kernel/ports.ts'
import type { Health } from '../observe/health.ts'
import type { HandlerTables } from '../policy/handler-table.ts'
import type { PolicyState } from '../policy/policy-state.ts'
import { handlersOf } from './handlers-of.ts'

export interface LiveConfigOptions {
  readonly source: ConfigSource
  readonly tables: HandlerTables
  /** What this process does: only handlers for these run. */
  readonly varieties: ReadonlySet<Variety>
  readonly clock: Clock
  readonly log: Logger
  readonly health: Health
}

const HEALTH_MS = 500

export class LiveConfig {
  readonly #options: LiveConfigOptions
  readonly #listeners: ((state: PolicyState) => void)[] = []
  #state: PolicyState | undefined
  #applying: Promise<void> = Promise.resolve()
  #cancelHealth = (): void => undefined
  #unsubscribe = (): void => undefined

  constructor(options: LiveConfigOptions) {
    this.#options = options
  }

  /** What is served now; `undefined` before `start`. */
  state(): PolicyState | undefined {
    return this.#state
  }

  /** Calls back with every state from now on. */
  onState(listener: (state: PolicyState) => void): void {
    this.#listeners.push(listener)
  }

  /** Takes the first snapshot into use and follows the source. */
  async start(): Promise<PolicyState> {
    const { source } = this.#options
    this.#unsubscribe = source.onChange((snapshot) => {
      this.#applying = this.#applying.then(async () => {
        await this.#apply(snapshot)
      })
    })
    const state = await this.#apply(source.current())
    this.#reportHealth()
    return state
  }

  async stop(): Promise<void> {
    this.#cancelHealth()
    this.#unsubscribe()
    await this.#applying
  }

  async #apply(snapshot: Snapshot): Promise<PolicyState> {
    const { tables, varieties, log } = this.#options
    const handlers = await tables.build(handlersOf(snapshot, varieties))
    const state = { snapshot, rules: new RuleSelector(snapshot), handlers }
    const first = this.#state === undefined
    this.#state = state
    if (!first) log.info({ snapshot: snapshot.id, rules: snapshot.rules.length }, 'the new config is in use')
    for (const listener of this.#listeners) listener(state)
    return state
  }

  #reportHealth(): void {
    const { source, health, clock } = this.#options
    const { state, problems, snapshotId, loadedAt } = source.status()
    const serving = `serving ${snapshotId.slice(0, 12)}, loaded ${new Date(loadedAt).toISOString()}`
    const errors = problems.filter(({ severity }) => severity === 'error').length
    // The last good config is served on, so that a rejected one is no reason to take the process out of service.
    health.set(
      'config',
      true,
      state === 'ok' ? serving : `${serving}; the newest config was rejected: ${errors} errors, see the log`,
    )
    this.#cancelHealth = clock.after(HEALTH_MS, () => this.#reportHealth())
  }
}
