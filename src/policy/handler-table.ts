// The running handlers of a config. A handler whose digest is unchanged runs on, with all that it holds; others are
// started before the new config is used, and old ones are stopped once no request can hold them any more.

import type { AdapterEnvironment, Handler } from '../adapter-kit/define-adapter.ts'
import type { HandlerConfig } from '../config/snapshot.ts'
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

export type HandlerTable = ReadonlyMap<string, RunningHandler>

/** A handler may take this long to start; afterwards the config goes live and it goes on starting. */
const START_PATIENCE_MS = 5_000
/** Old handlers serve the requests that began with them at least this long. */
const RETIREMENT_MS = 10_000

type Dispose = () => void | Promise<void>

interface Slot {
  readonly running: RunningHandler
  readonly dispose: Dispose
}

export class HandlerTables {
  readonly #dependencies: HandlerTableDependencies
  #slots = new Map<string, Slot>()
  readonly #retiring = new Set<Slot>()

  constructor(dependencies: HandlerTableDependencies) {
    this.#dependencies = dependencies
  }

  /** The handlers by name for a set of configs: unchanged ones as they run, others newly started. */
  async build(handlers: Iterable<HandlerConfig>): Promise<HandlerTable> {
    const slots = new Map<string, Slot>()
    const starting: Promise<void>[] = []
    for (const config of handlers) {
      const id = `${config.name}\n${config.digest}`
      const slot = this.#slots.get(id) ?? this.#create(config)
      if (!this.#slots.has(id)) starting.push(this.#start(slot.running))
      slots.set(id, slot)
    }
    await Promise.all(starting)
    const old = [...this.#slots].filter(([id]) => !slots.has(id)).map(([, slot]) => slot)
    this.#slots = slots
    for (const slot of old) this.#retire(slot)
    return new Map([...slots.values()].map(({ running }) => [running.handler.name, running]))
  }

  /** Stops all handlers, retired ones included. */
  async stop(): Promise<void> {
    const slots = [...this.#slots.values(), ...this.#retiring]
    this.#slots = new Map()
    this.#retiring.clear()
    await Promise.all(slots.map((slot) => this.#stop(slot)))
  }

  #create(config: HandlerConfig): Slot {
    const { environment, dispose } = this.#dependencies.environment(config)
    let code: Handler
    try {
      code = config.adapter.create(config.params, environment)
    } catch (error) {
      this.#dependencies.log.error(
        { handler: config.name, err: error },
        'handler cannot be built: its verdicts are unknown',
      )
      code = brokenHandler(config.name, error)
    }
    return { running: new RunningHandler(config, code, this.#dependencies.guard(config)), dispose }
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

  #retire(slot: Slot): void {
    this.#retiring.add(slot)
    this.#dependencies.clock.after(RETIREMENT_MS, () => {
      if (this.#retiring.delete(slot)) void this.#stop(slot)
    })
  }

  async #stop(slot: Slot): Promise<void> {
    try {
      await slot.running.stop()
      await slot.dispose()
    } catch (error) {
      this.#dependencies.log.warn({ handler: slot.running.handler.name, err: error }, 'handler failed to stop')
    }
  }
}

/** Stands in for a handler that could not be built: every call says why. */
function brokenHandler(name: string, cause: unknown): Handler {
  const fail = (): never => {
    throw new IntermixError('BACKEND_FAILED', `${name} could not be built`, { cause })
  }
  const every = new Proxy({}, { get: () => fail })
  return { check: every, report: every, quota: { quota: fail }, attributes: { kubernetes: fail } }
}
