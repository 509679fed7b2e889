// What handlers get of the outside world, and the end of it when a handler stops.

import type { AdapterEnvironment } from '../adapter-kit/define-adapter.ts'
import type { DurableCounters } from '../adapter-kit/durable-counters.ts'
import { MemoryCounters } from '../adapter-kit/memory-counters.ts'
import type { Limits } from '../adapter-kit/limits.ts'
import type { LuaScript, RedisServer, ScriptRunner } from '../adapter-kit/script-runner.ts'
import type { HandlerConfig } from '../config/snapshot.ts'
import { within } from '../kernel/deadline.ts'
import { IntermixError } from '../kernel/errors.ts'
import type { Clock, Logger, Meter, Random } from '../kernel/ports.ts'
import type { Siblings } from '../kernel/siblings.ts'
import { connectRedis, type RedisLink } from '../redis/connection.ts'
import { RedisCounters } from '../redis/counters/redis-counters.ts'
import type { RedisTlsFiles } from '../redis/redis-access.ts'
import { scriptFromSource } from '../redis/scripts.ts'
import type { AdapterListener } from '../server/adapter-listener.ts'
import { type Claims, CLAIMS_ALONE, RedisClaims } from '../quota/assignments/claims.ts'
import { ChargingProcesses } from '../quota/charging-processes.ts'
import { MemoryLimits } from '../quota/memory-limits.ts'
import { NodeLimits } from '../quota/node-limits.ts'
import { QuotaMetrics } from '../quota/quota-metrics.ts'
import { RedisLimits } from '../quota/redis-limits.ts'
import { resetInRedis } from '../quota/redis-reset.ts'
import { QuotaUsage } from '../quota/usage/quota-usage.ts'
import { type CountedLimits, WatchedLimits, type WatchedLimitsOptions } from '../quota/usage/watched-limits.ts'
import { exposedByAll } from './exposed-by-all.ts'
import { SharedByName } from './shared-by-name.ts'

export interface AdapterEnvironmentsOptions {
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  readonly meter: Meter
  /** Which of the node's processes this is, from 1. */
  readonly process: number
  /** Name of this process, which no other one has. */
  readonly processId: string
  /** What the keys of counters and quotas begin with. */
  readonly prefix: string
  /** Intermix's own durable Redis; `undefined` where there is none. */
  readonly queueLink: RedisLink | undefined
  /** Bound, in ms, of one call of a Redis that a handler names. */
  readonly timeoutMs: number
  /** For those of them that speak TLS. */
  readonly tls: RedisTlsFiles | undefined
  /** Where adapters offer bodies; `undefined` in a process without that listener. */
  readonly listener: AdapterListener | undefined
  /** The other processes of this node: each answers for all where one port is asked. */
  readonly siblings?: Siblings | undefined
}

type End = () => void | Promise<void>

interface OwnedEnvironment {
  readonly environment: AdapterEnvironment
  readonly dispose: () => Promise<void>
}

/** Handlers' own Redis servers: one link for each, kept for the life of the process. */
const MAX_LINKS = 32
/** How long the first calls wait for the first connection; most are there in some milliseconds. */
const FIRST_UP_MS = 1_000

export class AdapterEnvironments {
  readonly #options: AdapterEnvironmentsOptions
  readonly #links = new Map<string, RedisLink>()
  /** By link: settled when it has been up, or is not waited for any more. */
  readonly #firstUp = new WeakMap<RedisLink, Promise<void>>()
  readonly #counters = new SharedByName((handler) => this.#openCounters(handler))
  readonly #limits = new SharedByName((handler) => this.#openLimits(handler))
  #charging: ChargingProcesses | undefined
  /** What the limits of all handlers are used for. */
  readonly usage: QuotaUsage

  constructor(options: AdapterEnvironmentsOptions) {
    this.#options = options
    const { queueLink: link, clock, prefix, processId: id } = options
    this.usage = new QuotaUsage({ link, clock, prefix: `${prefix}:q:`, id })
  }

  /** The environment of one handler. */
  create(handler: HandlerConfig): OwnedEnvironment {
    const { clock, random, meter, listener, siblings } = this.#options
    const log = this.#options.log.child({ handler: handler.name })
    const ends: End[] = []
    const counters = this.#counters.lazily(handler.name, ends)
    const limits = this.#limits.lazily(handler.name, ends)
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
      get limits() {
        return limits()
      },
      expose: (path, contentType, render) => {
        if (listener === undefined) return
        const all = siblings === undefined ? undefined : exposedByAll(`${path} of ${handler.name}`, render, siblings)
        if (all !== undefined) ends.push(all.end)
        ends.push(listener.expose(path, contentType, all?.render ?? render, handler.name))
      },
      redis: (server) => this.#scripts(typeof server === 'string' ? { url: server } : server),
    }
    return {
      environment,
      dispose: async () => {
        await Promise.all(ends.splice(0).map(async (end) => await end()))
      },
    }
  }

  /** Limits that no handler has; the name is none that a handler can have. They end with `end`. */
  limits(name: string): { readonly open: () => Limits; readonly end: () => Promise<void> } {
    const ends: End[] = []
    return {
      open: this.#limits.lazily(name, ends),
      end: async () => {
        await Promise.all(ends.splice(0).map(async (end) => await end()))
      },
    }
  }

  /** What the nodes hold of these limits for proxies that limit by themselves. */
  claims(name: string): Claims {
    const { queueLink: link, prefix, processId: id } = this.#options
    if (link === undefined) return CLAIMS_ALONE
    return new RedisClaims({ link, prefix: `${prefix}:q:${name}:`, id, charging: this.#processes(link) })
  }

  close(): void {
    this.usage.close()
    this.#charging?.close()
    for (const link of this.#links.values()) link.close()
    this.#links.clear()
  }

  #openCounters(handler: string): { readonly value: DurableCounters; readonly close: End } {
    const { queueLink, clock, prefix, process, listener } = this.#options
    // Nothing is counted in a process that nobody can ask for it.
    if (queueLink === undefined || listener === undefined) {
      return { value: new MemoryCounters(clock, String(process - 1)), close: () => undefined }
    }
    const counters = new RedisCounters({ link: queueLink, clock, handler, prefix })
    return { value: counters, close: () => counters.close() }
  }

  /** Keys of limits begin with the installation's prefix and the handler's name. */
  #openLimits(handler: string): { readonly value: Limits; readonly close: End } {
    const { queueLink: link, clock, log, meter, prefix } = this.#options
    if (link === undefined) return this.#watched(handler, new MemoryLimits({ clock }), undefined)
    const own = `${prefix}:q:${handler}:`
    const limits = new NodeLimits({
      shared: new RedisLimits({ link, clock, prefix: own }),
      link,
      clock,
      log,
      metrics: new QuotaMetrics(meter, handler),
      processes: this.#processes(link),
    })
    const { value, close } = this.#watched(handler, limits, (choice) => resetInRedis(link, own, choice))
    return {
      value,
      close: async () => {
        close()
        await limits.close()
      },
    }
  }

  #watched(handler: string, limits: CountedLimits, resetShared: WatchedLimitsOptions['resetShared']) {
    const { clock } = this.#options
    const value = new WatchedLimits({ limits, clock, onUse: () => this.usage.note(), resetShared })
    return { value, close: this.usage.add(handler, value) }
  }

  #processes(link: RedisLink): ChargingProcesses {
    const { clock, prefix, processId: id } = this.#options
    return (this.#charging ??= new ChargingProcesses({ link, clock, prefix: `${prefix}:q:`, id }))
  }

  #scripts(server: RedisServer | undefined): ScriptRunner {
    const link = server === undefined ? this.#options.queueLink : this.#link(server)
    if (link === undefined) throw new IntermixError('NOT_READY', 'there is no Redis: start with --redis URL')
    const known = new WeakMap<LuaScript, ReturnType<typeof scriptFromSource>>()
    const firstUp = this.#untilFirstUp(link)
    return {
      prefix: this.#options.prefix,
      isCluster: link.client.isCluster,
      async run(script, keys, args) {
        const loaded = known.get(script) ?? scriptFromSource(script.source, script.keys)
        known.set(script, loaded)
        if (link.state() === 'down') await firstUp
        return await link.run((client) => loaded.run(client, keys, args))
      },
    }
  }

  #untilFirstUp(link: RedisLink): Promise<void> {
    const known = this.#firstUp.get(link)
    if (known !== undefined) return known
    const up = new Promise<void>((resolve) => {
      const stop = link.onUp(() => {
        resolve()
        queueMicrotask(() => stop())
      })
    })
    const first = within(this.#options.clock, FIRST_UP_MS, up, () => undefined)
    this.#firstUp.set(link, first)
    return first
  }

  #link(server: RedisServer): RedisLink {
    const { clock, random, log, meter, timeoutMs: commandTimeoutMs, tls } = this.#options
    const access = { ...server, ...(tls !== undefined && server.url.startsWith('rediss') ? { tls } : {}) }
    const key = JSON.stringify(access)
    const existing = this.#links.get(key)
    if (existing !== undefined) return existing
    if (this.#links.size >= MAX_LINKS) {
      throw new IntermixError('OVERLOADED', `handlers use more than ${MAX_LINKS} different Redis servers`)
    }
    const link = connectRedis({ access, role: 'handlers', commandTimeoutMs, clock, random, log, meter })
    this.#links.set(key, link)
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
