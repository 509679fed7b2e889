// Ports for tests that talk to a real Redis: real time, no randomness, a log that is kept and a meter that is read.

import type { Metric } from '../../src/kernel/metrics/metric.ts'
import type { Clock, Logger, Meter } from '../../src/kernel/ports.ts'
import { systemClock } from '../../src/kernel/system-clock.ts'
import { connectRedis, type RedisLink, type RedisLinkOptions } from '../../src/redis/connection.ts'
import type { RedisAccess } from '../../src/redis/redis-access.ts'

export const realClock: Clock = systemClock

export const fixedRandom = () => 0.5

/** They refer to themselves. */
const withoutCertificates = (key: string, value: unknown) => (key === 'cert' ? undefined : value)

/** A log whose messages can be read. */
export class KeptLog implements Logger {
  readonly lines: string[]
  /** What is logged at level `debug`, the latest of it. */
  readonly details: string[]

  constructor(lines: string[] = [], details: string[] = []) {
    this.lines = lines
    this.details = details
  }

  debug(fields: object, message: string): void {
    this.details.push(`${message} ${JSON.stringify(fields, withoutCertificates)}`)
    if (this.details.length > 1_000) this.details.shift()
  }

  info(fields: object, message: string): void {
    this.#keep('info', fields, message)
  }

  warn(fields: object, message: string): void {
    this.#keep('warn', fields, message)
  }

  error(fields: object, message: string): void {
    this.#keep('error', fields, message)
  }

  child(): Logger {
    return new KeptLog(this.lines, this.details)
  }

  #keep(level: string, fields: object, message: string): void {
    this.lines.push(`${level} ${message} ${JSON.stringify(fields)}`)
  }
}

/** A meter whose values can be read by name and label values, which come in the order of the labels. */
export class ReadableMeter implements Meter {
  readonly values = new Map<string, number>()

  counter: Meter['counter'] =
    (metric) =>
    (...given) => ({ add: (count = 1) => this.#change(metric, given, (value) => value + count) })

  gauge: Meter['gauge'] =
    (metric) =>
    (...given) => ({ set: (value) => this.#change(metric, given, () => value) })

  histogram: Meter['histogram'] =
    (metric) =>
    (...given) => ({ observe: () => this.#change(metric, given, (value) => value + 1) })

  value(name: string, ...labels: string[]): number {
    return this.values.get(this.keyOf(name, labels)) ?? 0
  }

  protected keyOf(name: string, labels: readonly string[]): string {
    return [name, ...labels].join(' ')
  }

  #change({ name, labels }: Metric, [given]: readonly object[], change: (old: number) => number): void {
    const values = given as Readonly<Record<string, string>> | undefined
    const key = this.keyOf(
      name,
      Object.keys(labels).map((label) => String(values?.[label])),
    )
    this.values.set(key, change(this.values.get(key) ?? 0))
  }
}

export interface TestLink {
  readonly link: RedisLink
  readonly log: KeptLog
  readonly meter: ReadableMeter
}

export function testLink(url: string, commandTimeoutMs = 5_000, role: 'cache' | 'queue' = 'queue'): TestLink {
  return connectTo({ url }, { commandTimeoutMs, role })
}

/** A link that is made in its own way. */
export function connectTo(access: RedisAccess, options: Partial<RedisLinkOptions> = {}): TestLink {
  const log = new KeptLog()
  const meter = new ReadableMeter()
  const ports = { clock: realClock, random: fixedRandom, log, meter }
  return { link: connectRedis({ access, role: 'queue', commandTimeoutMs: 500, ...ports, ...options }), log, meter }
}

/** Resolves when the link is up. */
export function untilUp(link: RedisLink): Promise<void> {
  return new Promise((resolve) => {
    const stop = link.onUp(() => {
      queueMicrotask(() => stop())
      resolve()
    })
  })
}

/** Resolves once `condition` holds; rejects with `what` when it does not within the time. */
export async function until(condition: () => boolean | Promise<boolean>, what: string, timeoutMs = 60_000) {
  const deadline = performance.now() + timeoutMs
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
