// The running handlers of configs. A handler whose digest is unchanged runs on, with all that it holds; others are
// started before the new config is used. References are counted: a handler is stopped when no config that is served has
// it, no request that began under such a config is under way, and no call of its own either.

import type { AdapterEnvironment, AnyHandler } from '../adapter-kit/define-adapter.ts'
import type { RuleSelector } from '../config/rule-index.ts'
import type { HandlerConfig, Snapshot } from '../config/snapshot.ts'
import { within } from '../kernel/deadline.ts'
import { IntermixError } from '../kernel/errors.ts'
import type { Clock, Logger } from '../kernel/ports.ts'
import type { Guard } from './guard.ts'
import { RunningHandler } from './running-handler.ts'

export interface HandlerTableDependencies {
  readonly clock: Clock
  readonly log: Logger
  /** The environment of one handler, and what ends its schedules and listeners. */
  environment(handler: HandlerConfig): { readonly environment: AdapterEnvironment; readonly dispose: Dispose }
  guard(handler: HandlerConfig): Guard
}

/** The handlers of one config by name. */
export type HandlerTable = ReadonlyMap<string, RunningHandler>

/** The handlers of one config that is served, until it retires. Several can be served side by side. */
export interface LiveHandlers extends HandlerTable {
  /** Keeps the handlers running until the promise settles, retired or not. @returns the promise. */
  hold<T>(pending: Promise<T>): Promise<T>
  /** Nothing new will be asked of this table. */
  retire(): void
}

/** What a check needs of one config: its snapshot, its rules indexed and its handlers running. Swapped as one. */
export interface PolicyState {
  readonly snapshot: Snapshot
  readonly rules: RuleSelector
  readonly handlers: LiveHandlers
}

/** A handler may take this long to start; afterwards the config goes live and it goes on starting. */
const START_PATIENCE_MS = 5_000
/**
 * How long nobody must have needed an old handler before it is stopped. It covers the moments in which work in the
 * background (a fetch that asks the mesh first, a parcel of reports) is between two calls and counted nowhere.
 */
const LINGER_MS = 10_000

type Dispose = () => void | Promise<void>

interface Slot {
  readonly id: string
  readonly running: RunningHandler
  readonly dispose: Dispose
  /** Settles when the handler has started, failed to, or is no longer waited for. */
  readonly started: Promise<void>
  /** Tables that have it and are served or held. */
  tables: number
  /** Ends the wait before it is stopped. */
  cancelStop: (() => void) | undefined
}

export class HandlerTables {
  readonly #dependencies: HandlerTableDependencies
  /** All that run, by name and digest. */
  readonly #slots = new Map<string, Slot>()

  constructor(dependencies: HandlerTableDependencies) {
    this.#dependencies = dependencies
  }

  /**
   * The handlers by name for a set of configs: those that run already as they are, others newly started. Whoever builds a
   * table retires it.
   */
  async build(handlers: Iterable<HandlerConfig>): Promise<LiveHandlers> {
    const slots: Slot[] = []
    const release = () => {
      for (const slot of slots) this.#release(slot)
    }
    try {
      for (const config of handlers) slots.push(this.#acquire(config))
    } catch (error) {
      release()
      throw error
    }
    await Promise.all(slots.map(({ started }) => started))
    return new Table(
      slots.map(({ running }) => [running.handler.name, running]),
      release,
    )
  }

  /** Stops all handlers, retired ones included. */
  async stop(): Promise<void> {
    const slots = [...this.#slots.values()]
    this.#slots.clear()
    await Promise.all(slots.map((slot) => this.#stop(slot)))
  }

  #acquire(config: HandlerConfig): Slot {
    const id = `${config.name}\n${config.digest}`
    const slot = this.#slots.get(id) ?? this.#create(id, config)
    slot.tables++
    slot.cancelStop?.()
    slot.cancelStop = undefined
    return slot
  }

  #create(id: string, config: HandlerConfig): Slot {
    const { environment, dispose } = this.#dependencies.environment(config)
    let code: AnyHandler
    try {
      code = config.adapter.create(config.params, environment)
    } catch (error) {
      this.#dependencies.log.error(
        { handler: config.name, err: error },
        'handler cannot be built: its verdicts are unknown',
      )
      code = brokenHandler(config.name, error)
    }
    const running = new RunningHandler(config, code, this.#dependencies.guard(config))
    const slot: Slot = { id, running, dispose, started: this.#start(running), tables: 0, cancelStop: undefined }
    this.#slots.set(id, slot)
    return slot
  }

  async #start(running: RunningHandler): Promise<void> {
    const { clock, log } = this.#dependencies
    const handler = running.handler.name
    const started = running.start().catch((error: unknown) => {
      log.error({ handler, err: error }, 'handler failed to start: its verdicts are unknown until it recovers')
    })
    await within(clock, START_PATIENCE_MS, started, () => {
      log.warn({ handler, waitedMs: START_PATIENCE_MS }, 'handler is still starting: going on without it')
    })
  }

  #release(slot: Slot): void {
    slot.tables--
    if (slot.tables === 0 && this.#slots.has(slot.id)) this.#stopLater(slot)
  }

  #stopLater(slot: Slot): void {
    slot.cancelStop = this.#dependencies.clock.after(LINGER_MS, () => {
      if (slot.running.calls > 0) return this.#stopLater(slot)
      this.#slots.delete(slot.id)
      void this.#stop(slot)
    })
  }

  async #stop(slot: Slot): Promise<void> {
    slot.cancelStop?.()
    try {
      await slot.running.stop()
      await slot.dispose()
    } catch (error) {
      this.#dependencies.log.warn({ handler: slot.running.handler.name, err: error }, 'handler failed to stop')
    }
  }
}

class Table extends Map<string, RunningHandler> implements LiveHandlers {
  readonly #release: () => void
  /** What holds the table, itself included until it retires. */
  #holders = 1
  #retired = false

  constructor(handlers: Iterable<[string, RunningHandler]>, release: () => void) {
    super(handlers)
    this.#release = release
  }

  hold<T>(pending: Promise<T>): Promise<T> {
    this.#holders++
    const end = () => this.#let()
    pending.then(end, end)
    return pending
  }

  retire(): void {
    if (this.#retired) return
    this.#retired = true
    this.#let()
  }

  #let(): void {
    if (--this.#holders === 0) this.#release()
  }
}

/** Stands in for a handler that could not be built: every call says why. */
function brokenHandler(name: string, cause: unknown): AnyHandler {
  const fail = (): never => {
    throw new IntermixError('BACKEND_FAILED', `${name} could not be built`, { cause })
  }
  const every = new Proxy({}, { get: () => fail })
  return { check: every, report: every, quota: every, attributes: every }
}
