// What handlers get of the outside world, and the end of it when a handler stops.

import type { AdapterEnvironment } from '../adapter-kit/define-adapter.ts'
import type { DurableCounters } from '../adapter-kit/durable-counters.ts'
import { MemoryCounters } from '../adapter-kit/memory-counters.ts'
import type { LuaScript, ScriptRunner } from '../adapter-kit/script-runner.ts'
import type { HandlerConfig } from '../config/snapshot.ts'
import { IntermixError } from '../kernel/errors.ts'
import type { Clock, Logger, Meter, Random } from '../kernel/ports.ts'
import type { Siblings } from '../kernel/siblings.ts'
import { connectRedis, type RedisLink } from '../redis/connection.ts'
import { RedisCounters } from '../redis/counters/redis-counters.ts'
import { scriptFromSource } from '../redis/scripts.ts'
import type { AdapterListener } from '../server/adapter-listener.ts'
import { exposedByAll } from './exposed-by-all.ts'

export interface AdapterEnvironmentsOptions {
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  readonly meter: Meter
  /** Which of the node's processes this is, from 1. */
  readonly process: number
  /** What the keys of counters begin with. */
  readonly prefix: string
  /** Intermix's own durable Redis; `undefined` where there is none. */
  readonly queueLink: RedisLink | undefined
  /** Bound, in ms, of one call of a Redis that a handler names. */
  readonly timeoutMs: number
  /** Where adapters offer bodies; `undefined` in a process without that listener. */
  readonly listener: AdapterListener | undefined
  /** The other processes of this node: each answers for all where one port is asked. */
  readonly siblings?: Siblings | undefined
}

type End = () => void | Promise<void>

interface SharedCounters {
  readonly counters: DurableCounters
  readonly close: End
  users: number
}

interface OwnedEnvironment {
  readonly environment: AdapterEnvironment
  readonly dispose: () => Promise<void>
}

/** Handlers' own Redis servers: one link for each URL, kept for the life of the process. */
const MAX_LINKS = 32

export class AdapterEnvironments {
  readonly #options: AdapterEnvironmentsOptions
  readonly #links = new Map<string, RedisLink>()
  /** By handler. */
  readonly #counted = new Map<string, SharedCounters>()

  constructor(options: AdapterEnvironmentsOptions) {
    this.#options = options
  }

  /** The environment of one handler. */
  create(handler: HandlerConfig): OwnedEnvironment {
    const { clock, random, meter, listener, siblings } = this.#options
    const log = this.#options.log.child({ handler: handler.name })
    const ends: End[] = []
    const counters = this.#counters(handler, ends)
    const environment: AdapterEnvironment = {
      handlerName: handler.name,
      clock,
      random,
      log,
      meter,
      fetch: (input, init) => fetch(input, init),
      schedule: (everyMs, task) => ends.push(repeat(clock, log, everyMs, task)),
      get counters() {
        return counters()
      },
      expose: (path, contentType, render) => {
        if (listener === undefined) return
        const all = siblings === undefined ? undefined : exposedByAll(`${path} of ${handler.name}`, render, siblings)
        if (all !== undefined) ends.push(all.end)
        ends.push(listener.expose(path, contentType, all?.render ?? render, handler.name))
      },
      redis: (url) => this.#scripts(url),
    }
    return {
      environment,
      dispose: async () => {
        await Promise.all(ends.splice(0).map(async (end) => await end()))
      },
    }
  }

  close(): void {
    for (const link of this.#links.values()) link.close()
    this.#links.clear()
  }

  /**
   * Opened when first asked for: most handlers count nothing. A handler that takes the place of one of its name goes on with
   * the counters of that one.
   */
  #counters(handler: HandlerConfig, ends: End[]): () => DurableCounters {
    const join = (): DurableCounters => {
      const shared = this.#counted.get(handler.name) ?? { ...this.#openCounters(handler), users: 0 }
      this.#counted.set(handler.name, shared)
      shared.users++
      ends.push(() => {
        if (--shared.users > 0) return undefined
        this.#counted.delete(handler.name)
        return shared.close()
      })
      return shared.counters
    }
    let counters: DurableCounters | undefined
    return () => (counters ??= join())
  }

  #openCounters(handler: HandlerConfig): Omit<SharedCounters, 'users'> {
    const { queueLink, clock, prefix, process, listener } = this.#options
    // Nothing is counted in a process that nobody can ask for it.
    if (queueLink === undefined || listener === undefined) {
      return { counters: new MemoryCounters(clock, String(process - 1)), close: () => undefined }
    }
    const counters = new RedisCounters({ link: queueLink, clock, handler: handler.name, prefix })
    return { counters, close: () => counters.close() }
  }

  #scripts(url: string | undefined): ScriptRunner {
    const link = url === undefined ? this.#options.queueLink : this.#link(url)
    if (link === undefined) throw new IntermixError('NOT_READY', 'there is no Redis: start with --redis URL')
    const known = new WeakMap<LuaScript, ReturnType<typeof scriptFromSource>>()
    return {
      run(script, keys, args) {
        const loaded = known.get(script) ?? scriptFromSource(script.source, script.keys)
        known.set(script, loaded)
        return link.run((client) => loaded.run(client, keys, args))
      },
    }
  }

  #link(url: string): RedisLink {
    const existing = this.#links.get(url)
    if (existing !== undefined) return existing
    if (this.#links.size >= MAX_LINKS) {
      throw new IntermixError('OVERLOADED', `handlers use more than ${MAX_LINKS} different Redis servers`)
    }
    const { clock, random, log, meter, timeoutMs: commandTimeoutMs } = this.#options
    const link = connectRedis({ access: { url }, role: 'queue', commandTimeoutMs, clock, random, log, meter })
    this.#links.set(url, link)
    return link
  }
}

/** Runs a task again and again, each time a full interval after the last run ended. */
function repeat(
  clock: Clock,
  log: Logger,
  everyMs: number,
  task: Parameters<AdapterEnvironment['schedule']>[1],
): () => void {
  const abort = new AbortController()
  let cancel = (): void => undefined
  const run = async () => {
    try {
      await task(abort.signal)
    } catch (error) {
      if (!abort.signal.aborted) log.warn({ err: error }, 'a scheduled task failed')
    }
    if (!abort.signal.aborted) cancel = clock.after(everyMs, () => void run())
  }
  cancel = clock.after(everyMs, () => void run())
  return () => {
    abort.abort()
    cancel()
  }
}
