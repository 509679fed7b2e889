// The config as the process lives by it: each new snapshot gets its rules indexed and its handlers started before it
// is used, and everything that follows the config is told. One config is taken into use at a time; of those that come
// meanwhile the newest is next. One that cannot be taken into use changes nothing, and the one after it is tried again.

import type { Variety } from '../adapter-kit/template.ts'
import type { HandlerChoice } from './handler-choice.ts'
import type { WatchedConfig } from '../config/watch.ts'
import { RuleSelector } from '../config/rule-index.ts'
import type { HandlerConfig, Snapshot } from '../config/snapshot.ts'
import { inSlices } from '../config/slices.ts'
import { CONFIG_APPLY_FAILURES_TOTAL } from '../kernel/metrics/process.ts'
import type { Clock, Counter, Logger, Meter } from '../kernel/ports.ts'
import type { Health } from '../observe/health.ts'
import type { HandlerTables, PolicyState } from '../policy/handler-table.ts'

export interface LiveConfigOptions {
  readonly watched: Pick<WatchedConfig, 'current' | 'onChange' | 'status'>
  readonly tables: HandlerTables
  /** What this process does: only handlers for these run. */
  readonly varieties: ReadonlySet<Variety>
  /** Which of those handlers run, under a config; all unless set. */
  readonly choose?: (snapshot: Snapshot) => Pick<HandlerChoice, 'runs'>
  readonly clock: Clock
  readonly log: Logger
  readonly meter: Meter
  readonly health: Health
}

function attempt(action: () => void): void {
  try {
    action()
  } catch {
    // The failure that led here has been told.
  }
}

const HEALTH_MS = 500

export class LiveConfig {
  readonly #options: LiveConfigOptions
  readonly #listeners: ((state: PolicyState) => void)[] = []
  readonly #failures: Counter
  #state: PolicyState | undefined
  #behind: PolicyState | undefined
  /** The next config is on trial. */
  #isTrial = false
  /** The newest snapshot that is not in use yet. */
  #next: Snapshot | undefined
  #applying: Promise<void> | undefined
  /** Why the newest snapshot is not in use. */
  #failure: unknown
  #cancelHealth = (): void => undefined
  #unsubscribe = (): void => undefined

  constructor(options: LiveConfigOptions) {
    this.#options = options
    this.#failures = options.meter.counter(CONFIG_APPLY_FAILURES_TOTAL)()
  }

  /** What is served now; `undefined` before `start`. */
  state(): PolicyState | undefined {
    return this.#state
  }

  /** The config before, whose handlers run on while the one that is served is on trial; `undefined` when it is not. */
  behind(): PolicyState | undefined {
    return this.#behind
  }

  /** The next config that is taken into use is on trial, or not: it is not, unless this says so. */
  trial(isTrial: boolean): void {
    this.#isTrial = isTrial
  }

  /** What is served is no longer on trial. */
  trust(): void {
    this.#behind?.handlers.retire()
    this.#behind = undefined
  }

  /** Waits until nothing is being taken into use. @returns why the newest snapshot is not in use; `undefined` where it is. */
  async settled(): Promise<unknown> {
    await this.#applying
    return this.#failure
  }

  /** Calls back with every state from now on. */
  onState(listener: (state: PolicyState) => void): void {
    this.#listeners.push(listener)
  }

  /** Takes the first snapshot into use and follows the config. Rejects when that snapshot cannot be taken into use. */
  async start(): Promise<PolicyState> {
    const { watched } = this.#options
    this.#unsubscribe = watched.onChange((snapshot) => void this.#take(snapshot))
    await this.#take(watched.current())
    if (this.#state === undefined) throw this.#failure
    this.#reportHealth()
    return this.#state
  }

  async stop(): Promise<void> {
    this.#cancelHealth()
    this.#unsubscribe()
    this.#next = undefined
    await this.#applying
  }

  /** Resolves when this snapshot, or a newer one, has been tried. Never rejects. */
  #take(snapshot: Snapshot): Promise<void> {
    this.#next = snapshot
    this.#applying ??= this.#applyAll().finally(() => {
      this.#applying = undefined
    })
    return this.#applying
  }

  async #applyAll(): Promise<void> {
    for (let snapshot = this.#next; snapshot !== undefined; snapshot = this.#next) {
      this.#next = undefined
      try {
        await this.#apply(snapshot)
        this.#failure = undefined
      } catch (error) {
        this.#failure = error
        this.#failures.add()
        const served = this.#state?.snapshot.id
        this.#options.log.error({ err: error, snapshot: snapshot.id, served }, 'the config could not be taken into use')
      }
    }
  }

  async #apply(snapshot: Snapshot): Promise<void> {
    const { tables, clock, log } = this.#options
    const rules = await inSlices(RuleSelector.build(snapshot), clock)
    const handlers = await tables.build(handlersOf(snapshot, this.#options))
    const state = { snapshot, rules, handlers }
    const before = this.#state
    try {
      this.#state = state
      for (const listener of this.#listeners) listener(state)
    } catch (error) {
      // What followed already goes back, too: no two parts live by different configs.
      this.#state = before
      if (before !== undefined) for (const listener of this.#listeners) attempt(() => listener(before))
      handlers.retire()
      throw error
    }
    this.trust()
    if (this.#isTrial) this.#behind = before
    else before?.handlers.retire()
    if (before !== undefined)
      log.info({ snapshot: snapshot.id, rules: snapshot.rules.length }, 'the new config is in use')
  }

  #reportHealth(): void {
    const { watched, health, clock } = this.#options
    const { state, problems, snapshotId, loadedAt } = watched.status()
    const serving = `serving ${snapshotId.slice(0, 12)}, loaded ${new Date(loadedAt).toISOString()}`
    const errors = problems.filter(({ severity }) => severity === 'error').length
    const doubts: Readonly<Record<typeof state, string>> = {
      ok: '',
      rejected: `; the newest config was rejected: ${errors} ${errors === 1 ? 'error' : 'errors'}, see the log`,
      unreadable: '; the config cannot be read now, see the log',
      failed: '; the newest config could not be compiled, see the log',
    }
    const unused = this.#failure === undefined ? '' : '; the newest config could not be taken into use, see the log'
    // The last good config is served on, so that a newer one is no reason to take the process out of service.
    health.set('config', true, `${serving}${doubts[state]}${unused}`)
    this.#cancelHealth = clock.after(HEALTH_MS, () => this.#reportHealth())
  }
}

/** The handlers that rules use with instances of these varieties, each once, as far as they run here. */
function handlersOf(
  snapshot: Snapshot,
  { varieties, choose }: Pick<LiveConfigOptions, 'varieties' | 'choose'>,
): readonly HandlerConfig[] {
  const runs = choose?.(snapshot).runs ?? (() => true)
  const found = new Map<string, HandlerConfig>()
  for (const rule of snapshot.rules) {
    for (const { handler, instances } of rule.actions) {
      const isUsed = instances.some(
        ({ template: { variety } }) => varieties.has(variety) && runs(handler.name, variety),
      )
      if (isUsed) found.set(handler.name, handler)
    }
  }
  return [...found.values()]
}
