// The world outside: backends whose verdicts change with time, in a way that can be asked for any moment of the past.

import { z } from 'zod'
import {
  type AnyAdapter,
  type CheckResult,
  defineAdapter,
  type Handler,
  type LimitStanding,
  type QuotaCharge,
  type QuotaResult,
} from '../../src/adapter-kit/define-adapter.ts'
import type { Instance } from '../../src/adapter-kit/instance.ts'
import { IntermixError } from '../../src/kernel/errors.ts'
import type { Clock } from '../../src/kernel/ports.ts'
import { chargeText, generatedBy, quotaOf, type Standing, standingOf, verdictAt } from './verdicts.ts'
import { type WindowCharge, WindowLimits, type WindowOutcome } from './windows.ts'

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
  /** What was charged to quotas, by the deduplication id of the request, in order. */
  readonly charges = new Map<string, string[]>()
  readonly windows: WindowLimits
  /** By the number of a check's call: how often its verdict may be given after the check that it was made for. */
  readonly granted = new Map<string, number>()
  /** And when it was made. */
  readonly calledAt = new Map<string, number>()

  constructor(clock: Clock) {
    this.#clock = clock
    this.windows = new WindowLimits(clock)
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
      if ((this.#versions[version] ?? 0) < from) break
    }
    return versions
  }

  /** A handler is asked to charge, all at once. */
  charged(id: string, handler: string, charges: readonly QuotaCharge[]): void {
    const texts = charges.map(({ instance, request }) =>
      chargeText(instance.name, request.amount, dimensionsOf(instance)),
    )
    const all = this.charges.get(id) ?? []
    all.push(`${handler} ${texts.join(' with ')}`)
    this.charges.set(id, all)
  }

  /** The verdict of a handler now. It carries the number of the call, so that it can be told how often it was given. */
  verdict(salt: number, { name, fields }: Instance): CheckResult {
    const verdict = verdictAt(salt, name, fields['value'], this.version)
    const call = `#${this.granted.size + 1}`
    this.granted.set(call, verdict.validUses)
    this.calledAt.set(call, this.#clock.monotonic())
    const { code, message, owner, directResponse, validForMs, validUses } = verdict
    return {
      status: { code, message: code === 0 ? '' : `${message} ${call}` },
      validForMs,
      validUses,
      output: { call, ...(owner === undefined ? {} : { owner }) },
      ...(directResponse === undefined ? {} : { directResponse }),
    }
  }
}

const TEMPLATES = ['listentry', 'quota', 'kubernetes'] as const

/** Two adapters over one world: one that calls backends, one that computes. */
export function worldAdapters(world: World): ReadonlyMap<string, AnyAdapter> {
  const config = z.strictObject({ salt: z.int().default(0), windows: z.boolean().default(false) })
  const remote = defineAdapter({
    name: 'remote',
    description: 'asks a backend of the simulated world',
    templates: TEMPLATES,
    config,
    doesIo: true,
    create: (given, { handlerName }) =>
      handlerOf({ ...given, world, name: handlerName }, (answer) => world.call(answer)),
  })
  const computed = defineAdapter({
    name: 'computed',
    description: 'knows what the simulated world thinks without asking',
    templates: TEMPLATES,
    config,
    doesIo: false,
    create(given, { handlerName }) {
      const backend = { ...given, world, name: handlerName }
      return {
        ...handlerOf(backend, (answer) => answer()),
        quotaTogether: { quota: (all) => chargeTogether(backend, all) },
      }
    },
  })
  return new Map<string, AnyAdapter>([
    ['remote', remote],
    ['computed', computed],
  ])
}

/** A handler's backend. */
interface Backend {
  readonly world: World
  readonly salt: number
  readonly windows: boolean
  readonly name: string
}

function handlerOf(backend: Backend, call: <T>(answer: () => T) => T | Promise<T>): Handler {
  const { world, salt, name } = backend
  return {
    check: { listentry: (instance) => call(() => world.verdict(salt, instance)) },
    quota: {
      quota: (instance, request) =>
        call(() => {
          world.charged(request.deduplicationId, name, [{ instance, request }])
          return charge(backend, { instance, request })
        }),
    },
    quotaUnused: {
      quota: async (unused) => {
        for (const { instance, amount } of unused) {
          const request = { amount, bestEffort: false, deduplicationId: '' }
          if (backend.windows) world.windows.giveBack(windowCharge(backend, { instance, request }))
        }
      },
    },
    attributes: {
      kubernetes: ({ fields }) =>
        call(() => {
          const inputs = new Map(Object.entries(fields).map(([name, value]) => [snakeCase(name), value]))
          const output = [...generatedBy(salt, inputs)].map(([name, value]) => [camelCase(name), value] as const)
          return Object.fromEntries(output)
        }),
    },
  }
}

const snakeCase = (name: string) => name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
const camelCase = (name: string) => name.replaceAll(/_(\w)/g, (_, letter: string) => letter.toUpperCase())

function chargeTogether(backend: Backend, charges: readonly QuotaCharge[]): QuotaResult[] {
  const { world, name } = backend
  const id = charges[0]?.request.deduplicationId ?? ''
  world.charged(id, name, charges)
  if (backend.windows) return chargeWindows(backend, charges)
  const results = charges.map((each) => charge(backend, each))
  const isRefused = results.some(({ status }) => status.code !== 0)
  return results.map((result) => (isRefused && result.status.code === 0 ? { ...result, granted: 0 } : result))
}

function charge(backend: Backend, { instance, request }: QuotaCharge): QuotaResult {
  if (backend.windows) return chargeWindows(backend, [{ instance, request }])[0] as QuotaResult
  const { salt } = backend
  const dimensions = dimensionsOf(instance)
  const { code, granted, validForMs } = quotaOf(salt, dimensions, request)
  const standing = standingOf(salt, dimensions, code !== 0)
  const limits = standing === undefined ? [] : [limitOf(instance, standing)]
  return { status: { code, message: '' }, granted, validForMs, limits }
}

function chargeWindows(backend: Backend, charges: readonly QuotaCharge[]): QuotaResult[] {
  const id = charges[0]?.request.deduplicationId ?? ''
  const all = charges.map((each) => windowCharge(backend, each))
  const result = ({ code, granted, validForMs, standing }: WindowOutcome, at: number): QuotaResult => {
    const { instance } = charges[at] as QuotaCharge
    return { status: { code, message: '' }, granted, validForMs, limits: [limitOf(instance, standing)] }
  }
  return backend.world.windows.charge(id, all).map(result)
}

function windowCharge({ salt, name }: Backend, { instance, request }: QuotaCharge): WindowCharge {
  const { amount, bestEffort } = request
  return { handler: name, instance: instance.name, salt, dimensions: dimensionsOf(instance), amount, bestEffort }
}

function limitOf(instance: Instance, { windowMs, ...others }: Standing): LimitStanding {
  const limit = { name: instance.name.split('.')[0], ...others, ...(windowMs === undefined ? {} : { windowMs }) }
  return limit as LimitStanding
}

function dimensionsOf({ fields }: Instance): ReadonlyMap<string, unknown> {
  return new Map(Object.entries(fields['dimensions'] ?? {}))
}
