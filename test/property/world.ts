// The world outside: backends whose verdicts change with time, in a way that can be asked for any moment of the past.

import { z } from 'zod'
import { type AnyAdapter, type CheckResult, defineAdapter } from '../../src/adapter-kit/define-adapter.ts'
import type { Instance } from '../../src/adapter-kit/instance.ts'
import { valueToText } from '../../src/adapter-kit/value-text.ts'
import { IntermixError } from '../../src/kernel/errors.ts'
import type { Clock } from '../../src/kernel/ports.ts'
import type { AttributeValue } from '../../src/kernel/value.ts'
import type { Verdict } from '../../src/kernel/verdict.ts'

export const VALID_MS = 5_000

/** The state of the backends: what they say has a version, and they may be down. */
export class World {
  /** Times at which the versions began, in ms; the version is the index. */
  readonly #versions: number[] = [0]
  #down = false
  /** When the backends last came back. */
  #upSince = Number.NEGATIVE_INFINITY
  #latencyMs = 0
  readonly #clock: Clock
  calls = 0
  /** Calls that the backends have not answered yet. */
  underWay = 0

  constructor(clock: Clock) {
    this.#clock = clock
    this.#versions[0] = Number.NEGATIVE_INFINITY
  }

  change(): void {
    this.#versions.push(this.#clock.monotonic())
  }

  setDown(down: boolean): void {
    if (this.#down && !down) this.#upSince = this.#clock.monotonic()
    this.#down = down
  }

  /** From now on answers arrive so much later than they are made. */
  setLatency(ms: number): void {
    this.#latencyMs = ms
  }

  /** A call over the network: the answer is made at once and arrives after a while. */
  async call<T>(answer: () => T): Promise<T> {
    this.calls++
    this.underWay++
    try {
      if (this.#down) throw new IntermixError('BACKEND_FAILED', 'down')
      const given = answer()
      if (this.#latencyMs > 0) await new Promise<void>((resolve) => this.#clock.after(this.#latencyMs, resolve))
      return given
    } finally {
      this.underWay--
    }
  }

  get down(): boolean {
    return this.#down
  }

  /** Whether the backends were down at some time in the last `ms`. */
  wasDownWithin(ms: number): boolean {
    return this.#down || this.#upSince > this.#clock.monotonic() - ms
  }

  get version(): number {
    return this.#versions.length - 1
  }

  /** The versions that were in force at some time from `from` on. */
  versionsSince(from: number): readonly number[] {
    const versions: number[] = []
    for (let version = this.version; version >= 0; version--) {
      versions.push(version)
      if ((this.#versions[version] ?? 0) <= from) break
    }
    return versions
  }
}

/** What a handler says of an instance under a version of the world: any function will do that uses all it is given. */
export function verdictAt(salt: number, instance: Instance, version: number): Verdict {
  const value = instance.fields['value']
  const text = `${salt}|${instance.name}|${value === undefined ? 'absent' : describe(value as AttributeValue)}|${version}`
  let hash = 2166136261
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 16777619)
  hash ^= hash >>> 13
  const denied = (hash >>> 0) % 2 === 0
  const status = denied ? { code: 7, message: `no ${(hash >>> 4) % 1000}` } : { code: 0, message: '' }
  return { kind: denied ? 'deny' : 'allow', status, validForMs: VALID_MS, validUses: 10_000 }
}

function describe(value: AttributeValue): string {
  return `${typeof value === 'object' ? value.constructor.name : typeof value} ${valueToText(value)}`
}

/** Two adapters over one world: one that calls a backend, one that computes. */
export function worldAdapters(world: World): ReadonlyMap<string, AnyAdapter> {
  const config = z.strictObject({ salt: z.int().default(0) })
  const answer = (salt: number, instance: Instance): CheckResult => {
    const { status, validForMs, validUses } = verdictAt(salt, instance, world.version)
    return { status, validForMs, validUses }
  }
  const remote = defineAdapter({
    name: 'remote',
    description: 'asks a backend of the simulated world',
    templates: ['listentry'],
    config,
    doesIo: true,
    create: ({ salt }) => ({
      check: {
        listentry: (instance) => world.call(() => answer(salt, instance)),
      },
    }),
  })
  const computed = defineAdapter({
    name: 'computed',
    description: 'knows what the simulated world thinks without asking',
    templates: ['listentry'],
    config,
    doesIo: false,
    create: ({ salt }) => ({ check: { listentry: (instance) => answer(salt, instance) } }),
  })
  return new Map<string, AnyAdapter>([
    ['remote', remote],
    ['computed', computed],
  ])
}
