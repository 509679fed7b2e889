// What handlers get of the outside world, and the end of it when a handler stops.

import type { AdapterEnvironment } from '../adapter-kit/define-adapter.ts'
import type { DurableCounters } from '../adapter-kit/durable-counters.ts'
import type { LuaScript, ScriptRunner } from '../adapter-kit/script-runner.ts'
import type { HandlerConfig } from '../config/snapshot.ts'
import { IntermixError } from '../kernel/errors.ts'
import type { Clock, Logger, Meter, Random } from '../kernel/ports.ts'
import type { Siblings } from '../kernel/siblings.ts'
import { connectRedis, type RedisLink } from '../redis/connection.ts'
import { redisCounters } from '../redis/durable-counters.ts'
import { scriptFromSource } from '../redis/scripts.ts'
import type { AdapterListener } from '../server/adapter-listener.ts'
import { MemoryCounters } from '../telemetry/durable-counters.ts'

export interface AdapterEnvironmentsOptions {
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  readonly meter: Meter
  /** Of this process. */
  readonly nodeId: string
  /** What the keys of counters begin with. */
  readonly prefix: string
  /** Intermix's own durable Redis; `undefined` where there is none. */
  readonly queueLink: RedisLink | undefined
  /** Where adapters offer bodies; `undefined` in a process without that listener. */
  readonly listener: AdapterListener | undefined
  /** The other processes of this node: each answers for all where one port is asked. */
  readonly siblings?: Siblings | undefined
}

interface OwnedEnvironment {
  readonly environment: AdapterEnvironment
  readonly dispose: () => void
}

/** Handlers' own Redis servers: one link for each URL, kept for the life of the process. */
const MAX_LINKS = 32

export class AdapterEnvironments {
  readonly #options: AdapterEnvironmentsOptions
  readonly #links = new Map<string, RedisLink>()

  constructor(options: AdapterEnvironmentsOptions) {
    this.#options = options
  }

  /** The environment of one handler. */
  create(handler: HandlerConfig): OwnedEnvironment {
    const { clock, random, meter, listener } = this.#options
    const log = this.#options.log.child({ handler: handler.name })
    const ends: (() => void)[] = []
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
        if (listener !== undefined) ends.push(listener.expose(path, contentType, render))
      },
      redis: (url) => this.#scripts(url),
    }
    return {
      environment,
      dispose: () => {
        for (const end of ends.splice(0)) end()
      },
    }
  }

  close(): void {
    for (const link of this.#links.values()) link.close()
    this.#links.clear()
  }

  /** Opened when first asked for: most handlers count nothing. */
  #counters(handler: HandlerConfig, ends: (() => void)[]): () => DurableCounters {
    const { queueLink, clock, prefix, nodeId, siblings } = this.#options
    const open = (): DurableCounters => {
      if (queueLink === undefined) return new MemoryCounters(siblings === undefined ? 'local' : nodeId)
      const opened = redisCounters({ link: queueLink, clock, handler: handler.name, prefix })
      ends.push(() => opened.close())
      return opened
    }
    let counters: DurableCounters | undefined
    return () => (counters ??= siblings === undefined ? open() : nodeCounters(open(), handler.name, siblings, ends))
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
    const { clock, random, log, meter } = this.#options
    const link = connectRedis({ url, role: 'queue', clock, random, log, meter })
    this.#links.set(url, link)
    return link
  }
}

/** Counters whose registers are those of all processes of the node: whoever is asked answers for all. */
function nodeCounters(
  own: DurableCounters,
  handler: string,
  siblings: Siblings,
  ends: (() => void)[],
): DurableCounters {
  const name = `registers of ${handler}`
  ends.push(siblings.answer(name, () => own.registers()))
  return {
    apply: (batchId, changes) => own.apply(batchId, changes),
    async registers() {
      const [registers, others] = await Promise.all([own.registers(), siblings.ask(name)])
      const answers = [...others.answers.values()].map((answer) => (answer ?? new Map()) as typeof registers)
      return new Map([...answers, registers].flatMap((each) => [...each]))
    },
    ...(own.forget === undefined ? {} : { forget: (...what) => own.forget?.(...what) ?? Promise.resolve() }),
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
